"""Knows every stream as a transport stream, and lets its viewers in by the entrance (`hlsd.ports.ts_play.TsAudience`).

A stream that is not there is 404 at once. The session lives as long as the connection: it is held open, and closed with
it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.delivery.ts.backlog import NEXT_KEY
from hlsd.delivery.ts.output import NAME, TsOutput
from hlsd.ports import MEDIA, MORE, Denial

if TYPE_CHECKING:
    from hlsd.base.faults import Faults
    from hlsd.ports import Entrance, Feed, PlayRequest, PublishRequest, Sessions, ViewerSession
    from hlsd.ports.ts_play import TsPlayer

UNCARRIED: Final = Denial(415, "AV1 is not carried in a transport stream", "codec")


class TsStreams:
    """Those of one server: `TsAudience`, `Outputs` to the entrance, `OutputFactory` to streams."""

    name = NAME

    def __init__(self, entrance: Entrance, sessions: Sessions, faults: Faults) -> None:
        self._entrance = entrance
        self._sessions = sessions
        self._faults = faults
        self._outputs: dict[tuple[str, str], TsOutput] = {}

    def output(self, stream: Feed, request: PublishRequest) -> TsOutput:  # noqa: ARG002 - whoever publishes
        """That of a stream that has begun."""
        made = self._outputs[stream.app, stream.name] = TsOutput(stream, self._faults)
        for key, output in list(self._outputs.items()):
            if output.ended:
                del self._outputs[key]
        return made

    # -- as viewers come

    async def admit(self, request: PlayRequest) -> TsViewerTicket | Denial:
        """Lets a viewer in, or says why not; never raises for what a stranger may send."""
        ticket = TsViewerTicket(self._sessions)
        entry = await self._entrance.enter(replace(request, drop=ticket.drop), self)
        if isinstance(entry, Denial):
            return entry
        entry.session.held += 1
        ticket.issue(entry.output, entry.session)
        return ticket

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer whom its protocol turns away."""
        return self._entrance.refuse(request, denial)

    # -- as the entrance sees it

    def find(self, app: str, name: str) -> TsOutput | None:
        """The stream of that name, unless it has ended, or failed too often."""
        output = self._outputs.get((app, name))
        return None if output is None or output.ended or output.off else output

    async def ready(self, request: PlayRequest, output: TsOutput) -> Denial | None:  # noqa: ARG002
        """There is nothing to wait for: bytes come when there are some."""
        return None if output.playable else UNCARRIED


class TsViewerTicket:
    """A viewer who was let in (`hlsd.ports.ts_play.TsTicket`)."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._output: TsOutput | None = None
        self._session: ViewerSession | None = None
        self._player: TsPlayer | None = None
        self._place = NEXT_KEY
        self._kind = MEDIA
        self._dropped = ""
        self._closed = False

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        assert self._session is not None
        return self._session

    @property
    def rate(self) -> float:
        """Bytes a second of the stream."""
        return self._output.rate if self._output is not None else 0.0

    def issue(self, output: TsOutput, session: ViewerSession) -> None:
        """The viewer is let in."""
        self._output, self._session = output, session

    def begin(self, player: TsPlayer) -> None:
        """Feeds it from now on."""
        assert self._output is not None
        self._player = player
        if self._output.ended or self._closed:
            player.over(self._dropped or "stream_end")
            return
        self._output.enter(player)

    def take(self, most: int) -> list[bytes]:
        """The next datagrams."""
        if self._output is None or self._closed:
            return []
        self._place, found = self._output.backlog.since(self._place, most)
        return found

    def charge(self, size: int) -> None:
        """So many bytes have been sent."""
        session = self._session
        if session is not None and session.over:
            session = None  # the last pictures of a stream that is over
        self._sessions.charge(session, size, self._kind)
        self._kind = MORE

    def drop(self, reason: str) -> None:
        """The session is ended from elsewhere: the connection goes too."""
        self._dropped = reason
        if self._player is not None:
            self._player.over(reason)
        else:
            self.close(reason)

    def close(self, reason: str) -> None:
        """The session is over."""
        if self._closed:
            return
        self._closed = True
        if self._output is not None and self._player is not None:
            self._output.leave(self._player)
        if self._session is not None:
            self._session.held -= 1
            self._sessions.close(self._session, reason)
