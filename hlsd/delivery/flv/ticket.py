"""Is a viewer's right to be fed FLV tags: between its being let in and the connection on which it watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hlsd.delivery.flv.viewer import FlvViewer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from hlsd.audience import Wrapping
    from hlsd.delivery.flv.output import FlvOutput
    from hlsd.ports import ViewerSession


class Accounts(Protocol):
    """Where viewers are charged, and leave (`hlsd.delivery.flv.streams.FlvStreams`)."""

    @property
    def charge(self) -> Callable[[ViewerSession | None, int, int], None]:
        """Counts bytes to a session."""
        ...

    def close(self, session: ViewerSession, reason: str) -> None:
        """The viewer has gone."""
        ...


class FlvTicket:
    """A viewer's right to be fed, and its connection's link with its session (`hlsd.audience.Ticket`)."""

    def __init__(self, streams: Accounts) -> None:
        self._streams = streams
        self._viewer: FlvViewer | None = None
        self._output: FlvOutput | None = None
        self._session: ViewerSession | None = None
        self._closed = False
        self._dropped = ""
        self.legacy = False

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        assert self._session is not None
        return self._session

    def issue(self, output: FlvOutput, session: ViewerSession, *, legacy: bool) -> None:
        """The viewer is let in."""
        self._output, self._session, self.legacy = output, session, legacy

    def begin(
        self, transport: asyncio.Transport, fd: int, wrapping: Wrapping, over: Callable[[str], None]
    ) -> FlvViewer:
        """Feeds the viewer from now on."""
        assert self._output is not None
        assert self._viewer is None
        variant = self._output.variant(wrapping)
        viewer = self._viewer = FlvViewer(
            variant, transport, fd, session=self.session, charge=self._streams.charge, over=over, left=self.close
        )
        if self._output.ended or self._closed:
            variant.viewers[viewer] = None
            viewer.end(self._dropped or "stream_end")
            return viewer
        variant.enter(viewer)
        return viewer

    def drop(self, reason: str) -> None:
        """The session is ended from elsewhere: the connection goes too."""
        self._dropped = reason
        if self._viewer is not None:
            self._viewer.end(reason)
        else:
            self.close(reason)

    def close(self, reason: str) -> None:
        """The session is over."""
        if not self._closed:
            self._closed = True
            if self._session is not None:
                self._streams.close(self._session, reason)
