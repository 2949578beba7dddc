"""Measures how late the event loop is: the time for which everybody waits, whatever they wait for."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from hlsd.base.faults import Faults
from hlsd.base.figures import Histogram
from hlsd.base.upkeep import end, keep

EVERY: Final = 0.25
"""Seconds between two looks: what stalls the loop for longer than that is seen whole."""


class LagMeter:
    """Looks at the clock every `EVERY` seconds, and counts in `lag` how much later than asked for it was called."""

    def __init__(self, lag: Histogram, faults: Faults | None = None) -> None:
        self._lag = lag
        self.faults = faults or Faults()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, in the running loop."""
        self._task = keep(self._look, "loop_lag", self.faults)

    async def stop(self) -> None:
        """Ends; safe to call twice."""
        task, self._task = self._task, None
        await end(task)

    async def _look(self) -> None:
        while True:
            asked = monotonic() + EVERY
            await asyncio.sleep(EVERY)
            # uvloop counts its timers in whole milliseconds and may be up to one early
            self._lag.observe(max(0.0, monotonic() - asked))
