"""Lets viewers in who come by WHEP, each a session of the house and one on the UDP port; knows each stream's output.

Law: who is let in passes the one entrance (`hlsd.ports.Entrance`), and before it the bounds of WebRTC: so many viewers,
so many of one household that are not connected yet. A refusal is counted once.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlsd.base.figures import Histogram
from hlsd.delivery.whep.output import B_FRAMES, NAME, WhepOutput
from hlsd.delivery.whep.viewer import WhepViewer
from hlsd.ports import Denial
from hlsd.ports.whip import WhipAnswer, WhipRefusal
from hlsd.webrtc import sdp
from hlsd.webrtc.sdp_answer import Sources, answer, fragment
from hlsd.webrtc.sdp_wish import read_wish
from hlsd.webrtc.session_book import OtherSession, SessionBook, renewed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.delivery.whep.viewer_peer import ViewerPeer
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Entrance, LiveStream, OpusDesk, PlayRequest, PublishRequest, Sessions
    from hlsd.webrtc.port import WebrtcPort
    from hlsd.webrtc.sdp_wish import Picture

HANDSHAKE: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Bounds for how long it takes until a viewer is connected, seconds."""
TRACKS: Final = 5.0
"""Seconds that a viewer waits for a stream to say what it has."""
KINDS: Final = ("picture", "sound", "again", "missed")
_FAULT: Final = WhipRefusal("error:internal", "something went wrong here")
_FULL: Final = Denial(503, "no place for one more viewer by WebRTC", "limit")
_PENDING: Final = Denial(429, "too many of this address are not connected yet", "limit")
_NOT_READY: Final = Denial(503, "nothing has come of the stream yet, ask again", "not_ready")


class WhepStats:
    """What is counted of viewers that are gone."""

    def __init__(self) -> None:
        self.handshake = Histogram(HANDSHAKE)
        self.packets: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        self.keys = 0
        self.unconnected = 0
        self.narrow = 0

    def add(self, peer: ViewerPeer) -> None:
        """Takes over what one has counted."""
        sent = peer.sent
        for kind in KINDS:
            self.packets[kind] += getattr(sent, kind)
        self.keys += sent.keys


class _Coming:
    """A viewer on its way in, with its offer (`hlsd.ports.Outputs`)."""

    def __init__(self, room: WhepRoom, body: bytes) -> None:
        self._room = room
        self._body = body

    def find(self, app: str, name: str) -> WhepOutput | None:
        return self._room.find(app, name)

    async def ready(self, request: PlayRequest, output: WhepOutput) -> Denial | None:  # noqa: ARG002
        found = await self._room.read(output, self._body)
        return found if isinstance(found, Denial) else None


class _Ticket:
    """The way to end a viewer's session from elsewhere, before it is made and after."""

    def __init__(self) -> None:
        self._viewer: WhepViewer | None = None
        self.dropped = ""

    def issue(self, viewer: WhepViewer) -> None:
        self._viewer = viewer

    def drop(self, reason: str) -> None:
        self.dropped = reason
        if self._viewer is not None:
            self._viewer.end(reason)


