"""Joins packets of sound whose frames may stand behind one another, up to the frame of what comes out that they make.

At 44.1 kHz Nellymoser comes as 172 packets a second, and 47 frames of AAC go out: a packet that completes none waits
for the one that does, so nothing comes out later, and decoder, filter and encoder are asked a quarter as often. Pure.
"""

from __future__ import annotations

from typing import Final

from hlsd.sound.clock import PER_MS, RATE

_BLOCK: Final = 64
"""Bytes of a frame of Nellymoser; a packet is one or several."""
_SAMPLES: Final = 256
"""Samples in it."""
_JITTER: Final = 20
"""Milliseconds that a stamp may be from where the packets before it end."""


class Joiner:
    """Of one stream of Nellymoser at `rate`. Times in ms, samples of 48 kHz."""

    def __init__(self, rate: int) -> None:
        self._block = _SAMPLES * RATE / rate
        self._at = 0
        self._held: list[bytes] = []
        self._samples = 0.0

    def take(self, ms: int, packet: bytes, room: int) -> list[tuple[int, bytes]]:
        """What is to be decoded now, with its time; `room`: samples up to the frame that is completed next."""
        ready: list[tuple[int, bytes]] = []
        off = ms - self._at
        late = off - self._samples / PER_MS > _JITTER
        if self._held and (off < 0 or late or len(packet) % _BLOCK):
            ready = self.rest()
        if not self._held:
            self._at = ms
        self._held.append(packet)
        self._samples += len(packet) // _BLOCK * self._block
        if self._samples >= room or len(packet) % _BLOCK or ready:
            ready += self.rest()
        return ready

    def rest(self) -> list[tuple[int, bytes]]:
        """What waits."""
        if not self._held:
            return []
        joined, self._held, self._samples = b"".join(self._held), [], 0.0
        return [(self._at, joined)]
