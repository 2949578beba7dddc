"""Keeps who is not let in over a restart: a file of lines, one for each ban, for the owner's eyes only.

Law: a line is written when the ban begins, without waiting for the disk itself, so it survives `kill -9`; a file that
cannot be written costs the memory of bans and nothing else. On the next start what is over is left out and the file
written anew. Times are seconds of the epoch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import structlog

MAX_BYTES = 32 * 1024 * 1024
"""Of the file; beyond it nothing is added before the next start."""
Entry = tuple[str, Hashable, float]
"""Which list, the key, and until when."""


class BanKeeper:
    """The file at `path`; `wall()` tells the time."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._wall = wall
        self._file: int | None = None
        self._left = MAX_BYTES
        self._log = structlog.get_logger()

    def open(self) -> list[Entry]:
        """What still holds, oldest first; from then on `add` writes."""
        now = self._wall()
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
            entries = [entry for line in text.splitlines() if (entry := _read(line)) is not None and entry[2] > now]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            anew = self._path.with_name(f"{self._path.name}.new")
            self._file = os.open(anew, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._write(entries)
            anew.replace(self._path)
        except (OSError, ValueError) as error:
            self._fail(error)
            return []
        return entries

    def add(self, which: str, key: Hashable, seconds: float) -> None:
        """Notes that `key` is on the list `which` for so long."""
        try:
            self._write([(which, key, self._wall() + seconds)])
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Writes no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, entries: Iterable[Entry]) -> None:
        raw = b"".join(_line(entry) for entry in entries)
        if self._file is None or not raw or len(raw) > self._left:
            return
        self._left -= len(raw)
        os.write(self._file, raw)

    def _fail(self, error: Exception) -> None:
        self._log.warning("bans not kept: they end with this process", path=str(self._path), reason=str(error))
        self.close()


def _line(entry: Entry) -> bytes:
    which, key, until = entry
    told = key.decode("latin-1") if isinstance(key, bytes) else key
    return json.dumps([which, told, round(until, 3)], separators=(",", ":")).encode() + b"\n"


def _read(line: str) -> Entry | None:
    """An entry; None for half a line, or what somebody else has written."""
    try:
        which, told, until = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(which, str) or isinstance(until, bool) or not isinstance(until, int | float):
        return None
    if isinstance(told, str):
        return which, told.encode("latin-1", "replace"), float(until)
    if isinstance(told, list) and all(isinstance(part, str) for part in told):
        return which, tuple(told), float(until)
    return None
