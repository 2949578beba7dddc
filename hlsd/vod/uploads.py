"""Keeps uploads while they come, each in a file of its own that can be gone on with.

A file `{id}` has what has come, `{id}.size` says how much that is to be. Blocks: for a thread. Law: what does not fit
is refused before the disk is used; who goes on with an upload is the only one at that time (flock); what nobody has
gone on with for `vod.upload_expiry` is removed, and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from hlsd.base.errors import HlsdError
from hlsd.base.quantities import in_mib
from hlsd.vod.folder import UPLOADS, VodFolder
from hlsd.vod.settings import VodSettings

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
SIZE: Final = ".size"
MOST: Final = 1000
"""FilmUploads that are there at once."""


class UploadRefused(HlsdError):
    """`status` of HTTP, and words for who uploads."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class OpenUpload:
    """An upload that is gone on with. `offset`: bytes that are there; `size`: that it is to have, -1: not told."""

    def __init__(self, fd: int, offset: int, size: int, most: int, room: Callable[[], bool]) -> None:
        self._fd = fd
        self._room = room
        self.offset = offset
        self.size = size
        self._most = most

    def write(self, octets: bytes) -> None:
        """Takes bytes. Raises UploadRefused where there are more than was said, OSError."""
        if self.offset + len(octets) > (self.size if self.size >= 0 else self._most):
            raise UploadRefused(413, "there is more of it than was said, or may be")
        if not self._room():
            raise UploadRefused(507, "there is no room for it on the disk")
        view = memoryview(octets)
        while view:
            wrote = os.write(self._fd, view)
            view, self.offset = view[wrote:], self.offset + wrote

    def close(self) -> None:
        """Others may go on with it."""
        os.close(self._fd)


class FilmUploads:
    """Those in `folder`."""

    def __init__(self, folder: VodFolder, settings: VodSettings) -> None:
        self._folder = folder
        self._settings = settings

    def create(self, size: int, likely: int = 0) -> str:
        """Begins one of `size` bytes, -1 if that is not known, or only `likely`; its id.

        Raises UploadRefused, OSError.
        """
        if size > self._settings.max_bytes:
            raise UploadRefused(413, f"a film may have {in_mib(self._settings.max_bytes)}")
        if self._folder.free - max(0, size, likely) < self._settings.min_free:
            raise UploadRefused(507, "there is no room for it on the disk")
        where = self._folder.root / UPLOADS
        if sum(1 for _ in os.scandir(where)) >= 2 * MOST:
            raise UploadRefused(503, "there are many uploads at the moment")
        ident = secrets.token_hex(16)
        (where / f"{ident}{SIZE}").write_text(str(size), encoding="ascii")
        (where / ident).touch(mode=0o600, exist_ok=False)
        return ident

    def _room(self) -> bool:
        return self._folder.free >= self._settings.min_free

    def measure(self, ident: str) -> tuple[int, int]:
        """Bytes that are there, and that it is to have (-1: not told). Raises UploadRefused."""
        where = self._folder.root / UPLOADS
        if _ID.fullmatch(ident):
            with contextlib.suppress(OSError, ValueError):
                return (where / ident).stat().st_size, int((where / f"{ident}{SIZE}").read_text(encoding="ascii"))
        raise UploadRefused(404, "there is no such upload, or it expired")

    def go_on(self, ident: str, offset: int) -> OpenUpload:
        """Goes on with one where it was left. Raises UploadRefused, OSError."""
        _, size = self.measure(ident)
        fd = os.open(self._folder.root / UPLOADS / ident, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.fstat(fd).st_size
            if there != offset:
                raise UploadRefused(409, f"it has {there} bytes")  # noqa: TRY301 - it is closed below
        except BlockingIOError:
            os.close(fd)
            raise UploadRefused(423, "somebody goes on with it at this instant") from None
        except BaseException:
            os.close(fd)
            raise
        return OpenUpload(fd, there, size, self._settings.max_bytes, self._room)

    def whole(self, ident: str) -> bool:
        """Whether all of it is there."""
        try:
            there, size = self.measure(ident)
        except UploadRefused:
            return False
        return there > 0 and size in {-1, there}

    def finish(self, ident: str) -> None:
        """All of it has come, however much that is."""
        there, size = self.measure(ident)
        if size < 0:
            (self._folder.root / UPLOADS / f"{ident}{SIZE}").write_text(str(there), encoding="ascii")

    def remove(self, ident: str) -> None:
        """Removes one. Raises UploadRefused."""
        self.measure(ident)
        self._folder.remove_upload(ident)
        self._folder.remove_upload(ident + SIZE)

    def forget(self, ident: str) -> None:
        """It is a job's now: its size is of no use any more."""
        self._folder.remove_upload(ident + SIZE)

    def expire(self) -> None:
        """Removes what nobody has gone on with."""
        oldest = time.time() - self._settings.upload_expiry
        for entry in list(os.scandir(self._folder.root / UPLOADS)):
            ident = entry.name.removesuffix(SIZE)
            with contextlib.suppress(OSError):
                if _ID.fullmatch(ident) and self._last(ident) < oldest:
                    (self._folder.root / UPLOADS / entry.name).unlink()

    def _last(self, ident: str) -> float:
        """When it last grew."""
        where = self._folder.root / UPLOADS
        with contextlib.suppress(FileNotFoundError):
            return (where / ident).stat().st_mtime
        return (where / f"{ident}{SIZE}").stat().st_mtime
