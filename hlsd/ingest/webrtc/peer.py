"""Is one publisher's side of a session: its media from SRTP to whole pictures and sound, and what is asked of it.

Sans-IO: what is below it is `hlsd.webrtc.transport`, which takes datagrams and sends them. Times are monotonic seconds.
Raises nothing for what a peer sends: the session ends, and `ended` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hlsd.base.errors import ProtocolError
from hlsd.base.token_bucket import TokenBucket
from hlsd.ingest.webrtc.clock import lead
from hlsd.ingest.webrtc.depacketiser import CodedPicture
from hlsd.ingest.webrtc.receiver import PictureReceiver, Receiver, SentCodec, SoundReceiver
from hlsd.ingest.webrtc.twcc import TransportFeedback
from hlsd.webrtc import rtcp, rtp
from hlsd.webrtc.dtls import DtlsIdentity
from hlsd.webrtc.sdp import Offer
from hlsd.webrtc.settings import WebrtcSettings
from hlsd.webrtc.transport import HEAD, Address, PeerTransport

FEEDBACK: Final = 0.1
"""Seconds between two reports of what came when."""
REPORT: Final = 1.0
"""Seconds between two receiver's reports."""
QUIET: Final = 1.0
"""Seconds after which a picture of which nothing comes is asked for no key picture."""


