"""Writes all recordings of a server: one thread, fed by a bounded queue.

Law: the event loop never waits for a disk. What the loop puts here is a call to `SimpleQueue.put`; what waits is
bounded by bytes over all recordings, and who is told that there is no room leaves media out up to the next key frame.
A write that fails ends its file: it is cut back to its last whole fragment, which a reader finds whole. One thread,
since a disk has one head: with a thread for each file fifty `fdatasync` wait for each other anyway.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from hlsd.record.repair import write_all, write_pieces
from hlsd.record.take import PART, Take

LOOK: Final = 5.0
"""Seconds between two looks at how much is free."""
HYSTERESIS: Final = 1.5
"""How much more than `min_free` must be free for recordings to begin again."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NoRoom(OSError):
    """There is less free than is to be kept free."""


@dataclass(slots=True)
class _File:
    take: Take
    fd: int
    end: int = 0
    dirty: bool = False
    synced: float = field(default_factory=time.monotonic)


class RecordWriter:
    """Writes below `root`. `told(take, what)` is called in the writer's thread: "opened", "lost" or "closed".

    `sync`: seconds between two `fdatasync` of a file, 0 for none; `most`: bytes that may wait.
    """

    def __init__(self, root: Path, *, sync: float, min_free: int, most: int, told: Callable[[Take, str], None]) -> None:
        self.root = root
        self.full = False
        """Whether less is free than is to be kept free."""
        self.free = 0
        """Bytes free, as of the last look."""
        self._sync = sync
        self._min_free = min_free
        self._most = most
        self._told = told
        self._queue: queue.SimpleQueue[tuple[str, Take | None, Sequence[bytes], int]] = queue.SimpleQueue()
        self._put = 0
        self._taken = 0
        self._files: dict[str, _File] = {}
        self._thread: threading.Thread | None = None
        self._looked = 0.0
        self._log = structlog.get_logger()

    # -- in the loop

    @property
    def waiting(self) -> int:
        """Bytes that wait to be written."""
        return self._put - self._taken

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="hlsd-record", daemon=True)
        self._thread.start()

    def begin(self, take: Take, octets: bytes) -> bool:
        """Makes the file of a take, with these first bytes; False if there is no room in the queue."""
        return self._offer("begin", take, (octets,), len(octets))

    def append(self, take: Take, pieces: Sequence[bytes], size: int) -> bool:
        """One whole fragment, `size` bytes in all; False if there is no room in the queue."""
        return self._offer("append", take, pieces, size)

    def end(self, take: Take) -> None:
        """Nothing more comes of the take."""
        self._queue.put(("end", take, (), 0))

    def stop(self) -> None:
        """Writes what is queued, and ends the thread; does not wait for it (`join`)."""
        self._queue.put(("stop", None, (), 0))

    def join(self, seconds: float) -> bool:
        """Waits for the thread: not in the loop. Whether it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _offer(self, what: str, take: Take, pieces: Sequence[bytes], size: int) -> bool:
        if self.waiting + size > self._most:
            return False
        self._put += size
        self._queue.put((what, take, pieces, size))
        return True

    # -- in the thread

    def _run(self) -> None:
        while True:
            try:
                what, take, pieces, size = self._queue.get(timeout=1.0 if self._files else LOOK)
            except queue.Empty:
                self._look()
                continue
            if take is None:
                break
            try:
                self._do(what, take, pieces, size)
            except Exception as error:  # noqa: BLE001 - a fault here must not end the recordings of all streams
                self._log.exception("record writer failed", take=take.id)
                self._fail(take, str(error) or type(error).__name__)
            self._taken += size
            self._look()
        for file in list(self._files.values()):
            try:
                self._close(file)
            except OSError as error:
                self._fail(file.take, error.strerror or str(error))

    def _do(self, what: str, take: Take, pieces: Sequence[bytes], size: int) -> None:
        if take.error:
            if what == "end":
                self._done(take)
            return
        if what == "end":
            self._end(take)
            return
        file = self._files.get(take.id)
        try:
            if what == "begin":
                self._open(take, pieces[0])
            elif what == "append" and file is not None:
                write_pieces(file.fd, pieces, size, file.end)
                file.end += size
                file.dirty = True
                take.bytes, take.last_write = file.end, time.time()
                if self._sync and time.monotonic() - file.synced >= self._sync - 0.5:
                    self._flush(file)
        except OSError as error:
            self._fail(take, error.strerror or str(error))

    def _open(self, take: Take, octets: bytes) -> None:
        self._look(now=True)
        if self.full:
            raise NoRoom(errno.ENOSPC, "less is free than record.min_free")
        *steps, name = take.file.split("/")
        folder = self._folder(steps)
        try:
            fd = os.open(name + PART, _NEW, 0o600, dir_fd=folder)
            try:
                write_all(fd, octets, 0)
            except OSError:  # nothing is in it: it would lie there for ever, and one more each time it is tried
                with contextlib.suppress(OSError):
                    os.unlink(name + PART, dir_fd=folder)
                os.close(fd)
                raise
            with contextlib.suppress(OSError):
                os.fsync(folder)
        finally:
            os.close(folder)
        file = self._files[take.id] = _File(take, fd)
        file.end = take.bytes = len(octets)
        take.last_write = time.time()
        take.opened = True
        self._told(take, "opened")

    def _folder(self, steps: list[str]) -> int:
        """A descriptor of the folder that these steps lead to below the root, made if it is not there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        at = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        for step in steps:
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(step, 0o700, dir_fd=at)
                    os.fsync(at)  # or a power cut could take the folder away with all that is in it
                below = os.open(step, _DIRECTORY, dir_fd=at)
            finally:
                os.close(at)
            at = below
        return at

    def _flush(self, file: _File) -> None:
        file.dirty, file.synced = False, time.monotonic()
        os.fdatasync(file.fd)

    def _look(self, *, now: bool = False) -> None:
        """Looks at what is due by the clock: files to be forced to the disk, and how much of that is free."""
        clock = time.monotonic()
        if self._sync:
            for file in list(self._files.values()):
                if file.dirty and clock - file.synced >= self._sync:
                    try:
                        self._flush(file)
                    except OSError as error:
                        self._fail(file.take, error.strerror or str(error))
        if now or clock - self._looked >= LOOK:
            self.look()

    def look(self) -> None:
        """Looks at how much is free on the disk: blocks."""
        self._looked = time.monotonic()
        try:
            found = os.statvfs(self._place())
        except OSError:
            self.full, self.free = True, 0
        else:
            self.free = found.f_bavail * found.f_frsize
            self.full = self.free < self._min_free * (HYSTERESIS if self.full else 1)

    def _place(self) -> Path:
        """The folder, or what it will be made in. Raises OSError if it can never be one."""
        place = self.root
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(place))
        return place

    def _fail(self, take: Take, words: str) -> None:
        """Ends a file that cannot be written any more: cut back to what is whole, and closed."""
        take.error = words
        file = self._files.pop(take.id, None)
        if file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fd, file.end)
            with contextlib.suppress(OSError):
                os.close(file.fd)
        self._told(take, "lost")

    def _end(self, take: Take) -> None:
        """The last of a file. Whatever the disk says, who waits for its end hears of it, or would wait for ever."""
        file = self._files.get(take.id)
        try:
            if file is not None:
                self._close(file)
        except OSError as error:
            self._fail(take, error.strerror or str(error))
        finally:
            self._done(take)

    def _close(self, file: _File) -> None:
        self._files.pop(file.take.id, None)
        try:
            if self._sync:
                os.fdatasync(file.fd)
        finally:
            os.close(file.fd)

    def _done(self, take: Take) -> None:
        take.closed = True
        self._told(take, "closed")
