"""Remembers how far media sequence numbers have gone, so that they never fall (hls-rules MP04, reliability R4).

A run starts at `floor(unix time / (target duration / 2))`: with segments of the target duration the numbers fall ever
further behind the clock, so the clock alone keeps them rising, even when this file is deleted. The file covers the
rest: a clock set back, and segments shorter than half the target. It holds a reservation ahead of the numbers in use,
so it is written once in `AHEAD` segments.

SQLite, WAL mode; bounded to the newest `KEPT` streams. An unusable file costs the reservation, never the stream.
"""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

import structlog

from hlsd.state_file import open_state

if TYPE_CHECKING:
    from pathlib import Path

AHEAD = 256
KEPT = 10_000
_TABLE = "CREATE TABLE IF NOT EXISTS sequence (stream TEXT PRIMARY KEY, reserved INTEGER NOT NULL)"


class SequenceJournal:
    """First media sequence numbers for new runs. `path` is the state file; None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._log = structlog.get_logger()
        self._reserved: dict[str, int] = {}
        self._file = self._open(path)

    def first(self, stream: str, wall: float, target: float) -> int:
        """The number of a new run's first segment; `wall` and `target` in seconds."""
        number = max(1, math.floor(wall / (target / 2)), self._recall(stream) + 1)
        self.reached(stream, number)
        return number

    def reached(self, stream: str, number: int) -> None:
        """Says that `number` is in use; reserves further ones when it runs out of them."""
        if number < self._reserved.get(stream, 0):
            return
        reserved = number + AHEAD
        self._reserved.pop(stream, None)  # the newest stands last, so that the oldest goes first
        self._reserved[stream] = reserved
        if len(self._reserved) > KEPT:
            del self._reserved[next(iter(self._reserved))]
        if self._file is None:
            return
        try:
            with self._file:
                self._file.execute("INSERT OR REPLACE INTO sequence VALUES (?, ?)", (stream, reserved))
                self._file.execute("DELETE FROM sequence WHERE rowid <= (SELECT max(rowid) FROM sequence) - ?", (KEPT,))
        except sqlite3.Error as error:
            self._log.warning("sequence journal not written", reason=str(error))

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _recall(self, stream: str) -> int:
        remembered = self._reserved.get(stream, 0)
        if self._file is not None:
            try:
                row = self._file.execute("SELECT reserved FROM sequence WHERE stream = ?", (stream,)).fetchone()
            except sqlite3.Error as error:
                self._log.warning("sequence journal not read", reason=str(error))
            else:
                if row is not None:  # the file may lag behind where it could not be written
                    return max(remembered, int(row[0]))
        return remembered

    def _open(self, path: Path | None) -> sqlite3.Connection | None:
        if path is None:
            return None
        try:
            # Called from the event loop: another's lock may cost a reservation, not every viewer's time.
            return open_state(path, _TABLE, patience=0.05)
        except (sqlite3.Error, OSError) as error:
            self._log.warning("sequence journal not usable", path=str(path), reason=str(error))
            return None
