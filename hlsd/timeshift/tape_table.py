"""Keeps the tapes of all streams: a row for each recording, with the numbers of its segments, in the state file.

Law: it is used in the thread of the recordings' index. What it knows can be made anew from the files, with higher
numbers; a state file that cannot be used costs that memory, never a recording. A row whose recording is gone stays if
it is the newest of its stream, so that numbers go on behind it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from hlsd.base.state_file import open_state
from hlsd.timeshift.tape import TapeFacts, TapeFile, unpack

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS tape (id TEXT PRIMARY KEY, app TEXT NOT NULL, name TEXT NOT NULL, "
    "started INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER NOT NULL, first INTEGER NOT NULL, "
    "length INTEGER NOT NULL, tags INTEGER NOT NULL, tagged INTEGER NOT NULL, skip INTEGER NOT NULL, "
    "codecs TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, rate REAL NOT NULL, segments BLOB NOT NULL)"
)
_BY_STREAM: Final = "CREATE INDEX IF NOT EXISTS tape_by_stream ON tape (app, name, started, id)"


class TapeRow(NamedTuple):
    """One recording on the tape of its stream. `started` is the recording's own; times in ms of the epoch.

    A recording that is not on the tape has no segments: its row says that it was looked at.
    """

    id: str
    app: str
    name: str
    started: int
    began: int
    ended: int
    first: int
    length: int
    """How many segments of it are on the tape."""
    tags: int
    tagged: int
    """How many tags there are before it, and up to its end."""
    skip: int
    codecs: str
    width: int
    height: int
    rate: float
    segments: bytes = b""

    @property
    def file(self) -> TapeFile:
        """What stands on the tape."""
        facts = TapeFacts(self.codecs, self.width, self.height, self.rate)
        made = TapeFile(self.id, first=self.first, tags=self.tags, skip=self.skip, facts=facts, began_ms=self.began)
        made.restore(unpack(self.segments))
        return made


_COLUMNS: Final = ", ".join(TapeRow._fields)
_HOLES: Final = ", ".join("?" * len(TapeRow._fields))


class TapeTable:
    """The table; every call blocks. `path` None, or one that cannot be used: kept in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._log = structlog.get_logger()
        self._connection: sqlite3.Connection | None = None

    def newest(self, app: str, name: str) -> TapeRow | None:
        """The last one of a stream, without its segments."""
        columns = _COLUMNS.replace("segments", "x''")
        found = self._file.execute(
            f"SELECT {columns} FROM tape WHERE app = ? AND name = ? ORDER BY started DESC, id DESC LIMIT 1",  # noqa: S608 - our words
            (app, name),
        ).fetchone()
        return TapeRow(*found) if found is not None else None

    def between(self, app: str, name: str, since_ms: int, until_ms: int, most: int) -> list[TapeRow]:
        """Those with anything between two times, in the order of the tape: the first `most`."""
        found = self._file.execute(
            f"SELECT {_COLUMNS} FROM tape WHERE app = ? AND name = ? AND ended > ? AND began < ? AND length > 0 "  # noqa: S608 - our words
            "ORDER BY started, id LIMIT ?",
            (app, name, since_ms, until_ms, most),
        )
        return [TapeRow(*row) for row in found]

    def before(self, app: str, name: str, until_ms: int, most: int) -> list[TapeRow]:
        """The last `most` that began before a time, in the order of the tape."""
        found = self._file.execute(
            f"SELECT {_COLUMNS} FROM tape WHERE app = ? AND name = ? AND began < ? AND length > 0 "  # noqa: S608 - our words
            "ORDER BY started DESC, id DESC LIMIT ?",
            (app, name, until_ms, most),
        ).fetchall()
        return [TapeRow(*row) for row in reversed(found)]

    def put(self, row: TapeRow) -> None:
        """Adds one."""
        self._write(f"INSERT OR REPLACE INTO tape VALUES ({_HOLES})", row)  # noqa: S608 - question marks

    def prune(self, app: str, name: str, oldest_ms: int | None) -> None:
        """Forgets those that began before the oldest recording of the stream there is, but for the newest."""
        newest = self.newest(app, name)
        if newest is not None:
            bound = newest.started if oldest_ms is None else min(oldest_ms, newest.started)
            self._write("DELETE FROM tape WHERE app = ? AND name = ? AND started < ?", (app, name, bound))

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _file(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            try:
                file = open_state(self._path, _CREATE, patience=5.0)
                file.execute(_BY_STREAM)
            except (sqlite3.Error, OSError) as error:
                self._log.warning("the tape of recordings is not kept", path=str(self._path), reason=str(error))
            else:
                return file
        file = sqlite3.connect(":memory:")
        file.execute(_CREATE)
        return file

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            with self._file:
                self._file.execute(statement, values)
        except sqlite3.Error as error:
            self._log.warning("the tape of recordings is not stored", reason=str(error))