class MediaSink(Protocol):
    """Who takes what a peer sends; times in milliseconds modulo 2^32, one clock for both."""

    def picture(self, codec: SentCodec, picture: CodedPicture, ms: int) -> bool:
        """Takes a picture; whether it was worked on, else what builds on it is of no use."""
        ...

    def sound(self, codec: str, payload: bytes, ms: int) -> None:
        """Takes a packet of sound in "OPUS", "PCMU" or "PCMA"."""
        ...

    def received(self, size: int) -> None:
        """Bytes of media have come that are the session's: what else it says does not keep its name."""
        ...

    def unsteady(self) -> None:
        """What its reports say of its clocks cannot be."""
        ...


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """What one session may take. Seconds, bits and packets a second."""

    handshake: float
    silence: float
    bitrate: int
    packets: int
    patience: float
    key_interval: float

    @classmethod
    def of(cls, settings: WebrtcSettings) -> PeerLimits:
        """As they are configured."""
        return cls(
            handshake=settings.handshake_timeout,
            silence=settings.idle_timeout,
            bitrate=settings.max_bitrate,
            packets=max(500, settings.max_bitrate // 2000),
            patience=settings.loss_wait,
            key_interval=settings.keyframe_interval,
        )


class Peer(PeerTransport):
    """One session, whose offer is accepted. `send(datagram, address)` may lose what it is given."""

    def __init__(  # noqa: PLR0913 - what a session is made of
        self,
        offer: Offer,
        identity: DtlsIdentity,
        limits: PeerLimits,
        sink: MediaSink,
        send: Callable[[bytes, Address], None],
        *,
        ssrc: int,
        now: float,
    ) -> None:
        super().__init__(offer, identity, send, patience=limits.handshake, silence=limits.silence, now=now)
        self.asked: dict[str, int] = {"loss": 0, "interval": 0, "start": 0, "viewer": 0}
        """Requests for a key picture, by cause."""
        self._limits = limits
        self._sink = sink
        self._ssrc = ssrc
        self._now = now
        self._transport_id = offer.transport_id
        self._remb = any("goog-remb" in one.payload.feedback for one in (offer.picture, offer.sound) if one is not None)
        self._wide: TransportFeedback | None = TransportFeedback() if offer.transport_id else None
        self._wide_due = self._report_due = now
        self.picture: PictureReceiver | None = None
        self.sound: SoundReceiver | None = None
        self._by_payload: dict[int, Receiver] = {}
        self._resent: dict[int, Receiver] = {}
        if offer.picture is not None:
            self.picture = PictureReceiver(offer.picture, limits.patience, limits.key_interval, now, self._hand_on)
            self._by_payload[offer.picture.payload.number] = self.picture
            if offer.picture.rtx is not None:
                self._resent[offer.picture.rtx.number] = self.picture
        if offer.sound is not None:
            name = offer.sound.payload.name
            self.sound = SoundReceiver(offer.sound, lambda payload, ms: sink.sound(name, payload, ms))
            self._by_payload[offer.sound.payload.number] = self.sound
        self._bytes = TokenBucket(limits.bitrate / 8, now)
        self._packets = TokenBucket(limits.packets, now)

    @property
    def held(self) -> int:
        """Bytes of media that are not handed on yet."""
        return (self.picture.held if self.picture is not None else 0) + (
            self.sound.order.held if self.sound is not None else 0
        )

    # -- what comes

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes what came from `address`."""
        self._now = now
        super().receive(datagram, address, now)

    def _opened(self, now: float) -> None:
        if self.picture is not None:
            self.picture.connected(now)

    def _take_media(self, datagram: bytes, now: float) -> None:
        protection = self.protection
        assert protection is not None
        size = len(datagram) + HEAD
        if not self._allowed(size, now):
            self.counts.limited += 1
            return
        octets = protection.media(datagram)
        if octets is None:
            self.counts.bad += 1
            return
        self.heard = now
        self.counts.received += 1
        self._sink.received(size)
        try:
            packet = rtp.read(octets, self._transport_id)
        except ProtocolError:
            self.counts.bad += 1
            return
        if packet.transport >= 0 and self._wide is not None:
            self._wide.note(packet.transport, now)
        receiver = self._by_payload.get(packet.kind)
        if receiver is not None:
            receiver.push(packet, now, again=False)
        elif (receiver := self._resent.get(packet.kind)) is not None:
            again = rtp.resent(packet, receiver.payload.number, receiver.ssrc)
            if again is not None and receiver.ssrc:
                receiver.push(again, now, again=True)

    def _take_control(self, compound: bytes, now: float) -> None:
        for told in rtcp.read(compound):
            receiver = next((one for one in self._by_payload.values() if one.reception and one.ssrc == told.ssrc), None)
            if receiver is None or receiver.reception is None:
                continue
            receiver.clock.report(told)
            receiver.reception.report(told, now)

    def _hand_on(self, codec: SentCodec, picture: CodedPicture, ms: int) -> None:
        receiver, sound = self.picture, self.sound
        assert receiver is not None
        if not self._sink.picture(codec, picture, ms):
            receiver.lose(self._now)
        if sound is not None and not lead(receiver.clock, sound.clock):
            self._sink.unsteady()

    def _allowed(self, size: int, now: float) -> bool:
        """Whether its bounds have room for a packet of media."""
        if not (self._bytes.has(size, now) and self._packets.has(1, now)):
            return False
        self._bytes.take(size)
        self._packets.take()
        return True

    # -- what goes

    def _turn(self, now: float) -> None:
        self._now = now
        for receiver in self._by_payload.values():
            receiver.tick(now)
        self._feed_back(now)

    def _feed_back(self, now: float) -> None:
        compounds = [
            rtcp.nack(self._ssrc, receiver.ssrc, wanted)
            for receiver in self._by_payload.values()
            if (wanted := receiver.order.asked(now))
        ]
        picture = self.picture
        # Who sends nothing has nothing to answer with: paused, or gone.
        sends = picture is not None and now - picture.heard < QUIET
        if picture is not None and sends and (cause := picture.keys.due(now)) is not None:
            self.asked[cause] += 1
            compounds.append(rtcp.picture_loss(self._ssrc, picture.ssrc))
        if self._wide is not None and now >= self._wide_due:
            self._wide_due = now + FEEDBACK
            media = picture.ssrc if picture is not None else self.sound.ssrc if self.sound is not None else 0
            while (body := self._wide.report()) is not None:
                compounds.append(rtcp.transport_feedback(self._ssrc, media, body))
        if now >= self._report_due:
            self._report_due = now + REPORT
            sources = [one.reception for one in self._by_payload.values() if one.reception is not None]
            report = rtcp.receiver_report(self._ssrc, [one.block(now) for one in sources])
            if self._remb:
                report += rtcp.maximum_bitrate(self._ssrc, self._limits.bitrate, [one.ssrc for one in sources])
            compounds.append(report)
        protection = self.protection
        if protection is not None:
            self._reply([protection.protect_control(compound) for compound in compounds])
