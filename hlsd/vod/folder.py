"""Is the folder of what was made as it stands on disk: `yyyy/mm/dd/{id}`, and `{id}.tmp` while a job is at work.

Blocks: for a thread. Law: nothing outside the folder is opened, made or removed: each step of a path is opened below
the one before it, and none may be a link. What a job makes is in its `.tmp` until all of it is there, so that doing it
again harms nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hlsd.vod.job import folder_of, is_id

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC
TMP: Final = ".tmp"
SOURCE: Final = "source"
"""What the film is called in `.tmp`."""
NOTES: Final = "source.notes"
"""What says how far a film is that comes segment by segment."""
UPLOADS: Final = "uploads"


class VodFolder:
    """The folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(self) -> None:
        """Makes it where it is not there. Raises OSError."""
        (self.root / UPLOADS).mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def free(self) -> int:
        """Bytes that are free on its disk."""
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize

    # -- a job at work

    def open_tmp(self, ident: str) -> int:
        """A descriptor of a job's `.tmp`, made where it is not there. Raises OSError."""
        at = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        for step in (*folder_of(ident).split("/"), ident + TMP):
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(step, 0o700, dir_fd=at)
                below = os.open(step, _DIRECTORY, dir_fd=at)
            finally:
                os.close(at)
            at = below
        return at

    def make(self, ident: str, name: str) -> int:
        """A descriptor of a file of a job's `.tmp`, empty, to read and to write. Raises OSError."""
        folder = self.open_tmp(ident)
        try:
            return os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | _FILE, 0o600, dir_fd=folder)
        finally:
            os.close(folder)

    def grow(self, ident: str, name: str) -> int:
        """The same of one that may be there already, at its end."""
        folder = self.open_tmp(ident)
        try:
            return os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND | _FILE, 0o600, dir_fd=folder)
        finally:
            os.close(folder)

    def source(self, ident: str) -> int:
        """A descriptor to read the film by. Raises OSError."""
        folder = self.open_tmp(ident)
        try:
            return os.open(SOURCE, os.O_RDONLY | _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def take_upload(self, upload: str, ident: str) -> bool:
        """Makes an upload the film of a job; False if there is none, and the job has none yet."""
        with contextlib.suppress(FileNotFoundError):
            os.close(self.source(ident))
            return True
        folder = self.open_tmp(ident)
        try:
            os.rename(self.root / UPLOADS / upload, SOURCE, dst_dir_fd=folder)
        except FileNotFoundError:
            return False
        finally:
            os.close(folder)
        return True

    def made(self, ident: str) -> list[str]:
        """Names of what a job has made so far."""
        folder = self.open_tmp(ident)
        try:
            return sorted(name for name in os.listdir(folder) if name not in {SOURCE, SOURCE + TMP, NOTES})  # noqa: PTH208
        finally:
            os.close(folder)

    def open_made(self, ident: str, name: str) -> int:
        """A descriptor to read one of these by. Raises OSError."""
        folder = self.open_tmp(ident)
        try:
            return os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def publish(self, ident: str) -> None:
        """What is in `.tmp` is the film's from now on; the source goes. Raises OSError."""
        with self._day(ident) as day:
            try:
                folder = os.open(ident + TMP, _DIRECTORY, dir_fd=day)
            except FileNotFoundError:
                os.close(os.open(ident, _DIRECTORY, dir_fd=day))  # it was done before
                return
            try:
                for name in (SOURCE, SOURCE + TMP, NOTES):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
                os.fsync(folder)
            finally:
                os.close(folder)
            os.rename(ident + TMP, ident, src_dir_fd=day, dst_dir_fd=day)
            os.fsync(day)

    # -- what is there

    def open(self, ident: str, name: str) -> int:
        """A descriptor to read a file of a film by. Raises OSError."""
        with self._day(ident) as day:
            folder = os.open(ident, _DIRECTORY, dir_fd=day)
            try:
                return os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)
            finally:
                os.close(folder)

    def remove(self, ident: str) -> bool:
        """Removes all of a film, also what is unfinished, and the folders above it that are empty then."""
        gone = False
        with contextlib.suppress(FileNotFoundError), self._day(ident) as day:
            for name in (ident, ident + TMP):
                gone |= _removed(day, name)
        above = Path(folder_of(ident))
        while above != Path():
            try:
                (self.root / above).rmdir()
            except OSError:  # it holds others
                break
            above = above.parent
        return gone

    def remove_tmp(self, ident: str) -> None:
        """Removes what a job has left that came to nothing."""
        with contextlib.suppress(FileNotFoundError), self._day(ident) as day:
            _removed(day, ident + TMP)

    def remove_upload(self, upload: str) -> None:
        """Removes an upload."""
        (self.root / UPLOADS / upload).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _day(self, ident: str) -> Iterator[int]:
        """A descriptor of the folder of the day that a job was asked for."""
        if not is_id(ident):
            raise FileNotFoundError(2, "no job is called so", ident)
        at = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for step in folder_of(ident).split("/"):
                below = os.open(step, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)


def _removed(day: int, name: str) -> bool:
    """Removes a folder of files; one that is a link is left alone."""
    try:
        folder = os.open(name, _DIRECTORY, dir_fd=day)
    except FileNotFoundError:
        return False
    try:
        for each in os.scandir(folder):
            if each.is_dir(follow_symlinks=False):  # sheets of thumbnails: see hlsd.record.folder
                _removed(folder, each.name)
            else:
                os.unlink(each.name, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=day)
    return True


def below(roots: list[Path], path: str) -> int:
    """A descriptor of a file that lies below one of the folders, links resolved. Raises OSError, ValueError."""
    asked = Path(path)
    if not asked.is_absolute() or "\0" in path:
        raise ValueError("the file should be named in full")
    real = asked.resolve()
    for root in roots:
        base = root.resolve()
        if not real.is_relative_to(base):
            continue
        at = os.open(base, _DIRECTORY)
        try:  # step by step: what was resolved may have become a link meanwhile
            *steps, name = real.relative_to(base).parts or ("",)
            for step in steps:
                under = os.open(step, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = under
            return os.open(name, os.O_RDONLY | os.O_NONBLOCK | _FILE, dir_fd=at)
        finally:
            os.close(at)
    raise ValueError("the file is not below vod.roots")
