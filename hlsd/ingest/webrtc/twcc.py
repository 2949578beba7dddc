"""Says when each packet came, by the numbers that the sender gave them (transport-wide congestion control).

draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1. With it a browser learns within a second what the line can
carry; without, it begins with a stamp of a picture and climbs for twenty. Pure: `now` is monotonic seconds.
"""

from __future__ import annotations

import struct
from typing import Final

KEPT: Final = 4096
"""Numbers from the first that is to be reported to the last: a second's worth. So a sender that numbers its packets far
apart gets ten reports at once, and not one for each packet."""
PER_REPORT: Final = 400
"""Numbers in one report, so that it fits a datagram."""
_TICK: Final = 0.000_25
_REFERENCE: Final = 0.064


class TransportFeedback:
    """What came since the last report."""

    def __init__(self) -> None:
        self._came: dict[int, float] = {}  # extended number: when
        self._highest = -1
        self._next = -1  # the number with which the next report begins
        self._count = 0

    def note(self, number: int, now: float) -> None:
        """A packet with that number (16 bits) has come."""
        if self._highest < 0:
            self._highest = self._next = extended = number
        else:
            extended = self._highest + ((number - self._highest + 0x8000 & 0xFFFF) - 0x8000)
            if extended >= self._next + KEPT:
                self._came.clear()
                self._next = extended
            self._highest = max(self._highest, extended)
        if extended >= self._next:
            self._came.setdefault(extended, now)

    def report(self) -> bytes | None:
        """The body of a report behind its two sources; None when nothing has come. Call until it is None."""
        came = self._came
        if not came:
            return None
        base = self._next
        first = min(came)
        if first - base >= PER_REPORT:
            base = first
        numbers = [number for number in sorted(came) if number < base + PER_REPORT]
        last = numbers[-1]
        reference = int(came[numbers[0]] / _REFERENCE)
        at = reference * _REFERENCE
        symbols: list[int] = []
        deltas: list[bytes] = []
        for number in range(base, last + 1):
            arrived = came.pop(number, None)
            if arrived is None:
                symbols.append(0)
                continue
            ticks = round((arrived - at) / _TICK)
            if not -0x8000 <= ticks <= 0x7FFF:  # eight seconds apart: begin another report with it
                came[number] = arrived
                last = number - 1
                break
            at += ticks * _TICK
            if 0 <= ticks <= 0xFF:
                symbols.append(1)
                deltas.append(bytes((ticks,)))
            else:
                symbols.append(2)
                deltas.append(struct.pack(">h", ticks))
        self._next = last + 1
        self._count = self._count + 1 & 0xFF
        head = struct.pack(">HHI", base & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | (self._count - 1 & 0xFF))
        return head + _chunks(symbols) + b"".join(deltas)


def _chunks(symbols: list[int]) -> bytes:
    """Packet status chunks: a run where there is one, else seven symbols of two bits."""
    chunks: list[int] = []
    at = 0
    while at < len(symbols):
        symbol, run = symbols[at], 1
        while at + run < len(symbols) and symbols[at + run] == symbol and run < 0x1FFF:
            run += 1
        if run >= 7 or at + run == len(symbols):
            chunks.append(symbol << 13 | run)
            at += run
            continue
        vector = 0xC000
        for number, one in enumerate(symbols[at : at + 7]):
            vector |= one << 12 - 2 * number
        chunks.append(vector)
        at += 7
    return struct.pack(f">{len(chunks)}H", *chunks)
