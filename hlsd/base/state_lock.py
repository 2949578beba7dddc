"""Marks a state folder as in use, so that a second server on it can say so.

The mark is a lock of the kernel's on the file `lock` (flock(2)): it goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hlsd.base.state_file import private_file

NAME = "lock"


class StateLock:
    """The mark of one server on the folder at `state`."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME
        self._file: int | None = None

    def take(self) -> bool:
        """Marks it; False if another process has. Raises OSError where the folder cannot be written."""
        private_file(self._path)
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:  # a file system without locks
            os.close(file)
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Takes the mark away."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
