"""Takes events from the event loop into the store without ever making the loop wait for a disk.

Law: `put` appends to a queue in memory and returns; a thread of the outbox's own encodes what is there, writes it in
one transaction and goes on. What was put survives `kill -9` once that transaction is committed: within a few
milliseconds, unless the disk stalls. A second thread brings what was committed to the disk itself, so that a power cut
costs a tenth of a second at most, without making the first one wait for that. Everything else that touches the store
(pages for the senders, what is done) runs in the first thread, in the order in which it was asked for. At most
`MAX_WAITING` events wait in memory.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import structlog

from hlsd.base.faults import Faults
from hlsd.events import Event
from hlsd.notify.payloads import PayloadFormat
from hlsd.notify.store import MOST_BYTES, Letter, Store
from hlsd.stats import NotifyStats

MAX_WAITING: Final = 30_000
"""Events that wait in memory for the thread: ten thousand viewers may leave in one turn of the loop."""
_TURN: Final = 2_000
"""Jobs in one transaction at most."""

_SYNC_EVERY: Final = 0.05
"""Seconds between two times that the file is brought to the disk, while there is something to bring."""

_T = TypeVar("_T")


class _Ask(Generic[_T]):
    """A question to the store; `settle` is told what came of it, in the thread."""

    def __init__(self, what: Callable[[Store], _T], settle: Callable[[_T | None, BaseException | None], None]) -> None:
        self._what = what
        self.settle = settle

    def __call__(self, store: Store) -> None:
        result, error = None, None
        try:
            result = self._what(store)
        except sqlite3.Error:
            raise  # the turn is done again, in memory
        except Exception as wrong:  # noqa: BLE001 - it is the asker's to hear
            error = wrong
        self.settle(result, error)


class _Turn:
    """Where events go from here on: what stands behind it in the queue is none of the transaction before it."""

    def __init__(self, what: Callable[[Store], None]) -> None:
        self._what = what

    def __call__(self, store: Store) -> None:
        self._what(store)


_Job = Event | _Ask[Any] | Callable[[Store], None] | None


class Outbox:
    """The durable queues of one server, one for each of `queues`, filled with `form`'s words.

    `wake` is called in the event loop whenever something was added.
    """

    def __init__(  # noqa: PLR0913 - what an outbox has
        self,
        path: Path | None,
        queues: tuple[str, ...],
        form: PayloadFormat,
        stats: NotifyStats,
        *,
        most: int,
        most_bytes: int = MOST_BYTES,
        wake: Callable[[], None],
        wanted: Callable[[Event], bool] = lambda event: not event.action.value.startswith("pre"),
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults or Faults()
        self._path = path
        self._queues = queues
        self._form = form
        self._stats = stats
        self._most = most
        self._most_bytes = most_bytes
        self._wake = wake
        self._wanted = wanted
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._syncer: threading.Thread | None = None
        self._unsynced = threading.Event()
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Opens the store in a thread of its own; call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()
        if self._path is not None:
            self._syncer = threading.Thread(target=self._sync, args=(self._path,), name="outbox sync", daemon=True)
            self._syncer.start()

    def direct(
        self, queues: tuple[str, ...], form: PayloadFormat, wanted: Callable[[Event], bool], most: int, most_bytes: int
    ) -> None:
        """From now on events go to these queues, in these words; what waits is as it was put."""
        self._wanted = wanted

        def turn(store: Store) -> None:  # in the thread, behind what was put before
            self._queues, self._form = queues, form
            store.bound(most, most_bytes)

        self._jobs.put(_Turn(turn))

    def put(self, event: Event) -> None:
        """Takes an event in (`hlsd.events.Sink`)."""
        if not self._wanted(event):
            return
        if self._jobs.qsize() >= MAX_WAITING:
            self._stats.events[event.action.value, "dropped"] += len(self._queues)
            return
        self._jobs.put(event)

    async def ask(self, what: Callable[[Store], _T]) -> _T:
        """Runs `what(store)` after everything that was put before, and says what it says."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def settle(result: _T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only if that is what `what` says

        self._jobs.put(_Ask(what, lambda result, error: self._in_loop(lambda: settle(result, error))))
        return await future

    def tell(self, what: Callable[[Store], None]) -> None:
        """As `ask`, without waiting for it."""
        self._jobs.put(what)

    async def stop(self) -> None:
        """Writes what was put before, and closes the store."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join, 10.0)
        self._ended.set()
        self._unsynced.set()
        if self._syncer is not None:
            await asyncio.to_thread(self._syncer.join, 10.0)

    # In the thread.

    def _work(self) -> None:
        store = Store(self._path, self._most, self._most_bytes)
        if not store.durable and self._path is not None:
            self._log.error("outbox not usable: events are kept in memory", path=str(self._path), reason=store.fault)
        self._publish(store)
        stopping = False
        while not stopping:
            jobs = [self._jobs.get()]
            while len(jobs) < _TURN and not isinstance(jobs[-1], _Turn):
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            stopping = None in jobs
            try:
                self._take_turn(store, jobs)
            except Exception as error:  # noqa: BLE001 - the thread goes on: without it every event would be lost
                self._faults.task("outbox", error)
                for job in jobs:
                    if isinstance(job, _Ask):
                        job.settle(None, error)  # nobody waits for ever; who was answered already hears it no more
        store.close()

    def _take_turn(self, store: Store, jobs: list[_Job]) -> None:
        letters = [letter for job in jobs if isinstance(job, Event) for letter in self._letters(job)]
        try:
            dropped = self._apply(store, jobs, letters)
        except sqlite3.Error as error:
            if store.durable:
                self._log.error("outbox not written: events are kept in memory until a restart", reason=str(error))
            store.fall_back(error)
            dropped = self._apply(store, jobs, letters)
        for letter in dropped:
            self._stats.events[letter.action, "dropped"] += 1
        self._publish(store)
        if letters:
            self._unsynced.set()
            self._in_loop(self._wake)

    def _apply(self, store: Store, jobs: list[_Job], letters: list[Letter]) -> list[Letter]:
        """One transaction: letters first, so that whoever asks in the same turn sees them."""
        store.begin()
        dropped = [letter for letter in letters if not store.put(letter)]
        for job in jobs:
            if job is not None and not isinstance(job, Event):
                job(store)
        store.commit()
        return dropped

    def _letters(self, event: Event) -> list[Letter]:
        try:
            body = self._form.body(event)
        except Exception:  # noqa: BLE001 - one event that cannot be told must not end the thread
            self._log.exception("event not encoded", action=event.action.value)
            return []
        if body is None:
            return []
        return [Letter(queue, event.id, event.event_id, event.action.value, event.at, body) for queue in self._queues]

    def _publish(self, store: Store) -> None:
        self._stats.queue_length = store.length(self._queues)
        self._stats.oldest = store.oldest(self._queues)

    def _sync(self, path: Path) -> None:
        """In the second thread. SQLite holds no lock on the log file, so that closing it again releases none."""
        log_file = path.with_name(f"{path.name}-wal")
        while not self._ended.is_set():
            self._unsynced.wait()
            self._unsynced.clear()
            try:
                descriptor = os.open(log_file, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # the store is in memory, or closed
                self._ended.wait(_SYNC_EVERY)
                continue
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                self._log.warning("outbox not synced", reason=error.strerror)
            finally:
                os.close(descriptor)
            self._ended.wait(_SYNC_EVERY)

    def _in_loop(self, what: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return
