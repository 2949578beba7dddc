"""Is one viewer's transport with what is sent on it: packets, reports, and what it asks for again. Sans-IO.

Law: media goes only where somebody has shown to hear us (`hlsd.webrtc.transport`); what is sent again has a bound, as
has everything a viewer may ask for. What its line does not carry is not sent, instead of waiting somewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.base.token_bucket import TokenBucket
from hlsd.delivery.whep.line import LineJudge
from hlsd.delivery.whep.picture_sender import PictureSender
from hlsd.webrtc import rtcp
from hlsd.webrtc.transport import PeerTransport

if TYPE_CHECKING:
    from hlsd.delivery.whep.packets import PacketLog
    from hlsd.webrtc.dtls import DtlsIdentity
    from hlsd.webrtc.sdp import Offer
    from hlsd.webrtc.sdp_answer import Sources
    from hlsd.webrtc.transport import Address

REPORT: Final = 1.0
"""Seconds between two sender's reports."""
AGAIN: Final = 400
"""Packets a second that are sent again at most: a fifth of 20 Mbit/s."""
KEYS: Final = 1.0
"""Seconds between two key pictures that one viewer has us look for."""
_head = struct.Struct(">BBHII").pack


@dataclass(slots=True)
class SentCounts:
    """Packets that went out, by what they were; `missed`: asked for again and not there, or above the bound."""

    picture: int = 0
    sound: int = 0
    again: int = 0
    missed: int = 0
    keys: int = 0
    """Requests for a key picture."""


class ViewedStream(Protocol):
    """What a viewer has to know of its stream."""

    def instant(self, wall: float) -> float | None:
        """At which tick of 90 kHz the stream stands at that time (seconds since 1970); None before there is media."""
        ...

    def want_key(self, now: float) -> bool:
        """A viewer needs a key picture: whether its publisher was asked for one."""
        ...


class SoundSender:
    """The sound of one viewer."""

    def __init__(self, kind: int, ssrc: int, start: int) -> None:
        self.ssrc = ssrc
        self.packets = self.octets = 0
        self.offset = start * 65_537 & 0xFFFFFFFF
        self._kind = kind
        self._sequence = start & 0x7FFF

    def packet(self, payload: bytes, time: int) -> bytes:
        """A packet of the sound that is heard at `time`, samples of 48 kHz."""
        # "the marker bit SHOULD be set" in the first packet of a talkspurt (RFC 3551 §4.1): there is one.
        kind = self._kind if self.packets else self._kind | 0x80
        self._sequence = self._sequence + 1 & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return _head(0x80, kind, self._sequence, time + self.offset & 0xFFFFFFFF, self.ssrc) + payload


