"""Turns the times of a source whose clock does not count milliseconds into those that a `Normaliser` takes.

A transport stream counts 90 kHz in 33 bits, RTP the track's clock in 32, Matroska what its header says. Pure.
"""

from __future__ import annotations


class MediaClock:
    """A clock of `rate` ticks a second that wraps at 2^`bits`: one for all tracks whose times are on it.

    Times may step back and forth by less than half the way to the wrap.
    """

    __slots__ = ("_full", "_half", "_last", "_rate", "_started")

    def __init__(self, rate: int, bits: int) -> None:
        self._rate = rate
        self._full = 1 << bits
        self._half = self._full >> 1
        self._last = 0  # unwrapped
        self._started = False

    def ms(self, time: int) -> int:
        """The nearest millisecond, modulo 2^32."""
        return self._nearest(time) & 0xFFFFFFFF

    def stamp(self, dts: int, pts: int) -> tuple[int, int]:
        """Timestamp and composition offset in ms of a picture that is decoded at `dts` and shown at `pts`."""
        decoded = self._nearest(dts)
        offset = (pts - dts + self._half) % self._full - self._half
        shown = ((self._last + offset) * 1000 + self._rate // 2) // self._rate
        return decoded & 0xFFFFFFFF, shown - decoded

    def _nearest(self, time: int) -> int:
        if not self._started:
            self._started = True
            self._last = time
        self._last += (time - self._last + self._half) % self._full - self._half
        return (self._last * 1000 + self._rate // 2) // self._rate
