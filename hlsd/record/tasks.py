"""Keeps the recordings that were begun by API, so that they survive a restart: a table in the server's state file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hlsd.base.state_file import open_state

_TABLE: Final = "CREATE TABLE IF NOT EXISTS record_tasks (id TEXT PRIMARY KEY, task TEXT NOT NULL)"


class RecordTask(BaseModel):
    """A wish to record a stream until somebody says that it is enough. Times in seconds, `created` of the epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    app: str = Field(max_length=128)
    name: str = Field(max_length=128)
    path: str = Field(default="", max_length=512)
    max_duration: float = Field(default=0.0, ge=0)
    created: float = 0.0
    recorded: float = 0.0


class RecordTasks:
    """The tasks. `path` is the state file, opened by `load`; None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: sqlite3.Connection | None = None
        self._log = structlog.get_logger()

    def load(self) -> list[RecordTask]:
        """All of them; one that cannot be read is left out, with a line in the log."""
        if self._path is None:
            return []
        try:
            self._file = open_state(self._path, _TABLE, patience=1.0)
            rows = self._file.execute("SELECT task FROM record_tasks ORDER BY id").fetchall()
        except (sqlite3.Error, OSError) as error:
            self._log.warning("recordings begun by API are not kept", path=str(self._path), reason=str(error))
            return []
        tasks = []
        for (text,) in rows:
            try:
                tasks.append(RecordTask.model_validate(json.loads(text)))
            except (ValidationError, ValueError):
                self._log.warning("a stored recording task cannot be read")
        return tasks

    def put(self, task: RecordTask) -> None:
        """Stores one."""
        self._write("INSERT OR REPLACE INTO record_tasks VALUES (?, ?)", task.id, task.model_dump_json())

    def drop(self, ident: str) -> None:
        """Forgets one."""
        self._write("DELETE FROM record_tasks WHERE id = ?", ident)

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
            self._log.warning("a recording task is not stored: it will not survive a restart", reason=str(error))
