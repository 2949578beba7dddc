"""Is processor time that something may take: so much of each second, some of it saved up. Seconds."""

from __future__ import annotations


class Allowance:
    """`part`: of the processor's time; `saved`: the most that is kept of what was not taken."""

    __slots__ = ("_at", "_left", "_saved", "part")

    def __init__(self, part: float, saved: float, now: float) -> None:
        self.part = part
        self._saved = saved
        self._left = saved
        self._at = now

    def spend(self, seconds: float, now: float) -> bool:
        """It has taken so much, be it more than there was; whether there is any left."""
        left = self._left - seconds + (now - self._at) * self.part
        self._at = now
        self._left = min(self._saved, left)
        return left > 0

    def pause(self) -> float:
        """How long until there is some again; 0 if there is."""
        return max(0.0, -self._left / self.part)
