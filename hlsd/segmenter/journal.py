"""Remembers how far the numbers of segments and timelines have gone: they never fall (hls-rules MP04).

A run starts at `floor(unix time / (target duration / 2))`: with segments of the target duration the numbers fall ever
further behind the clock, so the clock alone keeps them rising, even when this file is deleted. The file covers the
rest: a clock set back, and segments shorter than half the target. It holds a reservation ahead of the numbers in use,
so it is written once in `AHEAD` segments.

A run that a server leaves in good order goes on with the very next number in the one that takes its place
(`leave`): hls.js puts what begins behind a gap of numbers that many target durations ahead, and waits for it there.
Timelines (EXT-X-DISCONTINUITY-SEQUENCE) are counted likewise, since media times begin anew: a player that takes the new
run for the old timeline sorts it in behind what it has shown. These numbers stay small, hls.js keeps a list by them.

SQLite, WAL mode; bounded to the newest `KEPT` streams. An unusable file costs the reservation, never the stream.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from typing import TYPE_CHECKING

import structlog

from hlsd.base.state_file import open_state

if TYPE_CHECKING:
    from pathlib import Path

AHEAD = 256
KEPT = 10_000
TIMELINES = 16
"""Timelines that are reserved at a time."""
HANDOVER = 120.0
"""Seconds for which a player may be thought to hold on to a playlist that nobody answers for."""
_TABLE = "CREATE TABLE IF NOT EXISTS sequence (stream TEXT PRIMARY KEY, reserved INTEGER NOT NULL)"

_RUNS = """
CREATE TABLE IF NOT EXISTS runs (
    stream TEXT PRIMARY KEY, timeline INTEGER NOT NULL, next INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL DEFAULT 0
)"""

_FORGET = (
    "DELETE FROM sequence WHERE rowid <= (SELECT max(rowid) FROM sequence) - ?",
    "DELETE FROM runs WHERE rowid <= (SELECT max(rowid) FROM runs) - ?",
)


class SequenceJournal:
    """First media sequence numbers for new runs. `path` is the state file; None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._log = structlog.get_logger()
        self._reserved: dict[str, int] = {}
        self._timelines: dict[str, int] = {}
        self._file = self._open(path)

    def first(self, stream: str, wall: float, target: float) -> int:
        """The number of a new run's first segment; `wall` and `target` in seconds."""
        number = self._left(stream, wall) or max(1, math.floor(wall / (target / 2)), self._recall(stream) + 1)
        self.reached(stream, number)
        return number

    def timeline(self, stream: str) -> int:
        """The number of a new run's first timeline: above all that the stream has had."""
        row = self._ask("SELECT timeline FROM runs WHERE stream = ?", stream)
        number = max(self._timelines.get(stream, 0), int(row[0]) if row is not None else 0)
        self.opened(stream, number)
        return number

    def opened(self, stream: str, timeline: int) -> None:
        """Says that a timeline is in use; reserves further ones when it runs out of them."""
        if timeline < self._timelines.get(stream, 0):
            return
        reserved = timeline + TIMELINES
        self._timelines.pop(stream, None)
        self._timelines[stream] = reserved
        if len(self._timelines) > KEPT:
            del self._timelines[next(iter(self._timelines))]
        self._write("INSERT OR REPLACE INTO runs (stream, timeline) VALUES (?, ?)", stream, reserved)

    def leave(self, stream: str, number: int, timeline: int, wall: float) -> None:
        """The server stops while the stream goes on: its next segment is `number`, its next timeline `timeline`."""
        self._write("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", stream, timeline, number, wall)

    def _left(self, stream: str, wall: float) -> int:
        """The number with which a run goes on that was left a moment ago, good for once; 0 if there is none."""
        row = self._ask("SELECT next, at FROM runs WHERE stream = ?", stream)
        if row is None or not row[0]:
            return 0
        self._write("UPDATE runs SET next = 0 WHERE stream = ?", stream)
        return int(row[0]) if 0 <= wall - row[1] <= HANDOVER and stream not in self._reserved else 0

    def reached(self, stream: str, number: int) -> None:
        """Says that `number` is in use; reserves further ones when it runs out of them."""
        if number < self._reserved.get(stream, 0):
            return
        reserved = number + AHEAD
        self._reserved.pop(stream, None)  # the newest stands last, so that the oldest goes first
        self._reserved[stream] = reserved
        if len(self._reserved) > KEPT:
            del self._reserved[next(iter(self._reserved))]
        self._write("INSERT OR REPLACE INTO sequence VALUES (?, ?)", stream, reserved)

    def _write(self, statement: str, *values: str | float) -> None:
        """Changes one row; the oldest go."""
        if self._file is None:
            return
        try:
            with self._file:
                self._file.execute(statement, values)
                for forget in _FORGET:
                    self._file.execute(forget, (KEPT,))
        except sqlite3.Error as error:
            self._log.warning("sequence journal not written", reason=str(error))

    def _ask(self, statement: str, stream: str) -> tuple[float, ...] | None:
        if self._file is None:
            return None
        try:
            row: tuple[float, ...] | None = self._file.execute(statement, (stream,)).fetchone()
        except sqlite3.Error as error:
            self._log.warning("sequence journal not read", reason=str(error))
            return None
        return row

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _recall(self, stream: str) -> int:
        row = self._ask("SELECT reserved FROM sequence WHERE stream = ?", stream)
        # the file may lag behind where it could not be written
        return max(self._reserved.get(stream, 0), int(row[0]) if row is not None else 0)

    def _open(self, path: Path | None) -> sqlite3.Connection | None:
        if path is None:
            return None
        try:
            # Called from the event loop: another's lock may cost a reservation, not every viewer's time.
            with contextlib.ExitStack() as undo:
                connection = open_state(path, _TABLE, patience=0.05)
                undo.callback(connection.close)
                connection.execute(_RUNS)
                undo.pop_all()
                return connection
        except (sqlite3.Error, OSError) as error:
            self._log.warning("sequence journal not usable", path=str(path), reason=str(error))
            return None
