"""Puts packets in order: hands on at once what is next, waits behind a gap, and gives a gap up when its time is over.

SRT's receivers hold all packets back for the latency, since they feed decoders (draft-sharabayko-srt-01 §4.5). What we
feed goes by the times in the media, so only what stands behind a gap waits, and at most for the buffer's `patience`
(§4.6, too-late packet drop). Bounds: `WINDOW` packets, and bytes; beyond either the oldest gap is given up. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from hlsd.ingest.srt.handshake import WINDOW
from hlsd.ingest.srt.packet import SEQUENCE, distance

MOST_BYTES: Final = 8 << 20
"""Of payload behind a gap: 8 s at 8 Mbit/s."""


REPORTED: Final = 1024
"""Packets that are said to be missing at once, the oldest first: the rest has its turn, if it still matters."""


@dataclass(slots=True)
class ReceiveCounts:
    """What became of packets.

    `lost`: given up; `recovered`: missed, and came after all; `late`: after it was given up, or twice; `wild`: with a
    number that cannot be.
    """

    received: int = 0
    lost: int = 0
    recovered: int = 0
    late: int = 0
    wild: int = 0
    gaps: int = 0
    """Packets that were missed when one behind them came."""


class ReceiveBuffer:
    """That of one connection. `patience`: seconds that a gap is waited for, from when it is noticed."""

    def __init__(self, first: int, patience: float, most_bytes: int = MOST_BYTES) -> None:
        self.expected = first
        """The number of the next packet to be handed on: all before it are here, or given up."""
        self.counts = ReceiveCounts()
        self.bytes = 0
        """Of payload that waits."""
        self.patience = patience
        """Of gaps that are noticed from now on."""
        self._most = most_bytes
        self._newest = first  # behind the last that came
        self._held: dict[int, bytes] = {}
        self._missing: dict[int, float] = {}  # in order; when each is given up

    @property
    def waiting(self) -> int:
        """Packets of the window that are taken."""
        return distance(self._newest, self.expected)

    def take(self, sequence: int, payload: bytes, now: float) -> tuple[list[bytes], tuple[int, int] | None]:
        """Takes a packet; returns what can be handed on, and the gap before it if that is new."""
        counts = self.counts
        counts.received += 1
        if sequence == self.expected == self._newest:  # the ordinary case
            self.expected = self._newest = (sequence + 1) & SEQUENCE
            return [payload], None
        ahead = distance(sequence, self.expected)
        if ahead < 0:
            counts.late += 1
            return [], None
        if ahead >= WINDOW:
            counts.wild += 1
            return [], None
        gap: tuple[int, int] | None = None
        beyond = distance(sequence, self._newest)
        if beyond < 0:
            if self._missing.pop(sequence, None) is None:
                counts.late += 1
                return [], None
            counts.recovered += 1
        else:
            if beyond:
                gap = self._newest, (sequence - 1) & SEQUENCE
                self._miss(beyond, now)
            self._newest = (sequence + 1) & SEQUENCE
        self._held[sequence] = payload
        self.bytes += len(payload)
        return self._ready(), gap

    def skip(self, first: int, last: int) -> list[bytes]:
        """The sender has dropped these (§3.2.9): they are not waited for; returns what can be handed on."""
        missing = self._missing
        if distance(last, first) < 0 or distance(last, self._newest) >= 0:
            last = (self._newest - 1) & SEQUENCE  # of what nobody has missed yet nothing is known
        given_up = [one for one in missing if distance(one, first) >= 0 and distance(one, last) <= 0]
        for one in given_up:
            missing[one] = 0.0
        return self._ready()

    def give_up(self, now: float) -> list[bytes]:
        """Lets time pass; returns what can be handed on."""
        missing = self._missing
        if not missing or next(iter(missing.values())) > now:
            return []
        for one, until in missing.items():
            if until > now:
                break
            missing[one] = 0.0
        return self._ready()

    def losses(self) -> list[tuple[int, int]]:
        """What is missed now, in stretches."""
        stretches: list[tuple[int, int]] = []
        for one in islice(self._missing, REPORTED):
            if stretches and stretches[-1][1] == (one - 1) & SEQUENCE:
                stretches[-1] = stretches[-1][0], one
            else:
                stretches.append((one, one))
        return stretches

    def _miss(self, many: int, now: float) -> None:
        until, first = now + self.patience, self._newest
        for step in range(many):
            self._missing[(first + step) & SEQUENCE] = until
        self.counts.gaps += many

    def _ready(self) -> list[bytes]:
        """What can be handed on: up to the first gap whose time is not over."""
        ready: list[bytes] = []
        held, missing = self._held, self._missing
        expected = self.expected
        while expected != self._newest:
            payload = held.pop(expected, None)
            if payload is not None:
                self.bytes -= len(payload)
                ready.append(payload)
            elif missing.get(expected, 0.0) == 0.0 or self.bytes > self._most:
                missing.pop(expected, None)
                self.counts.lost += 1
            else:
                break
            expected = (expected + 1) & SEQUENCE
        self.expected = expected
        return ready
