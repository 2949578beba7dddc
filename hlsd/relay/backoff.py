"""Says how long to wait before the next try: doubling from the first to the longest, with jitter.

Jitter, so that a thousand relays of one origin that came back do not all knock in the same instant. Pure: `spread` is a
random number from 0 to 1. Seconds.
"""

from __future__ import annotations

STABLE = 5.0
"""Seconds of media after which a try counts as good: the next failure is the first again."""


class Backoff:
    """The pauses of one relay."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0

    def good(self) -> None:
        """The last try brought what it should."""
        self.failures = 0

    def pause(self, spread: float) -> float:
        """Seconds to wait after one more failure: between half and all of first x 2^failures, capped."""
        whole = min(self._longest, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return whole * (0.5 + 0.5 * spread)
