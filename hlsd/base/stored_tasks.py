"""Keeps what was asked for by API, so that it survives a restart: a table in the server's state file.

SQLite, WAL mode, as the other things that must last. A file that cannot be used costs the memory of tasks, never what
they want done. Every call blocks, and all are for the thread that called `load`.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from hlsd.base.state_file import open_state


class StoredTask(BaseModel, defer_build=True):
    """What all have: `created` in seconds of the epoch."""

    id: str = ""
    created: float = 0.0


TaskT = TypeVar("TaskT", bound=StoredTask)


class StoredTasks(Generic[TaskT]):
    """The tasks of one table.

    `path` is the state file, opened by `load`; None keeps nothing. `kind` is their model, `words` what one is called
    in the log.
    """

    def __init__(self, path: Path | None, table: str, kind: type[TaskT], words: str) -> None:
        self._path = path
        self._table = table
        self._kind = kind
        self._words = words
        self._log = structlog.get_logger()
        self._file: sqlite3.Connection | None = None

    def load(self) -> list[TaskT]:
        """All of them, oldest first; one that cannot be read is left out, with a line in the log."""
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return []
        try:
            rows = self._file.execute(f"SELECT task FROM {self._table} ORDER BY created, id").fetchall()  # noqa: S608 - ours
        except sqlite3.Error as error:
            self._log.warning(f"{self._words}s not read", reason=str(error))
            return []
        tasks: list[TaskT] = []
        for (text,) in rows:
            try:
                tasks.append(self._kind.model_validate(json.loads(text)))
            except (ValidationError, ValueError):
                self._log.warning(f"a stored {self._words} cannot be read")
        return tasks

    def put(self, task: TaskT) -> None:
        """Stores one."""
        statement = f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?)"  # noqa: S608 - ours
        self._write(statement, task.id, task.created, task.model_dump_json())

    def drop(self, ident: str) -> None:
        """Forgets one."""
        self._write(f"DELETE FROM {self._table} WHERE id = ?", ident)  # noqa: S608 - ours

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, statement: str, *values: object) -> None:
        if self._file is None:
            return
        try:
            with self._file:
                self._file.execute(statement, values)
        except sqlite3.Error as error:
            self._log.warning(f"{self._words} not stored: it will not survive a restart", reason=str(error))

    def _open(self) -> sqlite3.Connection | None:
        if self._path is None:
            return None
        table = (
            f"CREATE TABLE IF NOT EXISTS {self._table} (id TEXT PRIMARY KEY, created REAL NOT NULL, task TEXT NOT NULL)"
        )
        try:
            return open_state(self._path, table, patience=1.0)
        except (sqlite3.Error, OSError) as error:
            self._log.warning(f"{self._words}s are not kept", path=str(self._path), reason=str(error))
            return None
