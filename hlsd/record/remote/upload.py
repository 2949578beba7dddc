"""Brings one file into the store, and knows that it is there: one try.

Law: a try may be the second of one that a crash has ended, so it looks first, and what is there already is not sent
again. What is there is *verified* if it has the file's size and either the ETag that these bytes must have, or, where
the store makes its ETags otherwise (it encrypts with keys of its own, or is a folder), the file's SHA-256 when it is
read back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from hlsd.record.remote.bucket import Bucket, StoredObject, StoreFault
from hlsd.record.remote.copy import StoredCopy
from hlsd.record.remote.digest import FileDigest, digest_of, read_digest
from hlsd.record.remote.heads import SUFFIX

T = TypeVar("T")
PIECE: Final = 1 << 20
"""Bytes that are read and sent at a time."""
KINDS: Final = {"mp4": "video/mp4", "ts": "video/mp2t", "flv": "video/x-flv"}
_MD5: Final = re.compile(r"[0-9a-f]{32}(?:-[0-9]{1,5})?", re.ASCII)


class UploadRate:
    """Bytes a second that all uploads together may take; 0 for no bound."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free = 0.0

    async def take(self, size: int) -> None:
        """Waits until so many more may go."""
        if self._rate:
            now = asyncio.get_running_loop().time()
            self._free = max(now, self._free) + size / self._rate
            if self._free - now > 0.001:
                await asyncio.sleep(self._free - now)


class Upload:
    """One try at one file. `sent` and `size` are bytes of it; files are read in `threads`."""

    def __init__(self, copy: StoredCopy, bucket: Bucket, threads: ThreadPoolExecutor, rate: UploadRate) -> None:
        self.copy = copy
        self.sent = 0
        self.size = copy.bytes
        self._bucket = bucket
        self._threads = threads
        self._rate = rate
        self._latest: Future[Any] | None = None
        self._over = False

    async def run(
        self, open_file: Callable[[], int], known: Callable[[FileDigest], Awaitable[None]]
    ) -> tuple[FileDigest, str]:
        """Uploads and verifies; what is known of the file, and its ETag in the store. `known` hears before it is sent.

        Raises:
            StoreFault: the store did not take it, or has other bytes.
            FileNotFoundError: the file is not there any more.
            OSError, BadBox: the file cannot be read, or is none of ours.
        """
        fd = -1
        try:
            fd = await self._do(open_file)
            copy = self.copy
            digest = await self._do(lambda: read_digest(fd, indexed=copy.has_index, over=lambda: self._over))
            self.size = digest.size
            await known(digest)
            if digest.heads:  # first, so that whoever sees the file in the store finds its index too
                index = digest_of(digest.heads)
                await self._bring(copy.key + SUFFIX, index, "application/gzip", lambda: _small(digest.heads))
            etag = await self._bring(copy.key, digest, KINDS[copy.format], lambda: self._pieces(fd, digest.size))
            return digest, etag
        finally:
            self._over = True
            self._close(fd)

    async def _do(self, what: Callable[[], T]) -> T:
        """Does in a thread what blocks, one thing at a time."""
        self._latest = found = self._threads.submit(what)
        return await asyncio.wrap_future(found)

    def _close(self, fd: int) -> None:
        """Closes the file behind what a thread may still do with it, whoever has waited for that."""
        latest = self._latest

        def close(done: Future[Any]) -> None:
            opened = fd
            if fd < 0 and not done.cancelled() and done.exception() is None:
                opened = done.result()  # it was opened, and nobody heard of it
            if opened >= 0:
                os.close(opened)

        if latest is not None:
            latest.add_done_callback(close)  # at once, if it is done

    async def _bring(self, key: str, digest: FileDigest, kind: str, body: Callable[[], AsyncIterator[bytes]]) -> str:
        found = await self._bucket.look(key)
        if found is not None and await self._is(key, found, digest):
            await self._bucket.settle(key)  # a crash may have ended the try that wrote it
            return found.etag
        self.sent = 0
        whole = body() if digest.part else b"".join([piece async for piece in body()])
        await self._bucket.put(key, whole, kind, digest.digest, digest.part)
        found = await self._bucket.look(key)
        if found is None:
            raise StoreFault("the store took the file and does not have it")
        if not await self._is(key, found, digest):
            raise StoreFault("the store has other bytes than it was sent")
        return found.etag

    async def _is(self, key: str, found: StoredObject, digest: FileDigest) -> bool:
        """Whether what the store has under that name are the bytes of the file."""
        if found.size != digest.size:
            return False
        if found.etag == digest.etag and not self._bucket.folder:
            return True
        if _MD5.fullmatch(found.etag) and found.digest != digest.digest:
            return False  # something else lies there: no need to read it
        return await self.read_back(key, found.size) == digest.digest

    async def read_back(self, key: str, size: int) -> str:
        """The SHA-256 of an object of that many bytes, read piece by piece."""
        found, at = hashlib.sha256(), 0
        while at < size:
            octets = await self._bucket.read(key, at, min(8 * PIECE, size - at))
            await self._do(lambda octets=octets: found.update(octets))  # type: ignore[misc]
            at += len(octets)
        return found.hexdigest()

    async def _pieces(self, fd: int, size: int) -> AsyncIterator[bytes]:
        while self.sent < size:
            at = self.sent
            octets = await self._do(lambda at=at: os.pread(fd, min(PIECE, size - at), at))  # type: ignore[misc]
            if not octets:
                raise StoreFault("the file is shorter than it was")
            await self._rate.take(len(octets))
            self.sent += len(octets)
            yield octets


async def _small(octets: bytes) -> AsyncIterator[bytes]:
    yield octets
