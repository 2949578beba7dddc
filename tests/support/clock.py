"""A clock that stands still until the test moves it: grace and retention are tried without waiting."""

from __future__ import annotations


class FakeClock:
    """`Clock` by hand; `advance` moves both clocks, `step` only the wall clock, as an operator would."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = 1000.0
        self._wall = wall

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return self._monotonic

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._monotonic += seconds
        self._wall += seconds

    def step(self, seconds: float) -> None:
        """Sets the wall clock forward or back."""
        self._wall += seconds
