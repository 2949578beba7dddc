"""Has pictures made: one job for a stream and second, whoever asks, within the budget of the processor.

Law: who asks gets a picture that is there, or waits for the one that is being made, and nobody's asking makes more than
`GAP` allows. A stream whose key pictures fail three times in a row is left alone for a minute: it may be what kills the
child, and others wait behind it. All that is kept is bounded and goes with those who asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.base.upkeep import end, keep, sweep
from hlsd.ports import Denial, PlayRequest
from hlsd.snapshots.budget import CpuBudget
from hlsd.snapshots.child import ChildLost, DecodeChild
from hlsd.snapshots.figures import SnapshotStats
from hlsd.snapshots.portrait import Busy, Portrait, Shot, Sitter, key_of
from hlsd.snapshots.settings import SnapshotSettings
from hlsd.snapshots.wire import UNIT_LIMIT, Job, JobOutcome, StillVariant

GAP: Final = 1.0
"""Seconds between two jobs of one stream."""
MOST_AT_ONCE: Final = 4
"""Sizes and formats of one job: who asks for all that there are must not take the time of other streams."""
PATIENCE: Final = 8.0
"""Seconds that somebody waits for a picture."""
FAILURES: Final = 3
BAR: Final = 60.0
"""Seconds for which a stream is left alone after so many failures in a row."""
MOST_QUEUED: Final = 256
"""Streams that wait for their turn: seconds of work."""
IDLE: Final = 60.0
"""Seconds after which pictures that nobody asked for are let go, and the child is ended: it takes 60 MB."""
MOST_SPARE: Final = 16
"""Jobs that wait for time to spare."""
MOST_KEPT: Final = 64 << 20
"""Bytes of pictures that are kept."""
SWEEP: Final = 1.0
_STOPPED: Final = Busy("the server stops", 1.0)


class Studio:
    """The pictures of one node. `find(app, name)` gives a stream that is live or in its grace."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        settings: SnapshotSettings,
        find: Callable[[str, str], Sitter | None],
        clock: Clock,
        log: Log,
        stats: SnapshotStats,
        faults: Faults,
    ) -> None:
        self._find = find
        self._clock = clock
        self._log = log
        self._stats = stats
        self._faults = faults
        self.budget = CpuBudget(settings.cpu, clock.monotonic())
        self.child = DecodeChild(settings.memory, stats, log, self.budget.spend)
        self._portraits: dict[tuple[str, str], Portrait] = {}
        self._queue: asyncio.Queue[Portrait | None] = asyncio.Queue()  # each once; None: something else is to be done
        self._spare: deque[tuple[Job, asyncio.Future[JobOutcome | None]]] = deque()
        self._rest = False  # the child may
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    def start(self) -> None:
        """Begins to work; no process is begun before somebody asks."""
        self._tasks = [
            keep(self._work, "snapshots", self._faults),
            sweep(SWEEP, self._sweep, "snapshot_sweep", self._faults),
        ]

    async def stop(self) -> None:
        """Ends; whoever waits is told, and whoever still comes."""
        self._stopped = True
        for task in self._tasks:
            await end(task)
        self._tasks = []
        for portrait in self._portraits.values():
            portrait.settle(_STOPPED)
        self._portraits.clear()
        for _, waiting in self._spare:
            if not waiting.done():
                waiting.set_result(None)
        self._spare.clear()
        await self.child.end()

    # -- as the entrance sees it (`hlsd.ports.Outputs`)

    def find(self, app: str, name: str) -> Portrait | None:
        """The pictures of a stream that is live; None if it is not."""
        sitter = self._find(app, name)
        there = self._portraits.get((app, name))
        if there is not None and there.sitter is not sitter:
            self._drop(there)
            there = None
        if sitter is None:
            return None
        now = self._clock.monotonic()
        if there is None:
            there = self._portraits[app, name] = Portrait(sitter, now)
        there.used = now
        return there

    async def ready(self, request: PlayRequest, output: Portrait) -> Denial | None:  # noqa: ARG002
        """Nobody enters here: who wants a picture is no viewer."""
        return None

    # -- pictures

    async def picture(self, portrait: Portrait, variant: StillVariant) -> Shot | Busy:
        """The newest picture, or one of less than a second ago; or why there is none."""
        now = self._clock.monotonic()
        portrait.used = now
        there = portrait.shots.get(variant)
        if there is not None and (there.key == key_of(portrait.sitter) or now - there.made < GAP):
            return there
        busy = self._hindered(portrait, now)
        if busy is not None:
            return there or busy
        waiting = portrait.wanted.get(variant)
        if waiting is None:
            waiting = portrait.wanted[variant] = asyncio.get_running_loop().create_future()
        self._call(portrait, now)
        try:
            async with asyncio.timeout(PATIENCE):
                said = await asyncio.shield(waiting)
        except TimeoutError:
            return there or Busy("too much to do", PATIENCE)
        self._stats.wait.observe(self._clock.monotonic() - now)
        return said

    def _hindered(self, portrait: Portrait, now: float) -> Busy | None:
        """Why nothing can be made of it now."""
        if self._stopped:
            return _STOPPED
        if portrait.sitter.newest_key is None:
            return Busy("no picture yet", GAP)
        if portrait.barred > now:
            return Busy("this stream's pictures cannot be decoded", portrait.barred - now, "barred")
        owed = self.budget.wait(now)
        if owed > 0:
            return Busy("no processor time left for pictures", owed)
        if not portrait.queued and self._queue.qsize() >= MOST_QUEUED:
            return Busy("too much to do", GAP)
        return None

    def _call(self, portrait: Portrait, now: float) -> None:
        """Sees to it that its turn comes: at once, or when its second is over."""
        if portrait.queued:
            return
        portrait.queued = True
        early = portrait.worked + GAP - now
        if early > 0:
            asyncio.get_running_loop().call_later(early, self._queue.put_nowait, portrait)
        else:
            self._queue.put_nowait(portrait)

    async def _work(self) -> None:
        while True:
            portrait = await self._next()
            if portrait is None:
                if self._rest:
                    self._rest = False
                    await self.child.end()
                continue
            portrait.queued = False
            if portrait.ended:
                continue
            try:
                await self._make(portrait)
            except BaseException:
                portrait.settle(_STOPPED)
                raise

    async def _next(self) -> Portrait | None:
        """Whose turn it is; while nobody's is, and half of the saved-up budget is there, what may wait is done."""
        while self._spare and self._queue.empty():
            owed = self.budget.spare(self._clock.monotonic())
            if owed > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(owed):
                        return await self._queue.get()
                continue
            job, waiting = self._spare.popleft()
            if waiting.cancelled():
                continue
            said: JobOutcome | None = None
            try:
                said = await self.child.ask(job)
            except ChildLost:
                self._stats.errors["lost"] += 1
            finally:
                if not waiting.done():
                    waiting.set_result(said)
        return await self._queue.get()

    async def spare(self, job: Job) -> JobOutcome | None:
        """Does a job when there is time to spare; None if it came to nothing, or too many wait."""
        if self._stopped or len(self._spare) >= MOST_SPARE or len(job.unit) > UNIT_LIMIT:
            return None
        waiting: asyncio.Future[JobOutcome | None] = asyncio.get_running_loop().create_future()
        self._spare.append((job, waiting))
        self._queue.put_nowait(None)
        return await waiting

    async def _make(self, portrait: Portrait) -> None:
        """One job: all that is wanted of the stream now."""
        now = portrait.worked = self._clock.monotonic()
        sitter, key = portrait.sitter, key_of(portrait.sitter)
        unit, video = sitter.newest_key, sitter.tracks.video if sitter.tracks is not None else None
        busy = self._hindered(portrait, now)
        if busy is not None or unit is None or video is None or key is None:
            portrait.settle(busy or Busy("no picture yet", GAP))
            return
        if len(unit.payload) > UNIT_LIMIT:
            self._failed(portrait, "large", f"a key picture of {len(unit.payload)} bytes")
            return
        asked = tuple(portrait.wanted)[:MOST_AT_ONCE]
        job = Job(video.codec, video.video_range, video.record, unit.payload, asked)
        try:
            outcome = await self.child.ask(job)
        except ChildLost as error:
            if error.blamed:
                self._failed(portrait, "lost", str(error))
            else:
                portrait.settle(Busy("no process to decode", GAP))
            return
        if outcome.error or {one.variant for one in outcome.pictures} != set(asked):
            self._failed(portrait, "bad", outcome.error or "not what was asked for")
            return
        portrait.failures = 0
        for picture in outcome.pictures:
            shot = portrait.keep(picture, key, unit.arrived, now)
            self._stats.pictures[picture.variant.form] += 1
            waiting = portrait.wanted.pop(picture.variant, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(shot)
        if portrait.wanted:  # by who came meanwhile, or for whom there was no room
            self._call(portrait, self._clock.monotonic())

    def _failed(self, portrait: Portrait, reason: str, words: str) -> None:
        self._stats.errors[reason] += 1
        portrait.failures += 1
        wait = GAP
        if portrait.failures >= FAILURES:
            portrait.failures = 0
            portrait.barred = self._clock.monotonic() + BAR
            wait = BAR
            sitter = portrait.sitter
            self._log.warning("no snapshots of the stream for now", app=sitter.app, name=sitter.name, reason=words)
        portrait.settle(Busy("this key picture cannot be decoded", wait, "barred" if wait == BAR else "busy"))

    # -- what is kept

    def _sweep(self) -> None:
        """Once a second: lets go of what nobody asks for."""
        now = self._clock.monotonic()
        size = barred = 0
        for portrait in sorted(self._portraits.values(), key=lambda one: one.used, reverse=True):
            size += portrait.size
            gone = self._find(portrait.sitter.app, portrait.sitter.name) is not portrait.sitter
            if gone or (now - portrait.used >= IDLE and portrait.barred <= now):
                self._drop(portrait)
            elif size > MOST_KEPT:
                portrait.shots.clear()
            barred += portrait.barred > now and not portrait.ended
        self._stats.barred = barred
        if self.child.idle >= IDLE and not self._queue.qsize():
            self._rest = True
            self._queue.put_nowait(None)

    def _drop(self, portrait: Portrait) -> None:
        portrait.ended = True
        portrait.settle(Busy("the stream is over", GAP))
        self._portraits.pop((portrait.sitter.app, portrait.sitter.name), None)
