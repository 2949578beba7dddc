"""Publishes what one WebRTC peer sends: the door of RTMP (`hlsd.ports.Admission`), and the same `Normaliser` behind it.

Law: a publication is ended exactly once, unless the hub has dropped it: then nothing of it is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.normaliser import Normaliser
from hlsd.ingest.picture_order import PictureOrder
from hlsd.ingest.share import HELD_BACK, Share
from hlsd.media.sounds import SOUNDS, SoundFormat
from hlsd.media.unit import Kind
from hlsd.ports import LineState
from hlsd.ports.converted_pictures import CONVERTIBLE

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.webrtc.depacketiser import CodedPicture
    from hlsd.ingest.webrtc.peer import Peer
    from hlsd.ingest.webrtc.receiver import SentCodec
    from hlsd.ports import Publication, SoundConverter, SoundDesk
    from hlsd.ports.converted_pictures import Convertible, PictureConverter, PictureDesks
    from hlsd.webrtc.sdp import Offer
    from hlsd.webrtc.transport import Address

T = TypeVar("T")
FORMS: Final = {
    "OPUS": SoundFormat("opus", b"", 48_000, 2),
    "PCMU": SoundFormat("pcm_mulaw", b"", 8_000, 1),
    "PCMA": SoundFormat("pcm_alaw", b"", 8_000, 1),
}
"""What the names of an offer mean."""

UNUSABLE: Final = 30.0
"""Seconds from the handshake on until something is made of the packets that come: more than `KEY_PATIENCE`."""


@dataclass(frozen=True, slots=True)
class PublisherHost:
    """What a publisher knows of the server."""

    clock: Clock
    log: Log
    faults: Faults
    sound: SoundDesk | None
    first: float
    """Seconds for the first media, from the handshake on."""
    pictures: PictureDesks = lambda: None
    """Who makes H.264 of VP8 and VP9."""
    shaken: Callable[[float], None] = lambda _: None
    """Takes how long a publisher's handshake took."""


