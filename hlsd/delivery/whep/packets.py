"""Keeps the newest packets of a stream's picture, made once for all its viewers: what is sent, and sent again.

A viewer is a place among them (a packet's number), so a hundred cost no more memory than one. Bounded in bytes and in
packets: who asks for what is gone gets nothing, who is behind all of it goes on at the newest key picture. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

PACKETS: Final = 8192
"""Kept at most: two seconds of the fastest publisher by WebRTC, sixteen of an ordinary one."""


class Packet(NamedTuple):
    """A packet's payload, and what its header says to every viewer.

    `ticks` of 90 kHz; `frame` counts pictures; `begins`: it is the first of a key picture; `last` of its picture.
    """

    payload: bytes
    ticks: int
    frame: int
    begins: bool
    last: bool


class PacketLog:
    """The packets numbered `first` to `end` - 1. `most`: bytes."""

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self.first = 0
        self.end = 0
        """The number of the next packet."""
        self.key: int | None = None
        """That of the newest with which a viewer can begin, if it is still here."""
        self.frames = 0
        """Pictures so far."""
        self._most = most
        self._packets: deque[Packet] = deque()

    def __getitem__(self, number: int) -> Packet:
        """The packet `number`, which must be here."""
        return self._packets[number - self.first]

    def has(self, number: int) -> bool:
        """Whether the packet is here."""
        return self.first <= number < self.end

    def add(self, payloads: list[bytes], ticks: int, *, key: bool) -> None:
        """A picture."""
        frame, packets = self.frames, self._packets
        self.frames += 1
        if key and payloads:
            self.key = self.end
        last = len(payloads) - 1
        for place, payload in enumerate(payloads):
            packets.append(Packet(payload, ticks, frame, key and not place, place == last))
            self.bytes += len(payload)
        self.end += len(payloads)
        while self.bytes > self._most or len(packets) > PACKETS:
            self.bytes -= len(packets.popleft().payload)
            self.first += 1
        if self.key is not None and self.key < self.first:
            self.key = None

    def forget_key(self) -> None:
        """Nobody begins with what is here."""
        self.key = None
