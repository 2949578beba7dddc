"""Lets local files go whose recordings are in the store, and the oldest of the store; by age, bytes and free space.

Law: before a file goes, the store is looked at once more: what it does not have any more, with the size and ETag that
were verified, is uploaded again instead. What is not in the store yet never goes: recordings stay while the store is
away, and it is the disk's `min_free` that ends new ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from hlsd.base.logger import Log
from hlsd.record.folder import RecordFolder
from hlsd.record.index import RecordIndex
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.remote.copy import STORED
from hlsd.record.remote.stats import StoreStats
from hlsd.record.retention import BATCH, STUCK, RetentionLimits, condemned


class StoreHost(Protocol):
    """What of the server's recordings it works on."""

    async def delete(self, ident: str) -> bool:
        """Deletes a recording, here and in the store; whether that was done."""
        ...

    def leave(self, ident: str) -> None:
        """The file is not here any more: who opens the recording from now on reads it in the store."""
        ...


class StoreKeeper:
    """What is kept where. `do` works in the thread of the disk; `keep_local` in seconds."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on
        self,
        bucket: Bucket,
        index: RecordIndex,
        folder: RecordFolder,
        do: Callable[[Callable[[], bool]], Awaitable[bool]],
        host: StoreHost,
        stats: StoreStats,
        log: Log,
        *,
        keep_local: float,
        limits: RetentionLimits,
    ) -> None:
        self._bucket = bucket
        self._index = index
        self._folder = folder
        self._do = do
        self._host = host
        self._stats = stats
        self._log = log
        self._keep_local = keep_local
        self._limits = limits
        self._stuck: set[str] = set()

    async def run(self, limits: RetentionLimits, *, now: float, calm: bool, under_way: int, free: int) -> None:
        """One look. `limits` are of the disk; `calm`: nothing goes for its age; `under_way`: bytes of open files."""
        totals = self._stats.totals = await self._index.ask(lambda table: table.copies.totals())
        most = BATCH + len(self._stuck)
        gone: dict[str, None] = {}
        if not calm:
            until = now - self._keep_local
            aged = await self._index.ask(lambda table: table.copies.aged(until, most))
            gone = dict.fromkeys(copy.id for copy in aged)
        if limits.any and totals.both:
            rows = await self._index.ask(lambda table: table.copies.oldest(most, local=True))
            total = totals.waiting_bytes + totals.both_bytes + under_way
            gone |= dict.fromkeys(condemned(rows, limits, now=now, total=total, free=free))
        for ident in gone:
            if ident not in self._stuck and not await self._let_go(ident):
                break  # the store does not answer: no file goes
        if gone:
            totals = self._stats.totals = await self._index.ask(lambda table: table.copies.totals())
        if self._limits.any and totals.stored:
            of_store = self._limits._replace(age=0.0) if calm else self._limits
            rows = await self._index.ask(lambda table: table.copies.oldest(most, local=False))
            for ident in condemned(rows, of_store, now=now, total=totals.stored_bytes, free=0):
                if ident not in self._stuck and not await self._host.delete(ident):
                    self._pass_over(ident)

    async def _let_go(self, ident: str) -> bool:
        """Removes a file here; False if the store could not be asked."""
        copy = await self._index.ask(lambda table: table.copies.get(ident))
        if copy is None or copy.state != STORED or not copy.local:
            return True
        try:
            found = await self._bucket.look(copy.key)
        except StoreFault:
            return False
        if found is None or found.size != copy.bytes or found.etag != copy.etag:
            self._log.warning("a recording is not in the store any more: it is uploaded again", file=copy.key)
            await self._index.ask(lambda table: table.copies.again(ident))
            return True
        try:
            await self._do(lambda: self._folder.remove(copy.key, beside=False))
        except OSError as error:
            self._log.warning("local file not removed", file=copy.key, reason=error.strerror or str(error))
            self._pass_over(ident)
            return True
        await self._index.ask(lambda table: table.copies.left(ident))
        self._stats.freed += 1
        self._host.leave(ident)
        return True

    def _pass_over(self, ident: str) -> None:
        if len(self._stuck) < STUCK:
            self._stuck.add(ident)  # or it would stand before all others for ever
