"""Says what one viewer is sent of a stream's picture: which packets, under which numbers and times, and which again.

Law: numbers rise by one, whatever is left out; what is sent again is what was sent, to the bit. Who falls behind what
is kept goes on at the newest key picture; who cannot take all gets key pictures only. Nothing here waits but a place in
the stream's packets. Pure.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hlsd.delivery.whep.packets import Packet, PacketLog
    from hlsd.webrtc.sdp_answer import Sources

BURST: Final = 128
"""Packets that one viewer is sent at once; the rest goes a turn later."""
CATCH_UP: Final = 90
"""Ticks between pictures that are sent late, to a viewer who begins: they are shown as fast as they are decoded, and
the newest one at its own time. By their own times the viewer would stay as far behind as the key picture was."""
RESEND: Final = 1200
"""Ticks within which pictures are put that are sent once more: later than the last one was, sooner than the next."""
STRETCHES: Final = 64
"""Stretches of one viewer that are remembered: what was sent before the oldest cannot be sent again."""
_head = struct.Struct(">BBHII").pack
_again = struct.Struct(">BBHIIH").pack


class SentStretch(NamedTuple):
    """From `sequence` (extended) on packets go one for one, beginning with `number`.

    Pictures of packets before `until` get the time `base` + (their number - `frame`) * `step`.
    """

    sequence: int
    number: int
    until: int = 0
    base: int = 0
    frame: int = 0
    step: int = 0


class PictureSender:
    """That of one viewer. `kinds`: payload types of packets and of those sent again (0: none is); `start` is random."""

    def __init__(self, log: PacketLog, kinds: tuple[int, int], sources: Sources, start: int) -> None:
        self.ssrc = sources.picture
        self.offset = start * 65_537 & 0xFFFFFFFF
        """What is added to times: "The initial value of the timestamp SHOULD be random" (RFC 3550 §5.1)."""
        self.keys_only = False
        """Whether only key pictures are sent."""
        self.packets = 0
        self.octets = 0
        """As sender's reports have them: payloads, what is sent again not counted."""
        self._log = log
        self._kind, self._again = kinds
        self._again_ssrc = sources.again
        self._again_sequence = start ^ 0x5555
        self._sequence = 0x10000 + (start & 0x7FFF)  # extended
        self._cursor: int | None = None  # the next packet to send; None: the next key picture
        self._stretches: deque[SentStretch] = deque(maxlen=STRETCHES)
        self._last = 0  # ticks of the newest picture sent

    @property
    def waits(self) -> bool:
        """Whether nothing can be sent before a key picture comes."""
        return self._cursor is None

    def begin(self) -> None:
        """Goes on with the newest key picture that is here, or the next one that comes."""
        log, key = self._log, self._log.key
        if key is None or self.keys_only:
            self._cursor = None
            return
        first, newest = log[key], log[log.end - 1]
        frames = newest.frame - first.frame
        if self.packets:  # later than all that was sent, and before what comes next
            step = max(1, RESEND // (frames + 2))
            base = max(self._last, newest.ticks) + step
        else:
            step, base = CATCH_UP, newest.ticks - frames * CATCH_UP
        self._leap(key, until=log.end, base=base, frame=first.frame, step=step)

    def restart(self) -> None:
        """What follows is of another coding or clock: it goes on with the next key picture."""
        self._cursor = None

    def take(self) -> Iterator[bytes]:
        """The packets that are due now; `BURST` at most."""
        log = self._log
        if (self._cursor is None or self._cursor < log.first) and not self._find():
            return
        cursor = self._cursor
        assert cursor is not None
        stretch = self._stretches[-1]
        for number in range(cursor, min(log.end, cursor + BURST)):
            packet = log[number]
            self._cursor = number + 1
            sequence = self._sequence
            self._sequence += 1
            self.packets += 1
            self.octets += len(packet.payload)
            done = self.keys_only and packet.last
            if done:
                self._cursor = None  # until the next one
            yield self._header(packet, sequence, self._time(stretch, number, packet)) + packet.payload
            if done:
                return

    def resend(self, sequence: int) -> bytes | None:
        """The packet of that number (16 bits) once more; None if it is not here any more, or never was."""
        extended = self._sequence - ((self._sequence - sequence & 0xFFFF) or 0x10000)
        stretch = next((one for one in reversed(self._stretches) if one.sequence <= extended), None)
        if stretch is None:
            return None
        number = stretch.number + extended - stretch.sequence
        if not self._log.has(number):
            return None
        packet = self._log[number]
        time = self._time(stretch, number, packet)
        if not self._again:
            return self._header(packet, extended, time) + packet.payload
        second = self._again | (0x80 if packet.last else 0)
        self._again_sequence = self._again_sequence + 1 & 0xFFFF
        head = _again(0x80, second, self._again_sequence, time, self._again_ssrc, sequence)
        return head + packet.payload

    def _find(self) -> bool:
        """Goes on at the newest key picture, if there is one that was not sent."""
        key = self._log.key
        if key is None or (self._stretches and key < self._behind()):
            return False
        self._leap(key)
        return True

    def _behind(self) -> int:
        """The number behind the newest packet that was sent."""
        stretch = self._stretches[-1]
        return stretch.number + self._sequence - stretch.sequence

    def _leap(self, number: int, until: int = 0, base: int = 0, frame: int = 0, step: int = 0) -> None:
        self._cursor = number
        if self._stretches and self._stretches[-1].sequence == self._sequence:
            self._stretches.pop()  # nothing was sent of it
        self._stretches.append(SentStretch(self._sequence, number, until, base, frame, step))

    def _time(self, stretch: SentStretch, number: int, packet: Packet) -> int:
        if number >= stretch.until:
            ticks = packet.ticks
        else:
            ticks = stretch.base + (packet.frame - stretch.frame) * stretch.step
        self._last = max(self._last, ticks)
        return ticks + self.offset & 0xFFFFFFFF

    def _header(self, packet: Packet, sequence: int, time: int) -> bytes:
        return _head(0x80, self._kind | (0x80 if packet.last else 0), sequence & 0xFFFF, time, self.ssrc)
