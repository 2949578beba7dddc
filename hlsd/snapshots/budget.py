"""Says whether the child may work: a bucket of processor time that fills at a share of a core. Pure; seconds."""

from __future__ import annotations

from typing import Final

BURST: Final = 10.0
"""Seconds for which what is not used is saved up: a page of thumbnails comes at once, and is paid for afterwards."""


class CpuBudget:
    """The budget of one child: `share` of a core."""

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._left = self._most = share * BURST
        self._at = now

    def spend(self, seconds: float) -> None:
        """So much was used: it may be more than there was, and is owed then."""
        self._left -= seconds

    def wait(self, now: float) -> float:
        """Seconds until there is something to be spent; 0.0: now."""
        self._left = min(self._most, self._left + self._share * max(0.0, now - self._at))
        self._at = now
        return max(0.0, -self._left / self._share)

    def spare(self, now: float) -> float:
        """Seconds until half of what may be saved up is there: what may wait leaves that to what may not."""
        self.wait(now)
        return max(0.0, (self._most / 2 - self._left) / self._share)
