"""Knows every stream as RTSP viewers get it, and lets them in by the entrance (`hlsd.ports.rtsp_play.RtspAudience`).

A stream that is not there is 404 at once. The session lives as long as the connection: it is held open, and closed with
it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.delivery.rtsp.output import NAME, RtspOutput
from hlsd.ports import MEDIA, MORE, Denial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.base.faults import Faults
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Entrance, LiveStream, PlayRequest, PublishRequest, Sessions, ViewerSession
    from hlsd.ports.rtsp_play import RtspPlayer

TRACKS: Final = 10.0
"""Seconds that a viewer waits for the tracks of a stream that has only begun."""
UNCARRIED: Final = Denial(415, "AV1 is not sent by RTSP here", "codec")
NOT_READY: Final = Denial(503, "the stream has not begun yet", "absent")


class RtspStreams:
    """Those of one server: `RtspAudience`, `Outputs` to the entrance, `OutputFactory` to streams."""

    name = NAME

    def __init__(
        self,
        entrance: Entrance,
        sessions: Sessions,
        gop: Callable[[str, str], Sequence[AccessUnit]],
        faults: Faults,
    ) -> None:
        self._entrance = entrance
        self._sessions = sessions
        self._gop = gop
        self._faults = faults
        self._outputs: dict[tuple[str, str], RtspOutput] = {}

    def output(self, stream: LiveStream, request: PublishRequest) -> None:  # noqa: ARG002 - whoever publishes
        """That of a stream that has begun: it attaches itself while somebody watches."""
        for key, output in list(self._outputs.items()):
            if output.feed.over:
                del self._outputs[key]
        there = self._outputs.get((stream.app, stream.name))
        if there is None or there.feed is not stream:
            app, name = stream.app, stream.name
            self._outputs[app, name] = RtspOutput(stream, lambda: self._gop(app, name), self._faults)

    # -- as viewers come

    async def admit(self, request: PlayRequest) -> RtspViewerTicket | Denial:
        """Lets a viewer in, or says why not; never raises for what a stranger may send."""
        ticket = RtspViewerTicket(self._sessions)
        entry = await self._entrance.enter(replace(request, drop=ticket.drop), self)
        if isinstance(entry, Denial):
            return entry
        entry.session.held += 1
        ticket.issue(entry.output, entry.session)
        # Once more: who has a say in it may have led the viewer to another stream.
        tracks = await entry.output.tracks_within(TRACKS)
        denial = _unfit(tracks)
        if denial is not None:
            ticket.close("error:codec" if denial is UNCARRIED else "closed")
            return denial
        return ticket

    def refuse(self, request: PlayRequest, denial: Denial) -> Denial:
        """Counts a viewer whom its protocol turns away."""
        return self._entrance.refuse(request, denial)

    # -- as the entrance sees it

    def find(self, app: str, name: str) -> RtspOutput | None:
        """The stream of that name, unless it has ended, or failed too often."""
        output = self._outputs.get((app, name))
        return None if output is None or output.feed.over or output.off else output

    async def ready(self, request: PlayRequest, output: RtspOutput) -> Denial | None:  # noqa: ARG002
        """Its tracks are known, and can be carried."""
        with output.used():
            return _unfit(await output.tracks_within(TRACKS))


def _unfit(tracks: Tracks | None) -> Denial | None:
    if tracks is None:
        return NOT_READY
    return UNCARRIED if tracks.video is not None and tracks.video.codec == "av1" else None


class RtspViewerTicket:
    """A viewer who was let in (`hlsd.ports.rtsp_play.RtspTicket`)."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._output: RtspOutput | None = None
        self._session: ViewerSession | None = None
        self._player: RtspPlayer | None = None
        self._kind = MEDIA
        self._dropped = ""
        self._closed = False

    @property
    def session(self) -> ViewerSession:
        """What it is charged to."""
        assert self._session is not None
        return self._session

    @property
    def tracks(self) -> Tracks:
        """What there is of the stream."""
        assert self._output is not None
        assert self._output.known is not None
        return self._output.known

    def issue(self, output: RtspOutput, session: ViewerSession) -> None:
        """The viewer is let in."""
        self._output, self._session = output, session
        output.attach()

    def begin(self, player: RtspPlayer, *, burst: bool) -> None:
        """Feeds it from now on."""
        assert self._output is not None
        self._player = player
        if self._output.ended or self._closed:
            player.over(self._dropped or "stream_end")
            return
        self._output.enter(player, burst=burst)

    def wall(self, ticks: int) -> float:
        """When that instant came, seconds since 1970."""
        return self._output.wall(ticks) if self._output is not None else 0.0

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
        output, player = self._output, self._player
        if output is not None:
            if player is not None:
                output.leave(player)
            output.detach()
        if self._session is not None:
            self._session.held -= 1
            self._sessions.close(self._session, reason)
