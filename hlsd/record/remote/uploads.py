"""Has every finished recording brought into the store, and what was deleted taken out: jobs that outlive crashes.

Law: what is to be done stands in the table of copies before it is begun, so that `kill -9` at any moment costs a try
and nothing else. At most `record.uploads` jobs at once; after a failure all wait a little, so that a store that is away
is asked for a few times a minute whatever waits for it. Lives in the event loop; files are read by threads of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from hlsd.base.clock import Clock
from hlsd.base.errors import HlsdError
from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.base.upkeep import end, ended, keep
from hlsd.record.folder import RecordFolder
from hlsd.record.index import RecordIndex
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.record.remote.copy import PENDING, REMOVING, UPLOADING, StoredCopy, begun, failed, removing, stored
from hlsd.record.remote.digest import FileDigest
from hlsd.record.remote.heads import SUFFIX
from hlsd.record.remote.health import StoreHealth
from hlsd.record.remote.stats import StoreStats
from hlsd.record.remote.upload import Upload, UploadRate

LOOK: Final = 1.0
"""Seconds between two looks at what is due."""
REST: Final = 1.0
"""Seconds for which nothing is begun after a failure, doubling with each in a row."""
LONGEST_REST: Final = 60.0
"""Until so many."""
SETTLED: Final = 30.0
"""Seconds after which what was cut off while it was uploaded is removed: the store may still be at the last request."""


class Uploads:
    """The jobs of one server. `told(copy)` is called for each that is in the store now.

    `most` and `rate` are the settings; `finished()` is a number that changes whenever a recording is finished.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what they stand on
        self,
        bucket: Bucket,
        index: RecordIndex,
        folder: RecordFolder,
        clock: Clock,
        log: Log,
        faults: Faults,
        stats: StoreStats,
        *,
        most: int,
        rate: int,
        finished: Callable[[], int],
        told: Callable[[StoredCopy], None],
    ) -> None:
        self.active: dict[str, Upload] = {}
        """Uploads under way, by recording."""
        self.health = StoreHealth("recordings are not uploaded", log)
        self._bucket = bucket
        self._index = index
        self._folder = folder
        self._clock = clock
        self._log = log
        self._faults = faults
        self._stats = stats
        self._most = most
        self._rate = UploadRate(rate)
        self._finished = finished
        self._told = told
        self._known = -1
        self._rests = 0.0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="hlsd-upload")

    def start(self) -> None:
        """Begins."""
        self._running = keep(self._run, "record_uploads", self._faults)

    async def stop(self, deadline: float) -> None:
        """Ends; what is under way is begun anew at the next start."""
        await end(self._running)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await ended(tasks, deadline)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def condemn(self, ident: str) -> StoredCopy | None:
        """Marks the copy of what is about to be deleted, or a crash on the way would leave half of it; what it was.

        It is removed a little later: by then `remove` or `spare` has said how that went.
        """
        await end(self._tasks.get(ident))
        copy = await self._index.ask(lambda table: table.copies.get(ident))
        if copy is not None:
            gone = removing(copy, self._clock.wall() + SETTLED)
            await self._index.ask(lambda table: table.copies.put(gone))
        return copy

    async def spare(self, copy: StoredCopy) -> None:
        """What was condemned could not be deleted here: it is what it was."""
        kept = copy._replace(state=PENDING) if copy.state == UPLOADING else copy
        await self._index.ask(lambda table: table.copies.put(kept))

    async def remove(self, copy: StoredCopy) -> None:
        """What was condemned was deleted here: what there may be of it in the store goes too."""
        if copy.state == PENDING and not copy.tries:
            await self._index.ask(lambda table: table.copies.drop(copy.id))
        elif copy.state != UPLOADING:  # the store may still be at its last request
            gone = removing(copy, self._clock.wall())
            await self._index.ask(lambda table: table.copies.put(gone))

    @property
    def sending(self) -> int:
        """Bytes sent of what is under way."""
        return sum(upload.sent for upload in self.active.values())

    async def _run(self) -> None:
        while True:
            if (finished := self._finished()) != self._known:
                await self._index.ask(lambda table: table.copies.gather())
                self._known = finished
            free = self._most - len(self._tasks)
            if free > 0 and self._clock.monotonic() >= self._rests:
                await self._begin(free)
            await asyncio.sleep(LOOK)

    async def _begin(self, free: int) -> None:
        """Begins what is due, so many jobs at most."""
        now, most = self._clock.wall(), self._most + free
        due = await self._index.ask(lambda table: table.copies.due(now, most))
        for copy in [copy for copy in due if copy.id not in self._tasks][:free]:
            self._go(copy)

    def _go(self, copy: StoredCopy) -> None:
        work = self._remove(copy) if copy.state == REMOVING else self._upload(copy)
        task = self._tasks[copy.id] = asyncio.create_task(work, name="record_upload")

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.pop(copy.id, None)
            if not done.cancelled() and (error := done.exception()) is not None:
                self._faults.task("record_upload", error)

        task.add_done_callback(over)

    async def _upload(self, copy: StoredCopy) -> None:
        copy = begun(copy)
        if not await self._index.ask(lambda table: table.copies.put(copy)):
            self._rest()  # or a try would not be known of after a crash
            return

        async def known(digest: FileDigest) -> None:
            nonlocal copy
            copy = fresh = copy._replace(bytes=digest.size, digest=digest.digest)
            await self._index.ask(lambda table: table.copies.put(fresh))

        upload = self.active[copy.id] = Upload(copy, self._bucket, self._threads, self._rate)
        try:
            digest, etag = await upload.run(lambda: self._folder.open(upload.copy.key), known)
        except FileNotFoundError:
            await self._missing(copy, upload)
        except (HlsdError, OSError) as error:
            await self._failed(copy, error)
        else:
            await self._stored(stored(copy._replace(bytes=digest.size), digest.digest, etag, self._clock.wall()))
        finally:
            self._stats.sent += upload.sent
            self.active.pop(copy.id, None)

    async def _stored(self, copy: StoredCopy) -> None:
        self.health.good()
        if await self._index.ask(lambda table: table.copies.put(copy)):
            self._stats.uploads["stored"] += 1
            self._told(copy)

    async def _missing(self, copy: StoredCopy, upload: Upload) -> None:
        """The file is not here: it was deleted, or the power went after it had been let go."""
        if await self._index.ask(lambda table: table.get(copy.id)) is None:
            await self._index.ask(lambda table: table.copies.drop(copy.id))
            return
        try:
            found = await self._bucket.look(copy.key)
        except StoreFault as error:
            await self._failed(copy, error)
            return
        if found is None or found.size != copy.bytes:
            await self._failed(copy, FileNotFoundError(2, "the file is neither here nor in the store"))
            return
        digest = copy.digest or found.digest
        try:
            same = "" != copy.digest == found.digest or "" != copy.etag == found.etag
            same = same or (digest != "" and await upload.read_back(copy.key, found.size) == digest)
        except StoreFault as error:
            await self._failed(copy, error)
            return
        if not same:
            await self._failed(copy, FileNotFoundError(2, "it is not here, and what the store has may be another"))
            return
        await self._stored(stored(copy, digest, found.etag, self._clock.wall())._replace(local=0))

    async def _failed(self, copy: StoredCopy, error: HlsdError | OSError) -> None:
        words = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        later = failed(copy, words, self._clock.wall(), random.random())  # noqa: S311 - jitter
        self._stats.uploads["failed"] += copy.state != REMOVING
        if isinstance(error, StoreFault):
            self.health.bad(words)
            self._rest()
        elif copy.tries == 1:
            self._log.warning("a recording cannot be uploaded", file=copy.key, reason=words)
        await self._index.ask(lambda table: table.copies.put(later))

    async def _remove(self, copy: StoredCopy) -> None:
        try:
            await self._bucket.delete(copy.key)
            if copy.has_index:
                await self._bucket.delete(copy.key + SUFFIX)
        except StoreFault as error:
            await self._failed(copy, error)
            return
        self.health.good()
        await self._index.ask(lambda table: table.copies.drop(copy.id))
        self._log.info("recording removed from the store", file=copy.key)

    def _rest(self) -> None:
        pause = min(LONGEST_REST, REST * 2.0 ** min(30, max(0, self.health.failures - 1)))
        self._rests = self._clock.monotonic() + pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
