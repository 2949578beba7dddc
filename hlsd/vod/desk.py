"""Takes jobs in, and says what becomes of them: the ledger and the folder, for an event loop.

Law: the disk and the database are a thread's business, never the loop's; what waits for that thread is bounded.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from hlsd.base.errors import HlsdError
from hlsd.record.remote.bucket import Bucket, StoreFault
from hlsd.vod.fetch import check_url
from hlsd.vod.fetch_playlist import is_playlist
from hlsd.vod.film_store import FarFilms, key_of, remove
from hlsd.vod.folder import VodFolder
from hlsd.vod.job import FINAL, CallbackForm, VodJob, Wish, is_id, new_id
from hlsd.vod.ledger import JobLedger, QuotaFull
from hlsd.vod.settings import VodSettings
from hlsd.vod.uploads import FilmUploads

T = TypeVar("T")
THREADS: Final = 2
MOST_WAITING: Final = 256
"""Questions that wait for the threads."""
MAX_SMALL: Final = 16 << 20
"""Bytes of a cover, and of a track of text."""


class JobRefused(HlsdError):
    """What was asked for is not done: `status` of HTTP, `code` for programs, the words for who asked."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.code = code


class VodDesk:
    """Of one server. `gone(job, first)` is told of a job that is deleted, before its files are.

    `first`: nobody was told yet that it is over.
    """

    def __init__(
        self,
        settings: VodSettings,
        ledger: JobLedger,
        folder: VodFolder,
        gone: Callable[[VodJob, bool], None],
        store: tuple[Bucket, FarFilms] | None = None,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.uploads = FilmUploads(folder, settings)
        self._ledger = ledger
        self._gone = gone
        self._bucket = store[0] if store is not None else None
        self._far = store[1] if store is not None else None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hlsd-vod")
        self._waiting = 0

    async def do(self, what: Callable[[], T]) -> T:
        """Has a thread do something. Raises JobRefused where many wait already, or the jobs cannot be had."""
        if self._waiting >= MOST_WAITING:
            raise JobRefused(503, "busy", "many wait already; ask again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, what)
        except SQLAlchemyError:
            raise JobRefused(503, "no_database", "the jobs cannot be had for now") from None
        finally:
            self._waiting -= 1

    async def start(self) -> None:
        """Makes what is missing. Raises OSError, JobRefused."""
        await self.do(self.folder.start)
        await self.do(self._ledger.start)

    async def stop(self) -> None:
        """Lets go of all."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._ledger.close()

    # -- jobs

    async def add(self, wish: Wish, owner: str, *, form: CallbackForm = "post", ident: str = "") -> VodJob:
        """Takes a job in, by the name `ident` if it has one; `form`: how its callback is told. Raises JobRefused."""
        self._check(wish)
        created = int(time.time() * 1000)
        job = VodJob(id=ident or new_id(), owner=owner, wish=wish, callback_form=form, created=created)
        try:
            await self.do(lambda: self._add(job))
        except QuotaFull as error:
            raise JobRefused(429, "quota", str(error)) from None
        except OSError as error:
            raise JobRefused(507, "disk", f"the upload cannot be taken: {error.strerror}") from None
        return job

    def _add(self, job: VodJob) -> None:
        upload = job.wish.upload
        if upload and not self.uploads.whole(upload):
            raise JobRefused(404, "no_such_upload", "there is no such upload, or it is not whole")
        self._ledger.add(job, self.settings.quota)
        if upload:  # it is the job's from now on, and does not expire
            self.folder.take_upload(upload, job.id)
            self.uploads.forget(upload)

    def _check(self, wish: Wish) -> None:
        """Raises JobRefused for what can be told at once."""
        settings = self.settings
        if wish.file and not settings.roots:
            raise JobRefused(403, "forbidden_file", "vod.roots is empty: no file of the server's is taken")
        if wish.url and not settings.urls:
            raise JobRefused(403, "forbidden_url", "vod.urls is off: no URL is fetched")
        for what, url in (("url", wish.url), ("callback", wish.callback)):
            if url:
                try:
                    check_url(url)
                except ValueError as error:
                    raise JobRefused(400, "bad_url", f"{what}: {error}") from None

    async def get(self, ident: str) -> VodJob:
        """A job. Raises JobRefused."""
        job = await self.find(ident)
        return job if job is not None else _missing()

    async def find(self, ident: str) -> VodJob | None:
        """A job; None if there is none."""
        return await self.do(lambda: self._ledger.get(ident)) if is_id(ident) else None

    async def page(self, *, state: str, owner: str, after: str, most: int) -> list[VodJob]:
        """Jobs, the newest first."""
        return await self.do(lambda: self._ledger.page(state=state, owner=owner, after=after, most=most))

    async def finish(self, ident: str) -> VodJob:
        """Records a live playlist no further: what it has brought becomes the film. Raises JobRefused."""
        job = await self.get(ident)
        if job.state != "running" or job.step != "fetch" or not (job.wish.url and is_playlist(job.wish.url)):
            raise JobRefused(409, "no_recording", "no live playlist is being recorded by this job")
        await self.do(lambda: self._ledger.enough(ident))
        return job

    async def remove(self, ident: str) -> VodJob | None:
        """Cancels a job that is not over, and is what it is then; else deletes it and all that it made, and is None."""
        job = await self.get(ident)
        if job.state not in FINAL:
            await self.do(lambda: self._ledger.cancel(ident, int(time.time() * 1000)))
            return await self.get(ident)
        self._gone(job, await self.do(lambda: self._ledger.tell(ident)))
        if self._bucket is not None and job.state == "done":
            try:
                await remove(self._bucket, ident)
            except StoreFault as error:  # it is listed still, and can be deleted again
                raise JobRefused(502, "store", f"it cannot be removed from the store: {error}") from None
        await self.do(lambda: self._remove(job))
        return None

    def _remove(self, job: VodJob) -> None:
        """The row last: a film whose files could not be removed is listed still, and can be deleted again."""
        try:
            self.folder.remove(job.id)
        except OSError as error:
            raise JobRefused(500, "disk", f"its files cannot be removed: {error.strerror}") from None
        self._ledger.forget(job.id)

    async def cover(self, ident: str, number: int) -> bytes | None:
        """A cover of a film; None if there is none."""
        job = await self.find(ident)
        if job is None or job.state != "done" or job.outcome is None or number >= job.outcome.covers:
            return None
        return await self.file(ident, f"{number}.jpg")

    async def file(self, ident: str, name: str) -> bytes | None:
        """A small file of a film; None if there is none."""
        found = await self.do(lambda: self._small(ident, name))
        if found is None and self._far is not None:
            try:
                return await self._far.small(key_of(ident, name), MAX_SMALL)
            except StoreFault:
                return None  # the log has it once
        return found

    def _small(self, ident: str, name: str) -> bytes | None:
        try:
            fd = self.folder.open(ident, name)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(MAX_SMALL)

    # -- upkeep

    async def over(self) -> list[VodJob]:
        """Jobs that are over, and that this server is to tell of: nobody else does."""

        def ask() -> list[VodJob]:
            return [job for job in self._ledger.untold() if self._ledger.tell(job.id)]

        return await self.do(ask)

    async def tidy(self) -> None:
        """Removes uploads that nobody has gone on with, and forgets the oldest jobs that came to nothing."""

        def work() -> None:
            self.uploads.expire()
            for ident in self._ledger.surplus(self.settings.max_jobs):
                self.folder.remove(ident)
                self._ledger.forget(ident)

        await self.do(work)

    async def counts(self) -> dict[str, int]:
        """How many jobs there are, by state."""
        return await self.do(self._ledger.counts)


def _missing() -> NoReturn:
    raise JobRefused(404, "no_such_job", "there is no job of that id")
