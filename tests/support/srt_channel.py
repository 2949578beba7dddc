"""Lets two SRT state machines speak over a line that loses, delays, doubles and reorders, by a seed. No sockets."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol


class Speaker(Protocol):
    """A link, or who is about to have one."""

    def receive(self, datagram: bytes, now: float) -> list[bytes]: ...

    def tick(self, now: float) -> list[bytes]: ...


@dataclass
class Line:
    """Both directions. Times in seconds; shares from 0 to 1."""

    seed: int
    loss: float = 0.0
    doubled: float = 0.0
    way: float = 0.04
    jitter: float = 0.0
    now: float = 1000.0
    dropped: int = 0
    _order: count[int] = field(default_factory=count)
    _flying: list[tuple[float, int, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def end(self, to: int) -> Callable[[bytes], None]:
        """What one side sends by, to the other one, `to`."""

        def send(datagram: bytes) -> None:
            if self._random.random() < self.loss:
                self.dropped += 1
                return
            for _ in range(2 if self._random.random() < self.doubled else 1):
                due = self.now + self.way + self._random.random() * self.jitter
                heapq.heappush(self._flying, (due, next(self._order), to, datagram))

        return send

    def run(self, ends: list[Speaker], until: float, took: Callable[[int, bytes], None]) -> None:
        """Lets time pass: `took` gets what each end hands on."""
        while self.now < until:
            self.now = round(self.now + 0.01, 6)
            while self._flying and self._flying[0][0] <= self.now:
                due, _, to, datagram = heapq.heappop(self._flying)
                for payload in ends[to].receive(datagram, due):
                    took(to, payload)
            for number, end in enumerate(ends):
                for payload in end.tick(self.now):
                    took(number, payload)
