"""Makes pictures and packets of sound, with times, of the RTP packets of one section. Pure.

Law: a picture is handed on when it is whole and what it builds on was handed on; after a loss nothing is until the next
key picture. Sound has no such ties: of it what is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hlsd.ingest.webrtc.clock import StreamClock
from hlsd.ingest.webrtc.depacketiser import CodedPicture, Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import OrderCounts, Ordered, ReorderBuffer
from hlsd.ingest.webrtc.key_requests import KeyRequests
from hlsd.ingest.webrtc.reception import Reception
from hlsd.ingest.webrtc.vpx import Vp8Depacketiser, Vp9Depacketiser
from hlsd.media.codecs import VideoCodec
from hlsd.ports.converted_pictures import Convertible
from hlsd.webrtc.rtp import RtpPacket
from hlsd.webrtc.sdp import Chosen

SOUND_PATIENCE: Final = 0.12
"""Seconds that sound waits for a packet that was overtaken; what is gone is silence."""
KEY_PATIENCE: Final = 20.0
"""Seconds after which pictures are handed on without a key picture: their sender may refresh them bit by bit."""
NEW_SOURCE: Final = 1.0
"""Least seconds between two sources of one section."""
SentCodec = VideoCodec | Convertible
"""Of pictures that come."""
_CODECS: Final[dict[str, tuple[SentCodec, type[Depacketiser]]]] = {
    "H264": ("h264", Depacketiser),
    "H265": ("h265", H265Depacketiser),
    "VP8": ("vp8", Vp8Depacketiser),
    "VP9": ("vp9", Vp9Depacketiser),
}


class Receiver:
    """One section's packets. `patience`: seconds that a missing one is waited for."""

    def __init__(self, chosen: Chosen, patience: float) -> None:
        self.payload = chosen.payload
        self.rtx = chosen.rtx
        self.clock = StreamClock(chosen.payload.rate)
        self.reception: Reception | None = None
        """Of the source that sends it now."""
        self._asks = "nack" in chosen.payload.feedback
        self._patience = patience
        self.counts = OrderCounts()
        """Of all its sources."""
        self.order = ReorderBuffer(patience, asks=self._asks, counts=self.counts)
        self._since = 0.0
        self.heard = 0.0
        """When its last packet came."""

    @property
    def ssrc(self) -> int:
        """Its source, or 0."""
        return self.reception.ssrc if self.reception is not None else 0

    def push(self, packet: RtpPacket, now: float, *, again: bool) -> None:
        """Takes a packet; `again`: it came as a retransmission."""
        self.heard = now
        reception = self.reception
        if reception is None or packet.ssrc != reception.ssrc:
            if again or (reception is not None and now - self._since < NEW_SOURCE):
                return
            reception = self._begin(packet, now)
        if not again:  # it is another source's, as far as reports go (RFC 4588 §4)
            reception.packet(packet.sequence, packet.timestamp, now)
        for ordered in self.order.push(packet, now, again=again):
            self.take(ordered, now)

    def tick(self, now: float) -> None:
        """Lets time pass."""
        for ordered in self.order.tick(now):
            self.take(ordered, now)

    def take(self, ordered: Ordered, now: float) -> None:
        """Takes what is in order."""
        raise NotImplementedError

    def _begin(self, packet: RtpPacket, now: float) -> Reception:
        self._since = now
        self.clock.restart()
        self.order = ReorderBuffer(self._patience, asks=self._asks, counts=self.counts)
        self.reception = Reception(packet.ssrc, self.payload.rate)
        return self.reception


class PictureReceiver(Receiver):
    """The picture's; `hand_on(codec, picture, ms)`."""

    def __init__(
        self,
        chosen: Chosen,
        patience: float,
        interval: float,
        now: float,
        hand_on: Callable[[SentCodec, CodedPicture, int], None],
    ) -> None:
        super().__init__(chosen, patience)
        self.codec, depacketiser = _CODECS[chosen.payload.name]
        self.depacketiser = depacketiser()
        self._interval = interval
        self.keys = KeyRequests(interval, now)
        self._hand_on = hand_on
        self._since_loss = now

    @property
    def held(self) -> int:
        """Bytes that are not handed on yet."""
        return self.order.held + self.depacketiser.held

    def take(self, ordered: Ordered, now: float) -> None:
        """Takes what is in order."""
        before = self.depacketiser.lost
        pictures = self.depacketiser.push(ordered)
        if self.depacketiser.lost != before:
            self.lose(now)
        for picture in pictures:
            if picture.key:
                self.keys.came(now)
            elif self.keys.missing and picture.slices:
                if now - self._since_loss < KEY_PATIENCE:
                    continue
                self.keys.missing = False
            self._hand_on(self.codec, picture, self.clock.ms(picture.timestamp, now))

    def connected(self, now: float) -> None:
        """Only from now on can a picture come."""
        self.keys = KeyRequests(self._interval, now)

    def lose(self, now: float) -> None:
        """A picture is lost."""
        if not self.keys.missing:
            self.keys.missing = True
            self._since_loss = now

    def _begin(self, packet: RtpPacket, now: float) -> Reception:
        if self.reception is not None:
            self.depacketiser.begin_anew()
            self.lose(now)  # what it sends first may build on what nobody saw
        return super()._begin(packet, now)


class SoundReceiver(Receiver):
    """The sound's; `hand_on(payload, ms)`."""

    def __init__(self, chosen: Chosen, hand_on: Callable[[bytes, int], None]) -> None:
        super().__init__(chosen, SOUND_PATIENCE)
        self._hand_on = hand_on

    def take(self, ordered: Ordered, now: float) -> None:
        """Takes what is in order."""
        packet = ordered.packet
        if packet.payload:
            self._hand_on(packet.payload, self.clock.ms(packet.timestamp, now))
