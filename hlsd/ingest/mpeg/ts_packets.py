"""Finds the packets of a transport stream in what comes: 188 bytes each, or 192 and 204 with more beside them.

Law: a packet begins with 47 (ISO/IEC 13818-1 §2.4.3.3), and so do those behind it: where one does not, bytes were lost
or put in, and the next place is looked for from which on four do. Never raises, and holds less than `KEPT` bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SYNC: Final = 0x47
PACKET: Final = 188
STRIDES: Final = (188, 192, 204)
"""Bytes from packet to packet: alone, behind a time stamp of four (Blu-ray), before a code of sixteen (DVB)."""
SURE: Final = 4
"""Packets in a row by which a beginning is known."""
KEPT: Final = (SURE - 1) * STRIDES[-1] + 1
LOOKED: Final = 64 << 10
"""Bytes without a packet after which it is none."""


class TsPackets:
    """What of the stream is not a whole packet yet."""

    __slots__ = ("_pass", "_rest", "resyncs", "skipped", "stride")

    def __init__(self) -> None:
        self.stride = 0
        """Bytes from packet to packet; 0 while that is not known."""
        self.skipped = 0
        """Bytes that were of no packet since the last one."""
        self.resyncs = 0
        """How often it was lost where packets are."""
        self._rest = b""
        self._pass = 0  # bytes that come and are beside a packet

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._rest)

    def feed(self, octets: bytes) -> tuple[bytes, Sequence[int]]:
        """Bytes, and where in them packets begin."""
        data = self._rest + octets if self._rest else octets
        at, end = self._pass, len(data)
        stride = self.stride
        if stride == PACKET and not at and not end % PACKET and data[::PACKET].count(SYNC) == end // PACKET:
            self._rest = b""  # a datagram, as a rule
            return data, range(0, end, PACKET)
        found: list[int] = []
        sure = stride > 0
        while True:
            if not sure:
                at, self.stride = self._seek(data, at, stride)
                if not self.stride:
                    break
                stride, sure = self.stride, True
            count = max(0, (end - at - PACKET) // stride + 1)
            heads = data[at : at + count * stride : stride][:count]
            if heads.count(SYNC) == count:
                found += range(at, at + count * stride, stride)
                at += count * stride
                if at >= end or data[at] == SYNC:
                    break
            else:
                count = next(n for n, head in enumerate(heads) if head != SYNC)
                found += range(at, at + count * stride, stride)
                at += count * stride
            sure = False
            self.resyncs += 1
        self._pass = max(0, at - end)
        self._rest = data[at:]
        return data, found

    def _seek(self, data: bytes, at: int, known: int) -> tuple[int, int]:
        """Where packets begin, and their stride; or from where on that is to be looked for again, and 0."""
        end, start = len(data), at
        strides = (known, *(one for one in STRIDES if one != known)) if known else STRIDES
        while True:
            place = data.find(SYNC, at)
            if place < 0:
                self.skipped += end - start
                return end, 0
            for stride in strides:
                if place + (SURE - 1) * stride < end and data[place : place + SURE * stride : stride][:SURE] == b"GGGG":
                    self.skipped = 0
                    return place, stride
            if end - place < KEPT:
                self.skipped += place - start
                return place, 0
            at = place + 1
