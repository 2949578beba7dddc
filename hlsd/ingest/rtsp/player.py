"""Sends one stream to one RTSP player: RTP within its connection, or by UDP, and the reports that keep it in step.

Law: nothing waits here. Whose connection is full gets nothing more until it is not, and then the next key picture; who
stays full is let go.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.ingest.rtsp.description import PlayedTrack
from hlsd.ingest.rtsp.transports import Transport
from hlsd.media.unit import TICKS, Kind
from hlsd.webrtc import rtcp

if TYPE_CHECKING:
    from hlsd.ports.rtsp_play import RtspTicket

FULL: Final = 4 << 20
"""Bytes that wait in a connection before pictures are left out."""
SLOW: Final = 10.0
"""Seconds that it may stay full."""
REPORTS: Final = 5.0
ASTRAY: Final = 1.0
"""Seconds that reports may be off the clock before they are put right."""
_head: Final = struct.Struct(">BBHII").pack
_framed: Final = struct.Struct(">BBHBBHII").pack
_HEAD: Final = 12


class Wire(Protocol):
    """The client's connection, and its ports."""

    def write(self, octets: bytes) -> None:
        """Sends within the connection."""
        ...

    def waiting(self) -> int:
        """Bytes that wait there."""
        ...

    def send(self, datagram: bytes, port: int, *, control: bool) -> None:
        """Sends to a port of the client's."""
        ...


class _Sent:
    """What is sent of one track."""

    def __init__(self, track: PlayedTrack, transport: Transport) -> None:
        assert transport.pair is not None
        self.track = track
        self.tcp = transport.tcp
        self.pair = transport.pair
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.offset = secrets.randbits(32)
        self.packets = 0
        self.octets = 0
        self.at = 0
        """The latest time sent, in ticks of the stream."""

    def time(self, ticks: int) -> int:
        return (ticks * self.track.rate // TICKS + self.offset) & 0xFFFFFFFF


class RtspSender:
    """One playback (`hlsd.ports.rtsp_play.RtspPlayer`); `ended(reason)` is called if it is the server that ends it."""

    def __init__(
        self,
        ticket: RtspTicket,
        tracks: Sequence[PlayedTrack],
        transports: Mapping[int, Transport],
        wire: Wire,
        ended: Callable[[str], None],
    ) -> None:
        self.ticket = ticket
        self.paused = False
        self._wire = wire
        self._ended = ended
        self._by_kind = {tracks[index].kind: _Sent(tracks[index], one) for index, one in sorted(transports.items())}
        self._leaves_out = False
        self._full_since = 0.0
        self._reported = 0.0
        self._base = 0.0  # when tick 0 came (seconds since 1970), as players were told
        self._started = False

    def media(self, kind: Kind, ticks: int, payloads: Sequence[bytes], *, key: bool) -> None:
        """The next picture or frame."""
        sent = self._by_kind.get(kind)
        if sent is None or self.paused:
            return
        if self._wire.waiting() > FULL:
            self._leaves_out = True
        if self._leaves_out:
            picture = Kind.VIDEO in self._by_kind
            if self._wire.waiting() > FULL // 2 or (picture and not (key and kind is Kind.VIDEO)):
                return
            self._leaves_out = False
        sent.at = ticks
        if not self._started:
            self._started = True
            for one in self._by_kind.values():
                one.at = ticks
            self._report()
        self._send(sent, ticks, payloads)

    def over(self, reason: str) -> None:
        """The server ends it."""
        self._ended(reason)

    def pause(self) -> None:
        """It wants nothing for now."""
        self.paused = True

    def resume(self) -> None:
        """It goes on behind a pause, with a key picture."""
        self.paused, self._leaves_out = False, True

    def sweep(self, now: float) -> None:
        """Once a second."""
        if self._wire.waiting() <= FULL:
            self._full_since = 0.0
        elif not self._full_since:
            self._full_since = now
        elif now - self._full_since >= SLOW:
            self._ended("slow")
            return
        if self._started and now - self._reported >= REPORTS:
            self._reported = now
            self._report()

    def goodbye(self) -> None:
        """Nothing follows (BYE, RFC 3550 §6.6)."""
        if self._started:
            for sent in self._by_kind.values():
                self._control(sent, rtcp.goodbye([sent.ssrc]))

    # -- how

    def _send(self, sent: _Sent, ticks: int, payloads: Sequence[bytes]) -> None:
        time, kind, last = sent.time(ticks), sent.track.payload, len(payloads) - 1
        pieces: list[bytes] = []
        size = 0
        for number, payload in enumerate(payloads):
            second = kind | 0x80 if number == last else kind
            sequence = sent.sequence
            sent.sequence = sequence + 1 & 0xFFFF
            size += len(payload) + _HEAD
            if sent.tcp:
                pieces.append(
                    _framed(0x24, sent.pair[0], len(payload) + _HEAD, 0x80, second, sequence, time, sent.ssrc)
                )
                pieces.append(payload)
            else:
                datagram = _head(0x80, second, sequence, time, sent.ssrc) + payload
                self._wire.send(datagram, sent.pair[0], control=False)
        if pieces:
            self._wire.write(b"".join(pieces))
        sent.packets += len(payloads)
        sent.octets += size - _HEAD * len(payloads)
        self.ticket.charge(size)

    def _report(self) -> None:
        # Players go by each report anew (ffmpeg): were it as good as can be known, pictures would leap by milliseconds.
        base = self.ticket.wall(0)
        if abs(base - self._base) > ASTRAY:
            self._base = base
        for sent in self._by_kind.values():
            wall = self._base + sent.at / TICKS
            self._control(sent, rtcp.sender_report(sent.ssrc, wall, sent.time(sent.at), sent.packets, sent.octets))

    def _control(self, sent: _Sent, compound: bytes) -> None:
        if sent.tcp:
            self._wire.write(b"$" + bytes((sent.pair[1],)) + len(compound).to_bytes(2, "big") + compound)
        else:
            self._wire.send(compound, sent.pair[1], control=True)