class ViewerPeer(PeerTransport):
    """One viewer's. `start()` gives random numbers of 16 bits; `ready()`: media may go from now on."""

    def __init__(  # noqa: PLR0913 - what a session is made of
        self,
        offer: Offer,
        identity: DtlsIdentity,
        send: Callable[[bytes, Address], None],
        send_all: Callable[[Sequence[bytes], Address], None],
        *,
        log: PacketLog,
        stream: ViewedStream,
        sources: Sources,
        start: Callable[[], int],
        wall: Callable[[], float],
        ready: Callable[[], None],
        patience: float,
        silence: float,
        now: float,
    ) -> None:
        super().__init__(offer, identity, send, patience=patience, silence=silence, now=now)
        self.sent = SentCounts()
        self.octets = 0
        """Bytes of media sent, as datagrams: what a session is charged with."""
        self.line = LineJudge()
        self.picture: PictureSender | None = None
        self.sound: SoundSender | None = None
        self._send_all = send_all
        self._log = log
        self._again_from: int | None = None  # the key picture that it was sent once more
        self._stream = stream
        self._wall = wall
        self._ready = ready
        self._serving = False
        self._report_due = now
        self._reported = now, 0
        self._key_due = 0.0
        self._again = TokenBucket(AGAIN, now)
        if (chosen := offer.picture) is not None:
            kinds = chosen.payload.number, chosen.rtx.number if chosen.rtx is not None else 0
            self.picture = PictureSender(log, kinds, sources, start())
        if (chosen := offer.sound) is not None:
            self.sound = SoundSender(chosen.payload.number, sources.sound, start())

    @property
    def watches(self) -> bool:
        """Whether media may go."""
        return self.path is not None and not self.ended

    # -- media

    def serve(self, now: float) -> None:
        """Sends what is due of the picture."""
        picture, protection, path = self.picture, self.protection, self.path
        if picture is None or protection is None or path is None or self.ended:
            return
        if datagrams := list(map(protection.protect, picture.take())):
            self._send_all(datagrams, path)
            self.sent.picture += len(datagrams)
            self.octets += sum(map(len, datagrams))
        if picture.waits and now >= self._key_due:
            self._key_due = now + KEYS
            self._stream.want_key(now)

    def hear(self, payload: bytes, time: int) -> None:
        """Sends a packet of sound."""
        if self.sound is not None and self.protection is not None and self.path is not None and not self.ended:
            self._put(self.sound.packet(payload, time))
            self.sent.sound += 1

    def _put(self, packet: bytes) -> None:
        assert self.protection is not None
        assert self.path is not None
        datagram = self.protection.protect(packet)
        self.octets += len(datagram)
        self._send(datagram, self.path)

    # -- what it says

    def _take_control(self, compound: bytes, now: float) -> None:
        picture, sound = self.picture, self.sound
        first = picture.ssrc if picture is not None else sound.ssrc if sound is not None else 0
        for told in rtcp.heard(compound):
            if told.kind == "most":
                self.line.estimate(told.value, now)
            elif told.kind == "report" and told.ssrc == first:
                self._judge(told.value / 256, now)
            elif picture is not None and told.ssrc == picture.ssrc:
                if told.kind == "nack":
                    self._send_again(picture, told.lost, now)
                elif told.kind == "key":
                    self._look_for_key(picture, now)

    def _judge(self, lost: float, now: float) -> None:
        since, before = self._reported
        self._reported = now, self.octets
        line = self.line
        line.report(lost, (self.octets - before) * 8 / max(0.1, now - since), now)
        if line.passing == "nothing":
            self.end("slow", f"its line loses {lost:.0%} of what is sent, key pictures alone too")
        elif self.picture is not None and self.picture.keys_only != (line.passing == "keys"):
            self.picture.keys_only = line.passing == "keys"

    def _send_again(self, picture: PictureSender, wanted: tuple[int, ...], now: float) -> None:
        if self.path is None:
            return
        for sequence in wanted:
            packet = picture.resend(sequence) if self._again.has(1, now) else None
            if packet is None:
                self.sent.missed += 1
                continue
            self._again.take()
            self.sent.again += 1
            self._put(packet)

    def _look_for_key(self, picture: PictureSender, now: float) -> None:
        """Its decoder stands still until a key picture comes: a new one, or else the newest once more."""
        self.sent.keys += 1
        if now < self._key_due:
            return
        self._key_due = now + KEYS
        # Once for each key picture: who stands still again after it, or says so, does not get all of it each second.
        if not self._stream.want_key(now) and self._log.key not in (None, self._again_from):
            self._again_from = self._log.key
            picture.begin()

    # -- what goes

    def _turn(self, now: float) -> None:
        self.ask(now)
        if self.path is None:
            if now - self.connected >= self._patience:
                self.end("idle", "it does not answer at the address to which media is to go")
            return
        if not self._serving:
            self._serving = True
            self._key_due = now + KEYS
            if self.picture is not None:
                self.picture.begin()
            self._ready()
        self.serve(now)
        if now >= self._report_due:
            self._report_due = now + REPORT
            self._report()

    def _report(self) -> None:
        """By it picture and sound are played together, for both are dated by one clock."""
        wall = self._wall()
        tick = self._stream.instant(wall)
        if tick is None:
            return
        for source, rate in ((self.picture, 1.0), (self.sound, 48 / 90)):
            if source is not None and source.packets:
                time = round(tick * rate) + source.offset
                self._tell(rtcp.sender_report(source.ssrc, wall, time, source.packets, source.octets))

    def _tell(self, compound: bytes) -> None:
        if self.protection is not None and self.path is not None:
            self._send(self.protection.protect_control(compound), self.path)

    def end(self, reason: str, why: str) -> None:
        """Ends it: its sources say goodbye."""
        sources = [one.ssrc for one in (self.picture, self.sound) if one is not None]
        if not self.ended and sources:
            self._tell(rtcp.goodbye(sources))
        super().end(reason, why)
