"""Opens the files of the state directory, for what must outlive a restart, and keeps them for the owner's eyes only.

Law: the directory is 0700 and each file 0600 from its first byte: SQLite gives its -wal and -shm the rights that the
file itself has at that instant (https://www.sqlite.org/tempfiles.html), so the file is made before SQLite opens it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

import structlog

_OURS = ("hlsd.sqlite", "session.key", "bans.jsonl", "api.token")
"""What makes a directory that was there before one of ours."""
_told: set[Path] = set()


def private_folder(path: Path) -> None:
    """Makes the directory `path`, 0700; one that was there is closed to others if it is ours, else it is told once.

    Ours is one that belongs to this user and holds nothing, or a file of ours; never one that is shared (/tmp), the
    working directory or a home. Raises OSError if it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if not found.st_mode & 0o077:
        return
    shared = found.st_mode & stat.S_ISVTX or path.resolve() in {Path.cwd(), Path.home(), Path("/")}
    if found.st_uid == os.geteuid() and not shared and _is_ours(path):
        with contextlib.suppress(OSError):
            path.chmod(0o700)
            return
    if path not in _told:
        _told.add(path)
        log = structlog.get_logger()
        log.warning("other users may look into server.state_dir", path=str(path), mode=f"{found.st_mode & 0o777:o}")


def private_file(path: Path) -> None:
    """Makes the file `path` if it is not there, and leaves it and its -wal and -shm to its owner alone; OSError."""
    private_folder(path.parent)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Not by a descriptor: closing one takes away the locks that this process has on the file by others, and the
        # next program that closes the file deletes what SQLite has not written into it yet
        # (https://www.sqlite.org/howtocorrupt.html §2.2).
        if not path.is_file():
            raise
        with contextlib.suppress(PermissionError):  # another user's, who lets us in
            path.chmod(0o600)
    for beside in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.with_name(path.name + beside).chmod(0o600)


def open_state(path: Path, table: str, *, patience: float) -> sqlite3.Connection:
    """The file at `path` with the table that `table` (CREATE TABLE IF NOT EXISTS …) describes; only its owner reads it.

    `patience`: seconds for which another process's lock is waited for. Writes survive a crash of this process; the last
    ones may be lost with the machine (https://www.sqlite.org/wal.html). Raises OSError or sqlite3.Error, with nothing
    left open, if it cannot be had.
    """
    private_file(path)
    with contextlib.ExitStack() as undo:
        connection = sqlite3.connect(path, timeout=patience)
        undo.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(table)
        undo.pop_all()
    return connection


def _is_ours(path: Path) -> bool:
    try:
        entries = {entry.name for entry in path.iterdir()}
    except OSError:
        return False
    return not entries or any(name in entries for name in _OURS)
