"""Writes timed pictures below one folder: whole or not at all, and no more of each stream than are to be kept.

Law: nothing is written outside the folder. Steps are opened one by one, none of them through a symbolic link; a picture
is written to a file of its own that nobody else can have made (O_EXCL), and then takes its name. Everything here may
block and is called in a thread, one call at a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED: Final = re.compile(r"\.hlsd-[0-9a-f]{16}\.part")


class PictureFolder:
    """The folder; made when something is first written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: dict[tuple[str, ...], deque[str]] = {}
        """What was written for each stream, the oldest first: looked for once, then known."""

    def write(self, steps: Sequence[str], name: str, body: bytes, siblings: re.Pattern[str], keep: int) -> None:
        """Writes a picture, and removes the oldest of those called like `siblings` beyond `keep`. Raises OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as open_steps:
            place = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            open_steps.callback(os.close, place)
            for step in steps:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(step, 0o755, dir_fd=place)
                place = os.open(step, _STEP, dir_fd=place)
                open_steps.callback(os.close, place)
            known = self._kept.get(self._key(steps, siblings))
            if known is None:
                known = self._kept[self._key(steps, siblings)] = _found(place, siblings)
            _put(place, name, body)
            with contextlib.suppress(ValueError):
                known.remove(name)
            known.append(name)
            while len(known) > keep:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(known.popleft(), dir_fd=place)

    def forget(self, steps: Sequence[str], siblings: re.Pattern[str]) -> None:
        """Nothing will be written there soon."""
        self._kept.pop(self._key(steps, siblings), None)

    @staticmethod
    def _key(steps: Sequence[str], siblings: re.Pattern[str]) -> tuple[str, ...]:
        return (*steps, siblings.pattern)


def _found(place: int, siblings: re.Pattern[str]) -> deque[str]:
    """The files of a stream that are there, by age; what a kill has left unfinished goes."""
    found: list[tuple[int, str]] = []
    with os.scandir(place) as entries:
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=place)
            elif siblings.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return deque(name for _, name in sorted(found))


def _put(place: int, name: str, body: bytes) -> None:
    unfinished = f".hlsd-{secrets.token_hex(8)}.part"
    file = os.open(unfinished, _NEW, 0o644, dir_fd=place)
    try:
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(file, view) :]
        finally:
            os.close(file)
        os.rename(unfinished, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished, dir_fd=place)
        raise
