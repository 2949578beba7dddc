"""Keeps the newest datagrams of one stream for all who play it: a viewer is a number, its place. Pure.

Bounded in bytes: who has fallen off its end goes on at the newest key picture.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

from hlsd.media.ts_writer import PACKET

DATAGRAM: Final = 7 * PACKET
"""Bytes at most: what goes through any line in one piece."""
NEXT_KEY: Final = -1
"""The place of who waits for the next key picture."""


class TsBacklog:
    """That of one stream."""

    def __init__(self, most: int) -> None:
        self.end = 0
        """The number of the next datagram."""
        self.key = NEXT_KEY
        """The newest that one can begin with, if it is still here."""
        self.bytes = 0
        self._most = most
        self._first = 0
        self._datagrams: deque[bytes] = deque()
        self._open = b""

    def add(self, packets: bytes, *, whole: bool) -> None:
        """Adds packets; `whole`: what there is goes out, else it waits until it fills a datagram."""
        octets = self._open + packets if self._open else packets
        size = len(octets)
        at = 0
        while size - at >= DATAGRAM or (whole and at < size):
            self._append(octets[at : at + DATAGRAM])
            at += DATAGRAM
        self._open = octets[at:]

    def mark(self) -> None:
        """What is added now begins with a key picture."""
        if self._open:
            self.add(b"", whole=True)
        self.key = self.end

    def forget_key(self) -> None:
        """Nobody begins with what is here."""
        self.key = NEXT_KEY

    def since(self, place: int, most: int) -> tuple[int, list[bytes]]:
        """At most `most` datagrams from `place` on, and the place behind them."""
        if place == NEXT_KEY or place < self._first:
            if self.key == NEXT_KEY:
                return NEXT_KEY, []
            place = self.key
        begin = place - self._first
        found = list(islice(self._datagrams, begin, begin + most))
        return place + len(found), found

    def _append(self, datagram: bytes) -> None:
        self._datagrams.append(datagram)
        self.bytes += len(datagram)
        self.end += 1
        while self.bytes > self._most:
            self.bytes -= len(self._datagrams.popleft())
            self._first += 1
            if self.key < self._first:
                self.key = NEXT_KEY
