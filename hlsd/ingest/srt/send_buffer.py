"""Keeps what was sent until it is acknowledged, or too late to be of use (draft-sharabayko-srt-01 §4.6, §4.8). Pure.

Payloads are kept as they are handed in: players of one stream share them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hlsd.ingest.srt.packet import SEQUENCE, distance

AGAIN: Final = 0.01
"""Seconds within which a packet is not sent again twice: who asks for all of it all the time gets it so often."""


class SentPacket:
    """One packet. `at`: when it was sent first, `again`: when last."""

    __slots__ = ("again", "at", "number", "payload")

    def __init__(self, number: int, payload: bytes, at: float) -> None:
        self.number = number
        """Of the message: 26 bits."""
        self.payload = payload
        self.at = at
        self.again = 0.0


class SendBuffer:
    """That of one connection."""

    def __init__(self, first: int) -> None:
        self.first = first
        """The oldest number that is kept."""
        self.next = first
        self.bytes = 0
        self.dropped = 0
        """Packets that were too late before they were acknowledged."""
        self._packets: deque[SentPacket] = deque()
        self._number = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, payload: bytes, now: float) -> tuple[int, SentPacket]:
        """The next packet, with its sequence number."""
        sequence = self.next
        self.next = (sequence + 1) & SEQUENCE
        self._number = self._number % 0x03FFFFFF + 1
        packet = SentPacket(self._number, payload, now)
        self._packets.append(packet)
        self.bytes += len(payload)
        return sequence, packet

    def acknowledge(self, until: int) -> bool:
        """All before `until` has come; False if that cannot be."""
        many = distance(until, self.first)
        if many > len(self._packets):
            return False
        self._forget(many)
        return True

    def drop_late(self, before: float) -> bool:
        """Lets go of what was sent first before that time; whether there was any."""
        packets, many = self._packets, 0
        for packet in packets:
            if packet.at >= before:
                break
            many += 1
        self._forget(many)
        self.dropped += many
        return many > 0

    def find(self, sequence: int) -> SentPacket | None:
        """The packet, if it is kept."""
        place = distance(sequence, self.first)
        return self._packets[place] if 0 <= place < len(self._packets) else None

    def asked(self, first: int, last: int, now: float) -> list[tuple[int, SentPacket]]:
        """Those of a stretch that are to be sent again."""
        begin = max(0, distance(first, self.first))
        end = min(len(self._packets) - 1, distance(last, self.first))
        found = []
        for place in range(begin, end + 1):
            packet = self._packets[place]
            if now - packet.again >= AGAIN:
                packet.again = now
                found.append(((self.first + place) & SEQUENCE, packet))
        return found

    def _forget(self, many: int) -> None:
        for _ in range(many):
            self.bytes -= len(self._packets.popleft().payload)
        if many > 0:
            self.first = (self.first + many) & SEQUENCE
