"""Tells the time to the edges; pure modules are given `now` and never ask.

Two clocks: `monotonic()` for deadlines and intervals (never steps), `wall()` for PROGRAM-DATE-TIME, media sequence
numbers and events (seconds since the epoch, may step).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a module that needs the time is given."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never falls."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """`time.monotonic()`, in seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """`time.time()`, in seconds."""
        return time.time()
