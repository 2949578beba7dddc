"""Says how much of something may still come: a token bucket of one second's worth. Pure; monotonic seconds."""

from __future__ import annotations


class TokenBucket:
    """`rate` a second, of which a second's worth may come at once."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = self._left = float(rate)
        self._at = now

    def has(self, amount: float, now: float) -> bool:
        """Whether there is room for `amount`."""
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= amount

    def take(self, amount: float = 1.0) -> None:
        """Takes what `has` has found room for."""
        self._left -= amount