class WhepRoom:
    """The viewers on the port (`hlsd.ports.whip.WhipDesk`, `hlsd.ports.OutputFactory`).

    `gop(app, name)`: units of a stream from its newest key picture on, as far as somebody keeps them.
    """

    name = NAME

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        udp: WebrtcPort,
        entrance: Entrance,
        sessions: Sessions,
        desk: OpusDesk | None,
        gop: Callable[[str, str], Sequence[AccessUnit]],
        clock: Clock,
        faults: Faults,
        log: Log,
    ) -> None:
        self.stats = WhepStats()
        self._udp = udp
        self._settings = settings = udp.settings
        self._entrance = entrance
        self._sessions = sessions
        self._desk = desk
        self._gop = gop
        self._clock = clock
        self._faults = faults
        self._log = log
        self._outputs: dict[tuple[str, str], WhepOutput] = {}
        self._book: SessionBook[WhepViewer] = SessionBook(clock, settings.max_viewers, settings.max_handshakes_per_ip)

    @property
    def closed(self) -> str:
        """Why nobody can come in; empty: who may can."""
        return self._udp.closed or ("" if self._settings.play else "webrtc.play is false")

    # -- life

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        self._udp.start()

    async def stop(self) -> None:
        """Ends every viewer."""
        for viewer in self._book.all():
            viewer.end("shutdown")
        self._udp.stop()

    def viewers(self) -> list[WhepViewer]:
        """Those who are let in."""
        return self._book.all()

    # -- as streams see it

    def output(self, stream: LiveStream, request: PublishRequest) -> None:  # noqa: ARG002 - whoever publishes
        """The output of a stream that has begun: it attaches itself while somebody watches."""
        there = self._outputs.get((stream.app, stream.name))
        if there is not None and there.feed is stream:
            return

        def gop() -> Sequence[AccessUnit]:
            return self._gop(stream.app, stream.name)

        self._outputs[stream.app, stream.name] = WhepOutput(
            stream, self._desk, gop, self._clock, self._faults, self._log
        )

    def sweep(self) -> None:
        """Once a second: streams that are over."""
        for key in [key for key, output in self._outputs.items() if output.feed.over]:
            del self._outputs[key]

    def find(self, app: str, name: str) -> WhepOutput | None:
        """The stream of that name, unless it has ended, or failed too often."""
        output = self._outputs.get((app, name))
        return None if output is None or output.feed.over or output.off else output

    # -- as `WhipDesk`

    async def enter(self, asked: PlayRequest, offer: bytes, local: str) -> WhipAnswer | WhipRefusal:
        """Lets a viewer in."""
        if self.closed:
            return WhipRefusal("off", f"nobody plays by WebRTC here: {self.closed}")
        if full := self._book.full(asked.ip):
            return _worded(self._entrance.refuse(asked, _FULL if full == "full" else _PENDING))
        with self._book.entering(asked.ip):
            try:
                return await self._enter(asked, offer, local)
            except Exception as error:  # noqa: BLE001 - an error of ours must end this request and no other
                self._faults.task("whep_viewer", error)
                return _FAULT

    def patch(self, app: str, ident: str, body: bytes, tag: str) -> WhipAnswer | WhipRefusal | None:
        """Takes a fragment."""
        viewer = self._book.get(app, ident)
        if viewer is None or viewer.peer is None:
            return WhipRefusal("gone", "no such session")
        try:
            if not renewed(viewer, body, tag):
                return None
        except sdp.BadOffer as error:
            return WhipRefusal("bad_offer", str(error))
        except OtherSession:
            return WhipRefusal("tag", "not the ICE session that is under way")
        terms = self._udp.terms(viewer, viewer.local, viewer.ip)
        return WhipAnswer(ident, viewer.name, fragment(viewer.offer, terms), terms.ufrag)

    def leave(self, app: str, ident: str) -> bool:
        """Ends a session."""
        viewer = self._book.get(app, ident)
        if viewer is not None:
            viewer.end("closed")
            return True
        return self._book.was(app, ident)

    def whose(self, app: str, ident: str) -> str:
        """The name of what a session watches."""
        viewer = self._book.get(app, ident)
        return viewer.name if viewer is not None else ""

    # -- how

    async def read(self, output: WhepOutput, body: bytes) -> tuple[sdp.Offer, str] | Denial:
        """An offer, by what the stream has: with its picture's codec."""
        with output.used():
            tracks = await output.tracks_within(TRACKS)
            b_frames = output.has_b_frames
        if tracks is None:
            return _NOT_READY
        if b_frames:
            return Denial(422, B_FRAMES, "unacceptable")
        try:
            return _wish(tracks, body, has_sound=self._desk is not None)
        except sdp.BadOffer as error:
            return Denial(400, str(error), "bad_offer")
        except sdp.Unacceptable as error:
            return Denial(422, str(error), "unacceptable")

    async def _enter(self, asked: PlayRequest, body: bytes, local: str) -> WhipAnswer | WhipRefusal:
        await self._udp.load()
        ticket = _Ticket()
        entry = await self._entrance.enter(replace(asked, drop=ticket.drop), _Coming(self, body))
        if isinstance(entry, Denial):
            return _worded(entry)
        session, output = entry.session, entry.output
        # Once more: who has a say in it may have led the viewer to another stream than its offer was read for.
        found = await self.read(output, body)
        if isinstance(found, Denial) or ticket.dropped or self.closed or output.feed.over:
            self._sessions.close(session, ticket.dropped or ("stream_end" if output.feed.over else "error:codec"))
            return _worded(found) if isinstance(found, Denial) else WhipRefusal("gone", "the session is over")
        offer, codec = found
        ident = secrets.token_hex(16)
        viewer = WhepViewer(
            ident,
            session,
            output,
            offer,
            codec,
            asked.ip,
            self._sessions,
            self._faults,
            self.stats.handshake.observe,
            self._forget,
            self._clock.monotonic(),
        )
        ticket.issue(viewer)
        try:
            sources = Sources(*(secrets.randbits(32) for _ in range(3)))
            output.enter(viewer)
            viewer.meet(self._peer(viewer, output, sources))
            viewer.local = local
            self._book.add(viewer)
            self._udp.add(viewer)
            terms = self._udp.terms(viewer, local, asked.ip)
            text = answer(offer, terms, secrets.randbits(62), sources)
        except Exception:
            viewer.end("error:internal")
            raise
        return WhipAnswer(ident, viewer.name, text, terms.ufrag)

    def _peer(self, viewer: WhepViewer, output: WhepOutput, sources: Sources) -> ViewerPeer:
        from hlsd.delivery.whep.viewer_peer import ViewerPeer  # noqa: PLC0415 - what it stands on is loaded by the port

        settings = self._settings
        return ViewerPeer(
            viewer.offer,
            self._udp.identity,
            self._udp.send,
            self._udp.send_all,
            log=output.packets,
            stream=output,
            sources=sources,
            start=lambda: secrets.randbits(16),
            wall=self._clock.wall,
            ready=viewer.begin,
            patience=settings.handshake_timeout,
            silence=settings.idle_timeout,
            now=viewer.since,
        )

    def _forget(self, viewer: WhepViewer) -> None:
        """Nothing of a viewer who is gone stays, but that there was one."""
        if not self._book.forget(viewer):
            return
        self._udp.forget(viewer)
        peer = viewer.peer
        if peer is not None:
            self.stats.add(peer)
            self.stats.unconnected += not peer.connected and viewer.ended == "idle"
            self.stats.narrow += viewer.ended == "slow"
            if peer.why:
                self._log.info("viewer ended", app=viewer.app, name=viewer.name, ip=viewer.ip, protocol="whep",
                               reason=peer.why)  # fmt: skip


def _wish(tracks: Tracks, body: bytes, *, has_sound: bool) -> tuple[sdp.Offer, str]:
    video = tracks.video
    if video is not None and video.codec not in ("h264", "h265"):
        raise sdp.Unacceptable(f"the stream's picture is {video.codec.upper()}, which is not sent by WebRTC here")
    codec: Picture = "h265" if video is not None and video.codec == "h265" else "h264"
    profile = video.record[1] if video is not None and codec == "h264" else 0
    return read_wish(body, codec, profile, has_picture=video is not None, has_sound=has_sound), codec


def _worded(denial: Denial) -> WhipRefusal:
    return WhipRefusal(denial.reason, denial.words, denial.status)
