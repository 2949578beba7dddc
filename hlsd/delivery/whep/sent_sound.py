"""Is Opus as its publisher sent it, on its way to viewers by WebRTC: whether there is such now, and when it is heard.

Ways in tell times in whole milliseconds, or have rounded them; a receiver takes RTP timestamps that tremble for a line
that does. So packets follow one another by what they last (RFC 7587 §4.1) as long as that is what the clock says.
"""

from __future__ import annotations

from typing import Final

from hlsd.media.opus import duration

PAUSE: Final = 0.6
"""Seconds without a packet after which there is none any more: with DTX one comes each 0.4 s (RFC 7587 §3.1.3)."""
ROUNDING: Final = 240
"""Samples by which a time may be off for being rounded: 5 ms."""


class SentSound:
    """One stream's."""

    def __init__(self) -> None:
        self._heard = float("-inf")
        self._next: int | None = None

    def flows(self, now: float) -> bool:
        """Whether sound comes as Opus."""
        return now - self._heard <= PAUSE

    def place(self, ticks: int, packet: bytes, now: float) -> int:
        """The sample of 48 kHz at which a packet is heard that came for `ticks` of 90 kHz."""
        self._heard = now
        at = ticks * 8 // 15
        if self._next is not None and abs(at - self._next) <= ROUNDING:
            at = self._next
        self._next = at + duration(packet) * 8 // 15
        return at
