"""Is one publisher's transport: STUN, DTLS, SRTP and RTCP of a session, from its offer to its end. Sans-IO.

Datagrams come in with the address they came from; what is to be sent is handed to `send`. Law (RFC 8445, 5764, 7983):
nothing is sent to an address that has not shown in a binding request that it knows our password, nothing that comes
from another one is looked at, and DTLS goes with the pair that was nominated. Nor is more sent than has come: whoever
writes another one's address on what it sends has us send no more there than it does itself. Times are monotonic
seconds. Raises nothing for what a peer sends: the session ends, and `ended` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hlsd.base.errors import ProtocolError
from hlsd.base.token_bucket import TokenBucket
from hlsd.ingest.webrtc import rtcp, rtp
from hlsd.ingest.webrtc.clock import lead
from hlsd.ingest.webrtc.depacketiser import CodedPicture
from hlsd.ingest.webrtc.dtls import DtlsHandshake, DtlsIdentity, is_dtls
from hlsd.ingest.webrtc.receiver import PictureReceiver, Receiver, SoundReceiver
from hlsd.ingest.webrtc.sdp import Offer
from hlsd.ingest.webrtc.settings import WebrtcSettings
from hlsd.ingest.webrtc.srtp import Protection
from hlsd.ingest.webrtc.twcc import TransportFeedback
from hlsd.media.codecs import VideoCodec

Address = tuple[str, int]
ADDRESSES: Final = 8
"""Addresses of one session: those of a host with several networks, and after it changed them."""
FEEDBACK: Final = 0.1
"""Seconds between two reports of what came when."""
FIRST_HELLO: Final = 0.05
"""Seconds from the first binding request to our ClientHello: ffmpeg throws away one that comes before it has read the
answer, and the next one goes a second later."""
REPORT: Final = 1.0
"""Seconds between two receiver's reports."""
QUIET: Final = 1.0
"""Seconds after which a picture of which nothing comes is asked for no key picture."""
CONTROL: Final = 500
"""Datagrams a second that are no media: binding requests, DTLS, RTCP. Browsers send some ten."""
GRANT: Final = 4096
"""Bytes that may be sent before anything has come: about what the offer had, and enough for a handshake."""
CREDIT: Final = 64 << 10
"""Bytes that may be sent for what came before."""
_HEAD: Final = 28
"""Bytes of IP and UDP before each datagram."""


class MediaSink(Protocol):
    """Who takes what a peer sends; times in milliseconds modulo 2^32, one clock for both."""

    def picture(self, codec: VideoCodec, picture: CodedPicture, ms: int) -> bool:
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


@dataclass(slots=True)
class PeerCounts:
    """Datagrams that came, by what became of them; those of receivers are theirs. `unsent`: what did not go out."""

    received: int = 0
    bad: int = 0
    limited: int = 0
    unsent: int = 0


