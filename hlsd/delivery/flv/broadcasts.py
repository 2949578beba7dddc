"""Knows every stream as FLV viewers get it, and lets viewers in, by whatever protocol they come.

The order is that of HLS: authorised, then looked for (and pulled on demand), then a session opens. A stream that is not
there is 404 at once. The session lives as long as the connection: it is held open, and closed with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hlsd.base.faults import Faults
from hlsd.delivery.flv.output import ROOM, FlvOutput
from hlsd.delivery.flv.viewer import Viewer
from hlsd.ports import Denial, PlayRequest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from hlsd.audience import Wrapping
    from hlsd.delivery.flv.settings import FlvSettings
    from hlsd.ports import Directory, Feed, Grant, PublishRequest, Session, Sessions

ABSENT = Denial(404, "not found", "absent")


class FlvStreams:
    """The FLV side of one server: `hlsd.audience.Audience` to viewers, `hlsd.ports.OutputFactory` to streams."""

    name = ROOM

    def __init__(
        self, settings: FlvSettings, directory: Directory, sessions: Sessions, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self._directory = directory
        self._sessions = sessions
        self._casts: dict[tuple[str, str], FlvOutput] = {}
        self._served = {"flv": settings.http, "wsflv": settings.websocket, "rtmp": settings.rtmp}

    @property
    def viewers(self) -> int:
        """How many watch now, all streams together."""
        return sum(cast.viewers for cast in self._casts.values())

    def output(self, stream: Feed, request: PublishRequest) -> None:  # noqa: ARG002 - whoever publishes
        """The FLV of a stream that has begun: it attaches itself, while somebody watches or the GOP is kept."""
        cast = self._casts.get((stream.app, stream.name))
        if cast is None or cast.feed is not stream:
            self._casts[stream.app, stream.name] = FlvOutput(stream, self.settings, self.faults)

    def find(self, app: str, name: str) -> FlvOutput | None:
        """The stream of that name, unless it has ended, or failed too often."""
        cast = self._casts.get((app, name))
        return None if cast is None or cast.over or cast.off else cast

    async def admit(self, request: PlayRequest) -> FlvTicket | Denial:
        """Lets a viewer in, or says why not; never raises for what a stranger may send."""
        ticket = FlvTicket(self)
        found = await self._authorise(replace(request, drop=ticket.drop))
        if isinstance(found, Denial):
            return found
        request, grant = found
        cast = self.find(request.app, request.name)
        if cast is None:
            if not self._directory.obtainable(request.app, request.name):
                return ABSENT
            obtained = await self._directory.obtain(request)
            if isinstance(obtained, Denial):
                return obtained
        session = await self._sessions.open(request, grant)
        if isinstance(session, Denial):
            return session
        cast = self.find(session.app, session.name)  # now: it may have come, or gone, meanwhile
        if cast is None:
            self._sessions.close(session, "stream_end")
            return ABSENT
        session.requests += 1
        session.held += 1
        codec = request.query.get("codecid", "")
        legacy = codec == "12" or (self.settings.hevc == "legacy" and codec not in {"hvc1", "enhanced"})
        ticket.issue(cast, session, legacy=legacy)
        return ticket

    async def look(self, request: PlayRequest) -> Denial | None:
        """Why a viewer would not be let in; makes no session, and nothing come."""
        found = await self._authorise(request)
        if isinstance(found, Denial):
            return found
        request, _ = found
        here = self.find(request.app, request.name) or self._directory.obtainable(request.app, request.name)
        return None if here else ABSENT

    async def _authorise(self, request: PlayRequest) -> tuple[PlayRequest, Grant] | Denial:
        """The request with the name that it may watch."""
        if not self._served.get(request.protocol, False):
            return ABSENT
        grant = await self._sessions.authorise(request)
        if isinstance(grant, Denial):
            return grant
        if grant.name and grant.name != request.name:
            request = replace(request, name=grant.name, asked=request.name)
        return request, grant

    def sweep(self, now: float) -> None:
        """Once a second: viewers who do not read, streams that are over."""
        guard = self.faults.guard("flv_sweep")
        for key, cast in list(self._casts.items()):
            with guard:
                cast.sweep(now)
            if cast.over:
                del self._casts[key]

    def end(self, reason: str) -> None:
        """Ends every viewer."""
        guard = self.faults.guard("flv_end")
        for cast in list(self._casts.values()):
            with guard:
                cast.dismiss(reason)

    @property
    def charge(self) -> Callable[[Session | None, int, int], None]:
        """Counts bytes to a session."""
        return self._sessions.charge

    def close(self, session: Session, reason: str) -> None:
        """The viewer has gone."""
        session.held -= 1
        self._sessions.close(session, reason)


class FlvTicket:
    """A viewer's right to be fed, and its connection's link with its session (`hlsd.ports.Ticket`)."""

    def __init__(self, broadcasts: FlvStreams) -> None:
        self._broadcasts = broadcasts
        self._viewer: Viewer | None = None
        self._cast: FlvOutput | None = None
        self._session: Session | None = None
        self._closed = False
        self._dropped = ""
        self.legacy = False

    @property
    def session(self) -> Session:
        """What it is charged to."""
        assert self._session is not None
        return self._session

    def issue(self, cast: FlvOutput, session: Session, *, legacy: bool) -> None:
        """The viewer is let in."""
        self._cast, self._session, self.legacy = cast, session, legacy

    def begin(self, transport: asyncio.Transport, fd: int, wrapping: Wrapping, over: Callable[[str], None]) -> Viewer:
        """Feeds the viewer from now on."""
        assert self._cast is not None
        assert self._viewer is None
        form = self._cast.form(wrapping)
        viewer = self._viewer = Viewer(
            form, transport, fd, session=self.session, charge=self._broadcasts.charge, over=over, left=self.close
        )
        if self._cast.over or self._closed:
            form.viewers[viewer] = None
            viewer.end(self._dropped or "stream_end")
            return viewer
        form.enter(viewer)
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
                self._broadcasts.close(self._session, reason)
