"""Keeps the relay tasks that came by API, so that they survive a restart: a table in the server's state file.

SQLite, WAL mode, as the other things that must last. A file that cannot be used costs the memory of tasks, never the
relays. The addresses are stored as they came, passwords included: the state folder is the server's alone.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hlsd.base.state_file import open_state
from hlsd.relay.address import Format

_TABLE = "CREATE TABLE IF NOT EXISTS relay_tasks (id TEXT PRIMARY KEY, created REAL NOT NULL, task TEXT NOT NULL)"


class Task(BaseModel):
    """One task. `url` and `urls` hold secrets: show them masked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    mode: Literal["pull", "static", "push"]
    app: str = Field(max_length=128)
    name: str = Field(max_length=128)
    url: str = Field(max_length=4096)
    urls: list[str] = Field(default_factory=list, max_length=15)
    format: Format = "auto"
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    created: float = 0.0
    """Seconds since the epoch."""


class TaskStore:
    """The stored tasks. `path` is the state file, opened by `load`; None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._log = structlog.get_logger()
        self._path = path
        self._file: sqlite3.Connection | None = None

    def load(self) -> list[Task]:
        """All tasks, oldest first; one that cannot be read is left out, with a line in the log."""
        if self._file is None:
            self._file = self._open(self._path)
        if self._file is None:
            return []
        try:
            rows = self._file.execute("SELECT task FROM relay_tasks ORDER BY created, id").fetchall()
        except sqlite3.Error as error:
            self._log.warning("relay tasks not read", reason=str(error))
            return []
        tasks: list[Task] = []
        for (text,) in rows:
            try:
                tasks.append(Task.model_validate(json.loads(text)))
            except (ValidationError, ValueError):
                self._log.warning("a stored relay task cannot be read")
        return tasks

    def put(self, task: Task) -> None:
        """Stores a task."""
        self._write(
            "INSERT OR REPLACE INTO relay_tasks VALUES (?, ?, ?)", task.id, task.created, task.model_dump_json()
        )

    def drop(self, task_id: str) -> None:
        """Forgets a task."""
        self._write("DELETE FROM relay_tasks WHERE id = ?", task_id)

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
            self._log.warning("relay task not stored: it will not survive a restart", reason=str(error))

    def _open(self, path: Path | None) -> sqlite3.Connection | None:
        if path is None:
            return None
        try:
            return open_state(path, _TABLE, patience=1.0)
        except (sqlite3.Error, OSError) as error:
            self._log.warning("relay tasks are not kept", path=str(path), reason=str(error))
            return None
