"""Is the folder of the recordings as it stands on disk: finishes, finds and removes files in it. Blocks: for a thread.

Law: nothing outside the folder is opened, renamed or removed: each step of a path is opened below the one before it,
and none may be a link.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from hlsd.record.boxes import BadBox
from hlsd.record.repair import Empty, Finished, finish, reader
from hlsd.record.shape import About, open_layout
from hlsd.record.take import EXTENSIONS, PART

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BESIDE: Final = ".d"
"""What the folder of a recording is called, behind the file's name."""
_MOST_BESIDE: Final = 4 << 20
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class RecordFolder:
    """The folder `root`; paths are relative to it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def finish(self, path: str, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Finished:
        """Finishes `{path}.part` and gives it its name; what is finished already is told of.

        Raises:
            Empty: there is nothing whole in it, and it is removed; or it is not there.
            BadBox: it is no recording of ours; it stays as it is.
            OSError: the disk does not take it.
        """
        with self._folder(path) as (folder, name):
            part = name + PART
            try:
                fd = os.open(part, os.O_RDWR | _FILE, dir_fd=folder)
            except FileNotFoundError:
                part = name
                try:
                    fd = os.open(part, os.O_RDWR | _FILE, dir_fd=folder)
                except FileNotFoundError:
                    raise Empty from None
            try:
                if not name.endswith(EXTENSIONS["mp4"]):
                    done = Finished(0.0, os.fstat(fd).st_size, 0, None)
                else:
                    done = finish(fd, progress)
            except Empty:
                os.unlink(part, dir_fd=folder)
                raise
            finally:
                os.close(fd)
            if part != name:
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            return done

    def open(self, path: str, *, part: bool = False) -> int:
        """A descriptor to read it by; `part`: it may still be written. Raises OSError."""
        with self._folder(path) as (folder, name):
            for each in (name, name + PART):
                with contextlib.suppress(FileNotFoundError):
                    if part or each == name:
                        return os.open(each, os.O_RDONLY | _FILE, dir_fd=folder)
            return os.open(name, os.O_RDONLY | _FILE, dir_fd=folder)  # it may have got its name between the two

    def remove(self, path: str, *, beside: bool = True) -> bool:
        """Removes a file, finished or not, and the folders above it that are empty then; whether it was there.

        `beside`: also what lies beside it.
        """
        gone = False
        try:
            with self._folder(path) as (folder, name):
                for each in (name, name + PART):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(each, dir_fd=folder)
                        gone = True
                if beside:
                    self._remove_beside(folder, name)
        except FileNotFoundError:
            return False
        above = Path(path).parent
        while above != Path():
            try:
                (self.root / above).rmdir()
            except OSError:  # it holds others
                break
            above = above.parent
        return gone

    def remove_all(self, paths: Iterable[str]) -> None:
        """Removes files, where the disk lets it."""
        for path in paths:
            with contextlib.suppress(OSError):
                self.remove(path)

    # -- what lies beside a file, in a folder of its own that goes with it

    def read_beside(self, path: str, name: str) -> bytes | None:
        """A small file beside a recording; None if it is not there."""
        try:
            with self._folder(f"{path}{BESIDE}/{name}") as (folder, last):
                fd = os.open(last, os.O_RDONLY | _FILE, dir_fd=folder)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(_MOST_BESIDE)

    def write_beside(self, path: str, name: str, octets: bytes) -> bool:
        """Keeps one, whole or not at all, if the recording is there; whether it did."""
        try:
            with self._folder(path) as (folder, last):
                os.close(os.open(last, os.O_RDONLY | _FILE, dir_fd=folder))
                with contextlib.suppress(FileExistsError):
                    os.mkdir(last + BESIDE, 0o700, dir_fd=folder)
            with self._folder(f"{path}{BESIDE}/{name}") as (folder, last):
                fresh = f"{last}.{secrets.token_hex(4)}{PART}"
                fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=folder)
                try:
                    with os.fdopen(fd, "wb") as file:
                        file.write(octets)
                    os.rename(fresh, last, src_dir_fd=folder, dst_dir_fd=folder)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.unlink(fresh, dir_fd=folder)
                    raise
        except OSError:  # it is made anew
            return False
        return True

    def _remove_beside(self, folder: int, name: str) -> None:
        try:
            below = os.open(name + BESIDE, _DIRECTORY, dir_fd=folder)
        except OSError:
            return
        try:
            for each in [entry.name for entry in os.scandir(below)]:
                with contextlib.suppress(OSError):
                    os.unlink(each, dir_fd=below)
        finally:
            os.close(below)
        with contextlib.suppress(OSError):
            os.rmdir(name + BESIDE, dir_fd=folder)

    def there(self, path: str) -> bool:
        """Whether the file is there, finished or not; one that cannot be looked at may be."""
        try:
            os.close(self.open(path, part=True))
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def walk(self) -> Iterator[str]:
        """The paths of all files that may be recordings, without `.part`. Raises OSError where it cannot look."""

        def unread(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error  # or all that lies there would be taken to be gone

        for folder, _, names in os.walk(self.root, onerror=unread):
            for name in names:
                bare = name.removesuffix(PART)
                if bare.endswith(tuple(EXTENSIONS.values())):
                    yield str((Path(folder) / bare).relative_to(self.root))

    def about(self, path: str) -> About | None:
        """What a file says of itself; None if it is no recording of ours."""
        try:
            fd = self.open(path, part=True)
        except OSError:
            return None
        try:
            found = open_layout(reader(fd)).about
        except (BadBox, OSError):
            return None
        finally:
            os.close(fd)
        return found

    @contextlib.contextmanager
    def _folder(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that a file is in, and its name there."""
        *steps, name = path.split("/")
        at = os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for step in steps:
                if step in {"", ".", ".."}:
                    raise FileNotFoundError(2, "no such folder", path)
                below = os.open(step, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)
