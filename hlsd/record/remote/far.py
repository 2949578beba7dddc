"""Reads recordings that are in the store alone, for viewers: their index once, their media in ranges.

Law: who waits for the store waits in the event loop and holds no thread, so that nobody waits who reads from the disk.
Bounded: `MOST` requests at once, `CROWD` more that wait, `PATIENCE` seconds each; beyond that the store counts as late,
and a viewer gets 503 and asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from hlsd.base.logger import Log
from hlsd.record.index import RecordIndex, Row
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.remote.copy import STORED
from hlsd.record.remote.heads import LARGEST, SUFFIX, read_heads
from hlsd.record.remote.health import StoreHealth
from hlsd.record.remote.stats import StoreStats
from hlsd.record.shape import Read

T = TypeVar("T")
MOST: Final = 32
"""Reads of the store at once."""
CROWD: Final = 128
"""And those that wait for one of these; more are refused."""
PATIENCE: Final = 10.0
"""Seconds that somebody waits for the store."""
LOADS: Final = 4
"""Indexes that are fetched at once: each may be of a day."""
_PIECE: Final = 4 << 20


class FarRecordings:
    """Recordings in the store (`hlsd.record.open_recordings.Far`)."""

    def __init__(self, bucket: Bucket, index: RecordIndex, log: Log, stats: StoreStats) -> None:
        self._bucket = bucket
        self._index = index
        self._stats = stats
        self._health = StoreHealth("recordings cannot be read from the store", log)
        self._slots = asyncio.Semaphore(MOST)
        self._loads = asyncio.Semaphore(LOADS)
        self._waiting = 0

    async def find(self, row: Row) -> tuple[str, Read] | None:
        """The name of a recording in the store, and its index to read by; None if not there. Raises StoreFault."""
        copy = await self._index.ask(lambda table: table.copies.get(row.id))
        if copy is None or copy.state != STORED:
            return None
        return copy.key, await self.index(copy.key) if copy.has_index else _nothing

    async def index(self, key: str) -> Read:
        """The index of an MP4. Raises StoreFault."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._loads.acquire()
        except TimeoutError:
            raise StoreFault("many wait for the store of recordings", late=True) from None
        try:
            found = await self._ask(lambda: self._bucket.look(key + SUFFIX))
            if found is None or not 0 < found.size <= LARGEST:
                raise StoreFault("the index of the recording is not in the store")
            packed, at = bytearray(), 0
            while at < found.size:
                packed += await self.read(key + SUFFIX, at, min(_PIECE, found.size - at))
                at = len(packed)
        finally:
            self._loads.release()
        return read_heads(bytes(packed))

    async def read(self, key: str, offset: int, size: int) -> bytes:
        """Bytes of an object. Raises StoreFault."""
        return await self._ask(lambda: self._bucket.read(key, offset, size))

    async def _ask(self, what: Callable[[], Awaitable[T]]) -> T:
        if self._waiting >= CROWD:
            self._stats.reads["late"] += 1
            raise StoreFault("many wait for the store of recordings", late=True)
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE), self._slots:
                found = await what()
        except TimeoutError:
            fault = StoreFault("the store did not answer in time", late=True)
            self._bad(fault)
            raise fault from None
        except StoreFault as fault:
            self._bad(fault)
            raise
        finally:
            self._waiting -= 1
        self._stats.reads["read"] += 1
        self._health.good()
        return found

    def _bad(self, fault: StoreFault) -> None:
        self._stats.reads["late" if fault.late else "failed"] += 1
        self._health.bad(str(fault))


def _nothing(offset: int, size: int) -> bytes:  # noqa: ARG001 - as of a file
    return b""
