"""Keeps who is not let in over a restart: a file of lines, one for each ban, for the owner's eyes only.

Law: a line is written when the ban begins, without waiting for the disk itself, so it survives `kill -9`; a file that
cannot be written costs the memory of bans and nothing else. On the next start, and when the file has doubled, it is
written anew without what is over. Times are seconds of the epoch.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import structlog

from hlsd.base.state_file import private_folder

MAX_BYTES = 32 * 1024 * 1024
"""Of the file; beyond it nothing is added before it has been written anew."""
GROWN = 1024 * 1024
"""Bytes below which it is not worth writing anew."""
SLICE = 500
"""Entries that are written anew in one turn: about 2 ms."""
Entry = tuple[str, Hashable, float]
"""Which list, the key, and until when."""


class BanStore:
    """The file at `path`; `wall()` tells the time."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._anew = path.with_name(f"{path.name}.new")
        self._wall = wall
        self._file: int | None = None
        self._next: int | None = None
        """The file that is being written anew."""
        self._rest: Iterator[Entry] = iter(())
        self._size = self._least = 0
        """Bytes of the file, now and when it had last been written anew."""
        self._log = structlog.get_logger()

    def open(self) -> list[Entry]:
        """What still holds, oldest first; from then on `add` writes."""
        now = self._wall()
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
            entries = [entry for line in text.splitlines() if (entry := _read(line)) is not None and entry[2] > now]
            private_folder(self._path.parent)
            self._begin(entries)
            while not self._go_on():
                pass
        except (OSError, ValueError) as error:
            self._fail(error)
            return []
        return entries

    def add(self, which: str, key: Hashable, seconds: float) -> None:
        """Notes that `key` is on the list `which` for so long."""
        raw = _line((which, key, self._wall() + seconds))
        if self._file is None or self._size + len(raw) > MAX_BYTES:
            return
        try:
            os.write(self._file, raw)
            self._size += len(raw)
            if self._next is not None:
                os.write(self._next, raw)
        except OSError as error:
            self._fail(error)

    def turn(self, holding: Callable[[], Iterable[Entry]]) -> None:
        """Writes the file anew, some of it in each turn, when much of it is over; `holding()` is what still holds."""
        if self._file is None or (self._next is None and self._size < max(GROWN, 2 * self._least)):
            return
        try:
            if self._next is None:
                self._begin(holding())
            self._go_on()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Writes no more."""
        for file in (self._file, self._next):
            if file is not None:
                os.close(file)
        if self._next is not None:
            self._anew.unlink(missing_ok=True)
        self._file = self._next = None

    def _begin(self, entries: Iterable[Entry]) -> None:
        self._anew.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._next = os.open(self._anew, flags, 0o600)
        self._rest = iter(entries)

    def _go_on(self) -> bool:
        """A slice of the new file; whether it has taken the old one's place."""
        assert self._next is not None
        raw = b"".join(_line(entry) for entry in islice(self._rest, SLICE))
        if raw:
            os.write(self._next, raw)
            return False
        self._anew.replace(self._path)
        if self._file is not None:
            os.close(self._file)
        self._file, self._next = self._next, None
        self._size = self._least = os.fstat(self._file).st_size
        return True

    def _fail(self, error: Exception) -> None:
        self._log.warning("bans not kept: they end with this process", path=str(self._path), reason=str(error))
        with contextlib.suppress(OSError):
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