class Peer:
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
        self.ended = ""
        """Why it is over, in a word of events."""
        self.why = ""
        """And in words for the log."""
        self.connected = 0.0
        """When hands were shaken."""
        self.counts = PeerCounts()
        self.asked: dict[str, int] = {"loss": 0, "interval": 0, "start": 0}
        """Requests for a key picture, by cause."""
        self.addresses: dict[Address, float] = {}
        """Those that have shown that they know our password, and when they did last."""
        self.address: Address | None = None
        """Where to send."""
        self.client = offer.setup == "passive"
        """Whether we begin the DTLS handshake."""
        self._limits = limits
        self._sink = sink
        self._send = send
        self._ssrc = ssrc
        self.heard = now
        """When anything came last that is the session's."""
        self._since = self._now = now
        self._handshake = DtlsHandshake(identity, client=self.client, expected=offer.fingerprints)
        self._found = 0.0  # when the first address was validated
        self._begun = not self.client
        self._protection: Protection | None = None
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
        self._control = TokenBucket(CONTROL, now)
        self._credit = GRANT

    @property
    def held(self) -> int:
        """Bytes of media that are not handed on yet."""
        return (self.picture.held if self.picture is not None else 0) + (
            self.sound.order.held if self.sound is not None else 0
        )

    # -- what comes

    def admits(self, now: float) -> bool:
        """Whether there is room for one more datagram that is no media."""
        if self._control.has(1, now):
            self._control.take()
            return True
        self.counts.limited += 1
        return False

    def validated(self, address: Address, now: float, *, nominated: bool, size: int = 0) -> None:
        """`address` has shown that it knows our password; `nominated`: media is to go by it (RFC 8445 §8.1.1).

        `size`: by how many bytes that was longer than its answer.
        """
        self._credit = min(CREDIT, self._credit + size)
        if address not in self.addresses and len(self.addresses) >= ADDRESSES:
            oldest = min((one for one in self.addresses if one != self.address), key=lambda one: self.addresses[one])
            del self.addresses[oldest]
        self.addresses[address] = now
        self.heard = now
        if nominated or self.address is None:
            self.address = address
        self._found = self._found or now

    def receive(self, datagram: bytes, address: Address, now: float) -> None:
        """Takes what came from `address`, STUN aside."""
        if address not in self.addresses or self.ended or len(datagram) < 2:
            return
        self._now = now
        self._credit = min(CREDIT, self._credit + len(datagram) + _HEAD)
        try:
            if is_dtls(datagram):
                if self.admits(now):
                    self._take_handshake(datagram, now)
            elif not 128 <= datagram[0] <= 191 or self._protection is None:
                return
            elif not rtp.is_rtcp(datagram):
                self._take_media(datagram, now)
            elif self.admits(now):
                self._take_control(datagram, now)
        except ProtocolError as error:
            self.end("error:protocol", str(error))

    def _take_handshake(self, datagram: bytes, now: float) -> None:
        handshake = self._handshake
        self.heard = now
        self._reply(handshake.receive(datagram))
        if handshake.keys is not None and self._protection is None:
            self._protection = Protection(handshake.keys)
            self.connected = now
            if self.picture is not None:
                self.picture.connected(now)
        if handshake.closed:
            self.end("closed", "")

    def _take_media(self, datagram: bytes, now: float) -> None:
        protection = self._protection
        assert protection is not None
        size = len(datagram) + _HEAD
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

    def _take_control(self, datagram: bytes, now: float) -> None:
        protection = self._protection
        assert protection is not None
        compound = protection.control(datagram)
        if compound is None:
            self.counts.bad += 1
            return
        self.heard = now
        for told in rtcp.read(compound):
            receiver = next((one for one in self._by_payload.values() if one.reception and one.ssrc == told.ssrc), None)
            if receiver is None or receiver.reception is None:
                continue
            receiver.clock.report(told)
            receiver.reception.report(told, now)

    def _hand_on(self, codec: VideoCodec, picture: CodedPicture, ms: int) -> None:
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

    def tick(self, now: float) -> None:
        """To be called some fifty times a second: what is due goes out."""
        if self.ended:
            return
        self._now = now
        try:
            if not self.connected:
                if now - self._since >= self._limits.handshake:
                    self.end("idle", self._missing())
                elif self.address is not None:
                    self._reply(self._shake(now))
                return
        except ProtocolError as error:
            self.end("error:protocol", str(error))
            return
        if now - self.heard >= self._limits.silence:
            self.end("idle", f"nothing came for {self._limits.silence:g} s")
            return
        for receiver in self._by_payload.values():
            receiver.tick(now)
        self._feed_back(now)

    def _shake(self, now: float) -> list[bytes]:
        if self._begun:
            return self._handshake.tick()
        if now - self._found < FIRST_HELLO:
            return []
        self._begun = True
        return self._handshake.begin()

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
        protection = self._protection
        if protection is not None:
            self._reply([protection.protect_control(compound) for compound in compounds])

    def end(self, reason: str, why: str) -> None:
        """Ends it, and tells the peer; nothing happens if it is over."""
        if self.ended:
            return
        self.ended, self.why = reason, why
        self._reply(self._handshake.close())

    def _reply(self, datagrams: list[bytes]) -> None:
        if self.address is None:
            return
        for datagram in datagrams:
            if (size := len(datagram) + _HEAD) > self._credit:
                self.counts.unsent += 1
                continue
            self._credit -= size
            self._send(datagram, self.address)

    def _missing(self) -> str:
        """What never came, for who looks for the reason: nearly always an address, or a firewall."""
        seconds = f"within {self._limits.handshake:g} s"
        if self.address is None:
            return f"no binding request came {seconds}: is our address right (webrtc.hosts), is our UDP port open?"
        return f"no DTLS handshake {seconds}, though {self.address[0]} has found us"
