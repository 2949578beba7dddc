"""Says how much of something may still come: a token bucket. Pure; monotonic seconds."""

from __future__ import annotations


class TokenBucket:
    """`rate` a second, of which a second's worth may come at once, or `least` where that is more."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: float, now: float, least: float = 0.0) -> None:
        self._rate = float(rate)
        self._left = self._most = max(self._rate, least)
        self._at = now

    def has(self, amount: float, now: float) -> bool:
        """Whether there is room for `amount`."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= amount

    def take(self, amount: float = 1.0) -> None:
        """Takes what `has` has found room for."""
        self._left -= amount
