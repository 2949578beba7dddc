"""Opens a small SQLite file of the state directory, for what must outlive a restart: a journal, a list of tasks."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def open_state(path: Path, table: str, *, patience: float) -> sqlite3.Connection:
    """The file at `path` with the table that `table` (CREATE TABLE IF NOT EXISTS …) describes; only its owner reads it.

    `patience`: seconds for which another process's lock is waited for. Writes survive a crash of this process; the last
    ones may be lost with the machine (https://www.sqlite.org/wal.html). Raises OSError or sqlite3.Error, with nothing
    left open, if it cannot be had.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        connection = sqlite3.connect(path, timeout=patience)
        undo.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(table)
        path.chmod(0o600)
        undo.pop_all()
    return connection
