"""Says where decoded sound belongs: by counting samples, and by the source's times where these say otherwise.

Law: the first packet anchors the count, and from then on samples are counted, since times in ms are rounded, and those
of bundled packets all alike. A gap of more than 60 ms is silence; one of more than a second, or a step back, a new
anchor; what goes away slowly is brought back by a frame at a time. Times come in ms, unwrapped; positions are samples
of 48 kHz on the source's clock. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

RATE: Final = 48_000
"""Hertz of what goes out. At 8 kHz a frame would last 128 ms, longer than short parts have room for."""
PER_MS: Final = RATE // 1000
FRAME: Final = 1024
"""Samples in an AAC frame."""
GAP: Final = 60 * PER_MS
"""Samples that may be missing before silence is put in their place at once: jitter of stamps is below it."""
LEAP: Final = RATE
"""Samples from which on a gap is not filled, but a new anchor: what stands in for sound that is long away is decided by
those who see the pictures."""
SURE: Final = 16
"""Packets in a row that must be late by a frame before one is put in."""
PATIENCE: Final = RATE
"""Samples for which stamps must be early by a frame before one is left out: senders that bundle are early for a few."""
SURPLUS: Final = 3
"""Stamps in a row that must be early by more than a gap before all of it is left out: a damaged packet can decode to
more than it lasted."""


class ClockStep(NamedTuple):
    """What to do before a packet's samples are added: anchor anew, put silence in, or leave some of it out."""

    anchor: bool = False
    silence: int = 0
    surplus: int = 0
    drift: bool = False


_AS_IT_IS: Final = ClockStep()


class SoundClock:
    """The clock of one stream's sound. `written`: the position behind what has been added; None before the first."""

    __slots__ = ("_anew", "_early", "_excess", "_last", "_late", "written")

    def __init__(self) -> None:
        self.written: int | None = None
        self._last = 0
        self._anew = False
        self._late = self._early = self._excess = 0

    def judge(self, ms: int) -> ClockStep:
        """What to do with a packet sent at `ms`."""
        at = ms * PER_MS
        written, last = self.written, self._last
        self._last = at
        if written is None or at < last - GAP or at - written > LEAP or written - at > LEAP:
            self.written = at
            self._late = self._excess = 0
            self._early = at
            return ClockStep(anchor=True)
        off = at - written
        if self._anew:
            self._anew = False
            self._late = self._excess = 0
            self._early = at
            self.written = max(at, written)
            return ClockStep(silence=max(0, off), surplus=max(0, -off))
        if off > GAP:
            self._late = self._excess = 0
            self._early = at
            self.written = at
            return ClockStep(silence=off)
        if off > FRAME:
            self._excess = 0
            self._early = at
            self._late += 1
            if self._late < SURE:
                return _AS_IT_IS
            self._late = 0
            self.written = written + FRAME
            return ClockStep(silence=FRAME, drift=True)
        self._late = 0
        if at == last:
            return _AS_IT_IS  # of a bundle the first one tells
        return self._surplus(at, -off)

    def _surplus(self, at: int, early: int) -> ClockStep:
        """What to leave out where there are `early` more samples than time."""
        self._excess = self._excess + 1 if early > GAP else 0
        if early <= FRAME:
            self._early = at
        if self._excess >= SURPLUS:
            self._excess = 0
            self._early = at
            return ClockStep(surplus=early)
        if at - self._early >= PATIENCE:
            self._early = at
            return ClockStep(surplus=FRAME, drift=True)
        return _AS_IT_IS

    def renew(self) -> None:
        """Another codec follows: its samples are counted from its own first time."""
        self._anew = self.written is not None

    def add(self, samples: int) -> None:
        """So many samples were added."""
        assert self.written is not None
        self.written += samples