class WebrtcPublisher:
    """One session as the hub and its peer see it; `over(self)` is called when it is.

    `peer`, `offer` and the rest are its room's business.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        host: PublisherHost,
        ident: str,
        app: str,
        ip: str,
        offer: Offer,
        over: Callable[[WebrtcPublisher], None],
    ) -> None:
        self.ident = ident
        """Whoever knows it may end the session."""
        self.app = app
        self.ip = ip
        self.offer = offer
        self.peer: Peer | None = None
        """Once it is let in."""
        self.dropped = False
        self.ended = ""
        """Why it is over; empty while it lasts."""
        self.bytes = 0
        """Of media that have come."""
        self.local = ""
        """The address of ours at which it asked."""
        self.offered: list[str] = []
        """Where it was told to send to."""
        self.share = Share()
        """What it costs; a second's part used up, its datagrams are dropped."""
        self.name = ""
        """The stream's, once it is let in."""
        self.began = host.clock.monotonic()
        self._host = host
        self._over = over
        self._words = ""
        self._publication: Publication | None = None
        self._normaliser: Normaliser | None = None
        self._converter: SoundConverter | None = None
        self._conversion: PictureConverter | None = None
        self._remarks = Remarks(self._remark)
        self._order = PictureOrder(self._remarks, "RTP has no")

    # -- as the hub sees it

    def drop(self, reason: str) -> None:
        """The publication is gone already and must not be touched again."""
        self.dropped = True
        self.ended = self.ended or reason
        self._publication = None
        guard = self._host.faults.guard("webrtc_publisher")
        with guard:
            self._release()
        with guard:
            if self.peer is not None:
                self.peer.end(reason, self._words)
        self._over(self)

    def hear(self, words: str) -> None:
        """What the hub says before it drops: a peer has no ear for it, the log has."""
        self._words = words

    def held(self) -> int:
        """Bytes of its media that wait here."""
        return sum(one.held for one in (self.peer, self._normaliser, self._conversion) if one is not None)

    def refresh(self) -> None:
        """A viewer needs a key picture."""
        if self.peer is not None and self.peer.picture is not None:
            self.peer.picture.keys.want()

    def line(self) -> LineState | None:
        """How its packets come through."""
        peer = self.peer
        if peer is None:
            return None
        tracks = [one for one in (peer.picture, peer.sound) if one is not None]
        lost = sum(one.counts.lost for one in tracks)
        trip = max((one.order.round_trip for one in tracks if one.counts.recovered), default=0.0)
        return LineState(bool(peer.connected), lost / max(1, lost + peer.counts.received), trip)

    # -- as its room sees it

    def begin(self, publication: Publication) -> None:
        """It is let in."""
        self._publication = publication
        self.name = publication.name

    @property
    def tag(self) -> str:
        """The user name fragment of ours in force."""
        return self.peer.fragment if self.peer is not None else ""

    def take(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes a datagram, if its part of this second is not used up."""
        if self.share.exhausted:
            self.hold_back()
            return
        self.share.start()
        assert self.peer is not None
        self.peer.receive(datagram, address, now)
        self.share.stop()

    def tick(self, now: float) -> None:
        """Some fifty times a second."""
        self.share.start()
        assert self.peer is not None
        self.peer.tick(now)
        self.share.stop()

    def shaken(self, now: float) -> None:
        """It is connected."""
        self._host.shaken(now - self.began)

    def hold_back(self) -> None:
        """Something of it is dropped, as its part of this second is used up."""
        if self.peer is not None:
            self.peer.counts.limited += 1
        self._remarks.note(HELD_BACK, self._now(), seconds=round(self.share.spent, 2))

    def meet(self, peer: Peer) -> None:
        """Who speaks with its browser."""
        self.peer = peer

    def second(self, now: float) -> None:
        """Once a second: patience, and a new second's share of the processor."""
        self.share.second()
        normaliser, peer = self._normaliser, self.peer
        if peer is None:
            return
        if normaliser is None:
            self._wait_for_media(peer, now)
            return
        self._guarded(lambda: normaliser.tick(now))
        if peer.picture is not None and peer.picture.keys.unanswered and self._publication is not None:
            self._remarks.note("publisher does not answer requests for key pictures: its own distance counts", now)

    def end(self, reason: str, why: str = "") -> None:
        """Ends the publication, if there is one; nothing happens if it is over."""
        publication, self._publication = self._publication, None
        self.ended = self.ended or reason
        with self._host.faults.guard("webrtc_publisher"):  # whatever it is, the name must be free again
            if self.peer is not None:
                self.peer.end(reason, why)
        if publication is None:
            return
        if why:
            peer = self.peer
            never = peer is not None and not peer.connected
            lost = {"offered": self.offered, "candidates": self.offer.candidates} if never else {}
            self._remark("publisher ended", {"reason": why, **lost})
        with self._host.faults.guard("publication_end"):
            self._release()
        with self._host.faults.guard("publication_end"):
            publication.end(reason)
        self._over(self)

    # -- as its peer sees it (`hlsd.ingest.webrtc.peer.MediaSink`)

    def picture(self, codec: SentCodec, picture: CodedPicture, ms: int) -> bool:
        """Takes a picture; not when its part of this second is used up."""
        clock = self._host.clock
        now = clock.monotonic()
        if self.share.exhausted:
            self.hold_back()
            return False
        normaliser = self._normaliser or self._open(now)
        if normaliser is None:
            return True
        if codec == "vp8" or codec == "vp9":  # noqa: PLR1714 - mypy tells them apart by it
            return bool(self._guarded(lambda: self._convert(normaliser, codec, picture, ms, now)))
        if picture.slices:
            self._order.look(ms, now)
        self._guarded(lambda: normaliser.video_units(codec, ms, 0, picture.units, picture.key, now, clock.wall()))
        return True

    def sound(self, codec: str, payload: bytes, ms: int) -> None:
        """Takes a packet of sound."""
        now = self._host.clock.monotonic()
        normaliser = self._normaliser or self._open(now)
        if normaliser is not None:
            self._guarded(lambda: self._hear(normaliser, codec, payload, ms, now))

    def received(self, size: int) -> None:
        """Bytes of media have come."""
        self.bytes += size
        if self._publication is not None:
            self._publication.received(size)

    def unsteady(self) -> None:
        """Its clocks are nothing to go by."""
        self._remarks.note("sender reports put picture and sound seconds apart: not followed", self._now())

    # -- how

    def _wait_for_media(self, peer: Peer, now: float) -> None:
        """Ends a session that holds its name with binding requests and reports alone."""
        first = self._host.first
        if any(one.heard for one in (peer.picture, peer.sound) if one is not None):
            first = max(first, UNUSABLE)
        if peer.connected and now - peer.connected >= first:
            self.end("idle", f"no media for {first:g} s")

    def _open(self, now: float) -> Normaliser | None:
        publication = self._publication
        if publication is None:
            return None
        self._normaliser = normaliser = Normaliser(publication, now)
        normaliser.expect(picture=self.offer.picture is not None, sound=self.offer.sound is not None, now=now)
        sound = self.offer.sound
        if self._host.sound is not None and sound is not None:
            # Not what the first packet has: Opus may go from one channel to two within its stream (RFC 7587 §4.3).
            channels = FORMS[sound.payload.name].channels
            self._converter = self._host.sound.converter(normaliser, publication, channels)
        return normaliser

    def _convert(self, normaliser: Normaliser, codec: Convertible, picture: CodedPicture, ms: int, now: float) -> bool:
        """Has H.264 made of a picture; False if it was left out. Raises UnsupportedCodec where nobody does."""
        publication = self._publication
        if publication is None:
            return True
        if self._conversion is None:
            desk = self._host.pictures()
            if desk is None:
                raise UnsupportedCodec(CONVERTIBLE[codec])
            self._conversion = desk.converter(normaliser, publication)
        return self._conversion.take(codec, ms, b"".join(picture.units), picture.key, now)

    def _hear(self, normaliser: Normaliser, codec: str, payload: bytes, ms: int, now: float) -> None:
        form = FORMS[codec]
        if self._converter is None:
            normaliser.unreadable(Kind.AUDIO, UnsupportedCodec(SOUNDS[form.codec]), now)
            return
        try:
            self._converter.take(form, ms, payload, now)
        except UnsupportedCodec as error:
            normaliser.unreadable(Kind.AUDIO, error, now)

    def _guarded(self, work: Callable[[], T]) -> T | None:
        """What media may raise ends this publisher and no other."""
        try:
            return work()
        except UnsupportedCodec as error:
            self.end("error:codec", str(error))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._host.faults.task("webrtc_publisher", error)
            self.end("error:internal")
        return None

    def _release(self) -> None:
        converters, normaliser = (self._converter, self._conversion), self._normaliser
        self._converter = self._conversion = self._normaliser = None
        for converter in converters:
            if converter is not None:
                converter.close()
        if normaliser is not None and not self.dropped:
            normaliser.close()

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._host.log.warning(event, app=self.app, name=self.name, ip=self.ip, protocol="whip", **facts)

    def _now(self) -> float:
        return self._host.clock.monotonic()
