"""Is what all recordings of a server stand on: the writer, what becomes of files that end, who is told.

It lives in the event loop. What blocks is done by two threads: the writer's, and one that finishes and removes files.
Law: what a disk does ends a recording, never a stream; a file that could not be finished is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import record_facts
from hlsd.record.boxes import BadBox
from hlsd.record.figures import RecordStats
from hlsd.record.folder import RecordFolder
from hlsd.record.index import DONE, RecordIndex, Row
from hlsd.record.repair import Empty, Finished
from hlsd.record.settings import RecordSettings
from hlsd.record.take import Reason, Take
from hlsd.record.writer import RecordWriter

T = TypeVar("T")
RETRY: Final = 30.0
"""Seconds after which a recording that the disk has ended is tried again, and the finishing of a file."""
BROKEN: Final = "broken"
"""State of a file that is none of ours, or damaged."""


def url_of(app: str, name: str, ident: str, form: str) -> str:
    """The path by which a recording is played or fetched."""
    return f"/{app}/{name}/r/{ident}{'.m3u8' if form == 'mp4' else '.' + form}"


@dataclass(slots=True)
class Finishing:
    """A file that has ended, and is not finished yet."""

    row: Row
    repaired: bool
    take: Take | None = None
    again: float = 0.0
    """Monotonic time of the next try; 0 while one is under way."""
    done: asyncio.Event = field(default_factory=asyncio.Event)


class RecordingStore:
    """The recordings of one server (`hlsd.record.recorder.RecordingSink`)."""

    def __init__(  # noqa: PLR0913, PLR0917 - what they need
        self,
        settings: RecordSettings,
        root: Path,
        index: RecordIndex,
        clock: Clock,
        bus: Bus,
        log: FilteringBoundLogger,
        faults: Faults,
    ) -> None:
        self.index = index
        self.folder = RecordFolder(root)
        self.stats = RecordStats()
        self.takes: dict[str, Take] = {}
        """Files under way, by id."""
        self.finishing: dict[str, Finishing] = {}
        """Files that have ended and have not their last form yet."""
        self.writer = RecordWriter(
            root, sync=settings.sync, min_free=settings.min_free, most=settings.max_queue, told=self._heard
        )
        self._clock = clock
        self._bus = bus
        self._log = log
        self._faults = faults
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hlsd-finish")
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._changed = asyncio.Event()
        """Set, and then another one, when something has become of a file."""

    async def start(self) -> None:
        """Begins to write."""
        self._loop = asyncio.get_running_loop()
        await self.do(self.writer.look)
        self._open = True
        self.writer.start()

    async def stop(self, deadline: float) -> None:
        """Writes what there is, and finishes it within `deadline` seconds; what is not, is at the next start."""
        self._open = False
        for take in list(self.takes.values()):
            self.end(take, "shutdown")
        self.writer.stop()
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        await loop.run_in_executor(None, self.writer.join, max(0.0, deadline))
        while any(not self._waits(ident) for ident in self.takes) and loop.time() < until:
            await self._changes(until)
        for task in self._tasks:
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def settled(self, ident: str, seconds: float) -> None:
        """Waits, but no longer than so, until a file has its last form, or waits for another try at it."""
        until = asyncio.get_running_loop().time() + seconds
        while ident in self.takes and not self._waits(ident) and asyncio.get_running_loop().time() < until:
            await self._changes(until)

    def give_up(self, ident: str) -> bool:
        """Lets go of a file that could not be finished so far; False if it is being written or finished now."""
        if ident not in self.takes and ident not in self.finishing:
            return True
        if not self._waits(ident):
            return False
        self.takes.pop(ident, None)
        self.finishing.pop(ident).done.set()
        self._change()
        return True

    def _waits(self, ident: str) -> bool:
        """Whether it could not be finished, and will be tried again."""
        finishing = self.finishing.get(ident)
        return finishing is not None and finishing.again > 0

    async def _changes(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def do(self, what: Callable[[], T]) -> T:
        """Does something with the disk in the thread that finishes files."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    # -- as the recorders see it

    def may_begin(self, retry_at: float) -> bool:
        """Whether a file may be begun now."""
        return self._open and not self.writer.full and self._clock.monotonic() >= retry_at

    def retry_at(self) -> float:
        """When a recording that the disk has ended may begin again."""
        return self._clock.monotonic() + RETRY

    def begin(self, take: Take, octets: bytes) -> bool:
        """A new file."""
        if not self.writer.begin(take, octets):
            return False
        self.takes[take.id] = take
        row = self.row(take)
        self.index.tell(lambda table: table.put(row))
        return True

    def append(self, take: Take, pieces: Sequence[bytes], size: int) -> bool:
        """The next fragment of one."""
        if not self.writer.append(take, pieces, size):
            return False
        self.stats.rule(take.rule).bytes += size
        return True

    def end(self, take: Take, reason: Reason) -> None:
        """One is over."""
        if not take.reason:
            take.reason = reason
            self.writer.end(take)

    def gap(self, take: Take | None) -> None:
        """Something was left out."""
        self.stats.rule(take.rule if take is not None else "").gaps += 1

    # -- what is read of them (`hlsd.record.open_recordings.Shelf`)

    def growing(self, ident: str) -> Row | None:
        """One that is being written, as it stands; None if it is not."""
        take = self.takes.get(ident)
        return self.row(take) if take is not None else None

    async def listed(self, ident: str) -> Row | None:
        """One that is in the index; None if there is none."""
        return await self.index.ask(lambda table: table.get(ident))

    def open(self, row: Row) -> int:
        """A descriptor of its file, written still or not. Raises OSError."""
        return self.folder.open(row.path, part=True)

    # -- what becomes of files

    def row(self, take: Take) -> Row:
        """A file under way as the index has it."""
        return Row(
            id=take.id,
            app=take.app,
            name=take.name,
            stream_id=take.stream_id,
            rule=take.rule,
            path=take.file,
            format=take.format,
            codecs=take.codecs,
            started_ms=int(take.started * 1000),
            duration_ms=round(take.seconds * 1000),
            bytes=take.bytes,
            reason=take.reason,
            error=take.error,
        )

    def finish(self, row: Row, *, repaired: bool, take: Take | None = None) -> Finishing:
        """Has a file finished that has ended."""
        finishing = self.finishing[row.id] = Finishing(row, repaired, take)
        self._go(finishing)
        return finishing

    async def tried(self, finishing: Finishing) -> bool:
        """Waits until a try at a file is over; False if it waits for another one."""
        while not finishing.done.is_set() and not finishing.again:
            await self._changed.wait()
        return finishing.done.is_set()

    def sweep(self) -> None:
        """Once a second: tries again what could not be finished."""
        now = self._clock.monotonic()
        for finishing in list(self.finishing.values()):
            if finishing.again and now >= finishing.again and not self.writer.full:
                finishing.again = 0.0
                self._go(finishing)

    def _go(self, finishing: Finishing) -> None:
        task = asyncio.create_task(self._finish(finishing), name="record_finish")
        self._tasks.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                self._faults.task("record_finish", error)

        task.add_done_callback(over)

    async def _finish(self, finishing: Finishing) -> None:
        row, take = finishing.row, finishing.take

        def progress(done: int, of: int) -> None:
            if take is not None:
                take.progress = done / max(1, of)

        def finished() -> Finished:
            if take is not None and not take.opened:
                raise Empty
            return self.folder.finish(row.path, progress)

        try:
            done = await self.do(finished)
        except Empty:
            self.index.tell(lambda table: table.drop(row.id))
        except BadBox as error:
            self._log.warning("a recording is damaged", file=row.path, reason=str(error))
            broken = row._replace(state=BROKEN, error=str(error), ended_ms=row.started_ms)
            self.index.tell(lambda table: table.put(broken))
            self.stats.rule(row.rule).files["broken"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the disk's or the file's, and tried again
            finishing.again = self._clock.monotonic() + RETRY
            words = (error.strerror or str(error)) if isinstance(error, OSError) else repr(error)
            self._log.warning("a recording is not finished yet", file=row.path, reason=words)
            self._change()
            return
        else:
            self._finished(finishing, done)
        if take is not None:
            self.takes.pop(take.id, None)
        self.finishing.pop(row.id, None)
        finishing.done.set()
        self._change()

    def _finished(self, finishing: Finishing, done: Finished) -> None:
        row, take = finishing.row, finishing.take
        seconds = done.duration or row.duration_ms / 1000
        ended = row.started_ms + round(seconds * 1000)
        repaired = finishing.repaired and not done.already
        row = row._replace(
            duration_ms=round(seconds * 1000),
            ended_ms=max(ended, int(take.last_write * 1000)) if take is not None else ended,
            bytes=done.bytes,
            state=DONE,
            reason=row.reason or ("crash" if finishing.repaired else ""),
            repaired=int(repaired),
        )
        self.index.tell(lambda table: table.put(row))
        self.stats.rule(row.rule).files["repaired" if repaired else "done"] += 1
        if not (finishing.repaired and done.already and row.reason == "found"):
            self._tell(Action.RECORD_DONE, row, take, reason=row.reason, repaired=repaired)

    # -- from the writer's thread

    def _heard(self, take: Take, what: str) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._told, take, what)

    def _told(self, take: Take, what: str) -> None:
        if what == "opened":
            self._tell(Action.RECORD_START, self.row(take), take)
        elif what == "lost":
            self.lost(take, take.error)
        elif what == "closed":
            self.finish(self.row(take), repaired=False, take=take)

    def lost(self, take: Take, words: str) -> None:
        """The disk has ended a recording."""
        self.stats.rule(take.rule).files["lost"] += 1
        self._log.warning("recording lost", app=take.app, name=take.name, file=take.file, reason=words)
        self._tell(Action.RECORD_LOST, self.row(take), take, reason="disk", detail=words)

    def heard_stored(self, row: Row | None) -> None:
        """A recording is in the store; from any thread."""
        loop = self._loop
        if row is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, Action.RECORD_STORED, row, _told_before(row, 2))

    def _tell(  # noqa: PLR0913 - what it tells
        self,
        action: Action,
        row: Row,
        take: Take | None,
        *,
        reason: str = "",
        detail: str = "",
        repaired: bool = False,
    ) -> None:
        # Whoever records it no longer has told of its start: in another life, if it was killed.
        shown = take or _told_before(row, 1)
        shown.events += 1
        facts = record_facts(
            app=row.app,
            name=row.name,
            stream_id=row.stream_id,
            rule=row.rule,
            codec=row.codecs,
            file=row.path,
            url=url_of(row.app, row.name, row.id, row.format),
            since=row.started_ms / 1000,
            at=row.ended_ms / 1000,
            duration=row.duration_ms / 1000,
            size=row.bytes,
            reason=reason,
            detail=detail,
            repaired=repaired,
        )
        self._bus.emit(Event(action, row.id, shown.events, self._clock.wall(), facts), shown)


def _told_before(row: Row, events: int) -> Take:
    """A recording of which so much was told: what is told now has the next number."""
    began, seconds = row.started_ms / 1000, row.duration_ms / 1000
    take = Take(row.id, row.app, row.name, row.stream_id, row.rule, row.path, row.format, began, row.codecs)
    take.events, take.bytes, take.seconds = events, row.bytes, seconds
    return take
