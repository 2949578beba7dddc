"""Lets pictures wait for their sound where it arrives long after them, so that a part has both.

Some sources send their sound a second or three later than the pictures of its time. A player that has a part's pictures
without their sound stands still until that comes, and then is where it cannot stay. So pictures are passed on with the
sound of their time: everybody sees them as much later as the sound was anyway. A sender in step pays nothing.

Times are ticks of 90 kHz; arrivals seconds.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hlsd.media.unit import TICKS, AccessUnit, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

LATE: Final = TICKS // 2
"""How far behind its picture sound may come before the picture waits: parts and hold-back have room for this."""
SURE: Final = 25
"""Sound frames in a row, once the stream runs, from which on it is no passing disturbance."""
CALM: Final = 250
"""Sound frames in step, from which on pictures need not wait any more."""
PATIENCE: Final = 1.0
"""Seconds by which a picture may wait longer than its sound was late when that was last heard."""
MOST: Final = 4.0
"""Seconds that a picture waits at most."""
MOST_BYTES: Final = 16 << 20
"""Bytes that wait at most."""


class Alignment:
    """The waiting pictures of one uninterrupted timeline with both tracks."""

    def __init__(self) -> None:
        self._waiting: deque[AccessUnit] = deque()
        self._bytes = 0
        self._waits = True  # at first: nothing is known before the first sound
        self._patience = MOST
        self.steady = False
        """Nobody waits, and sound was in step when it was last heard: only sound that is late is of interest."""
        self._newest = -1  # the newest picture's time; -1: none yet
        self._judged = False  # whether sound has been heard beside a picture
        self._heard: int | None = None  # the newest sound's
        self._late = 0  # sound frames in a row that were late
        self._calm = 0  # and that were not

    def take(self, unit: AccessUnit, picture: int) -> Iterable[AccessUnit]:
        """Takes the next unit; returns those whose turn it is. `picture` is the time of the last that was passed on."""
        if unit.kind is Kind.VIDEO:
            self._newest = unit.dts
            if not self._waits:
                return (unit,)
            self._waiting.append(unit)
            self._bytes += len(unit.payload)
            return self._due(unit.arrived)
        self._newest = max(self._newest, picture)
        if self._newest >= 0:
            self._judge(self._newest - unit.dts)
        self._heard = unit.dts
        self.steady = not self._waits and not self._waiting and not self._late
        if not self._waiting:
            return (unit,)
        return (unit, *self._due(unit.arrived))

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def rest(self) -> list[AccessUnit]:
        """Everything that waits: nothing more will come."""
        waiting = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return waiting

    def _judge(self, behind: int) -> None:
        """Looks at how far behind the newest picture a sound frame came."""
        first, self._judged = not self._judged, True
        if behind > LATE:
            self._late += 1
            self._calm = 0
            if first or self._late >= SURE or self._waits:
                self._waits = True
                self._patience = min(MOST, behind / TICKS + PATIENCE)
            return
        self._late = 0
        self._calm += 1
        if self._waits and (first or self._calm >= CALM):
            self._waits = False

    def _due(self, now: float) -> list[AccessUnit]:
        due = []
        heard = self._heard
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            early = heard is None or first.dts > heard
            patient = self._waits and self._bytes <= MOST_BYTES and now - first.arrived < self._patience
            if early and patient:
                break
            waiting.popleft()
            self._bytes -= len(first.payload)
            due.append(first._replace(arrived=now))
        return due
