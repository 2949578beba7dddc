"""Puts the packets of one source into order, asks for those that are missing, and gives up on them in time. Pure.

Law: what comes out rises by one, but for a `hole` that is told where packets were given up; nothing waits for longer
than `patience`, no more than `PACKETS` packets and `BYTES` bytes of them, for no more than `MISSING` others. Times are
monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from hlsd.webrtc.rtp import RtpPacket

PACKETS: Final = 2048
"""Packets that wait behind a missing one."""
BYTES: Final = 4 << 20
"""Bytes of them."""
MISSING: Final = 2048
"""Packets that are waited for: each is something to remember, and a sender may number its packets as it likes."""
LEAP: Final = 1000
"""Numbers that a source may leap: beyond it is another source under the same name, or no packet that came again."""
FIRST_ASKED: Final = 0.010
"""Seconds after which a packet that is missing is asked for: until then it may only have been overtaken."""
ASKED_AGAIN: Final = 0.050
"""Least seconds between two askings for one packet."""
ASKED_AT_ONCE: Final = 128
"""Packets asked for in one turn."""


class Ordered(NamedTuple):
    """The next packet; `hole`: packets before it were given up."""

    packet: RtpPacket
    hole: bool


@dataclass(slots=True)
class _Missing:
    """A packet that was sent, as its successors tell, and has not come."""

    noticed: float
    asked: float = 0.0


@dataclass(slots=True)
class OrderCounts:
    """Packets that came when they were asked for; that were given up; that were there already, or given up."""

    recovered: int = 0
    lost: int = 0
    late: int = 0


class ReorderBuffer:
    """One source. `patience`: seconds until a missing packet is given up; `asks`: whether it is asked for at all."""

    def __init__(self, patience: float, *, asks: bool, counts: OrderCounts | None = None) -> None:
        self.counts = counts or OrderCounts()
        self.patience = patience
        self._asks = asks
        self._next = -1  # the extended number that comes out next
        self._highest = -1
        self._waiting: dict[int, RtpPacket] = {}
        self._missing: dict[int, _Missing] = {}
        self._hole = False
        self.held = 0
        """Bytes that wait."""
        self.round_trip = 0.1
        """Seconds between the asking for a packet and its coming, smoothed."""

    def push(self, packet: RtpPacket, now: float, *, again: bool = False) -> list[Ordered]:
        """Takes a packet; returns what is in order by it. `again`: it came as a retransmission."""
        if self._next < 0:
            if again:
                return []  # a probe of the line with packets of before our time
            self._next = packet.sequence + 0x10000
            self._highest = self._next - 1
        number = self._highest + ((packet.sequence - self._highest + 0x8000 & 0xFFFF) - 0x8000)
        ahead = number - self._highest
        if not again and (ahead > LEAP or (ahead < -LEAP and number < self._next)):
            return self._begin_anew(packet, max(number, self._highest + LEAP))
        missing = self._missing.pop(number, None)
        if number < self._next or number in self._waiting or ahead > LEAP:
            self.counts.late += 1
            return []
        if missing is not None and missing.asked:
            self.counts.recovered += 1
            self.round_trip += (min(now - missing.asked, 1.0) - self.round_trip) / 8
        out = self._miss(number, now)
        self._highest = max(self._highest, number)
        if number == self._next and not self._waiting:  # as nearly always
            self._next = number + 1
            hole, self._hole = self._hole, False
            return [Ordered(packet, hole)]
        self._waiting[number] = packet
        self.held += len(packet.payload)
        out += self._ready()
        while len(self._waiting) > PACKETS or self.held > BYTES:
            out += self._skip()
        return out

    def tick(self, now: float) -> list[Ordered]:
        """Gives up what is missing for too long; returns what is in order by it."""
        out: list[Ordered] = []
        while self._waiting:
            first = self._missing.get(self._next)
            if first is not None and now - first.noticed < self.patience:
                break
            out += self._skip()
        return out

    def asked(self, now: float) -> list[int]:
        """The numbers (16 bits) that are to be asked for now."""
        if not self._asks or not self._missing:
            return []
        pause = max(ASKED_AGAIN, self.round_trip)
        wanted: list[int] = []
        for number, missing in self._missing.items():
            if now - missing.noticed >= FIRST_ASKED and (not missing.asked or now - missing.asked >= pause):
                missing.asked = now
                wanted.append(number & 0xFFFF)
                if len(wanted) >= ASKED_AT_ONCE:
                    break
        return wanted

    def _miss(self, number: int, now: float) -> list[Ordered]:
        """Notes what should have come before `number`; returns what is in order by it, where there are too many."""
        out: list[Ordered] = []
        gap = number - self._highest - 1
        while self._waiting and len(self._missing) + gap > MISSING:
            out += self._skip()
        for absent in range(self._highest + 1, number):
            self._missing[absent] = _Missing(now)
        return out

    def _ready(self) -> list[Ordered]:
        out: list[Ordered] = []
        while (packet := self._waiting.pop(self._next, None)) is not None:
            self.held -= len(packet.payload)
            out.append(Ordered(packet, self._hole))
            self._hole = False
            self._next += 1
        return out

    def _skip(self) -> list[Ordered]:
        """Goes on behind what is missing."""
        after = self._next
        while after not in self._waiting:
            self._missing.pop(after, None)
            after += 1
        self.counts.lost += after - self._next
        self._next = after
        self._hole = True
        return self._ready()

    def _begin_anew(self, packet: RtpPacket, number: int) -> list[Ordered]:
        """What waited before a leap belongs to nothing any more."""
        number += packet.sequence - number & 0xFFFF
        self._waiting.clear()
        self._missing.clear()
        self.held = 0
        self._highest, self._next = number, number + 1
        self._hole = False
        return [Ordered(packet, True)]
