"""Is recording as a service: a recorder for each stream that a rule or the API wants; keeps files and deletes them.

Law: recording is a way out like any other: what goes wrong with it costs nobody his stream. Each stream has at most one
recorder of the rules and one of the API. What a crash left unfinished is finished in the background after the start.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from starlette.routing import BaseRoute, Route
from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, ended, sweep
from hlsd.delivery.judge import Judge
from hlsd.events import Bus
from hlsd.media.key_vault import KeyVault
from hlsd.ports import (
    Entrance,
    LiveStream,
    OutputFactory,
    PictureMaker,
    PublishRequest,
    Reloadable,
    Service,
    Sessions,
)
from hlsd.record.browsing import BrowseEndpoint, browse_routes
from hlsd.record.changes import BY_RULE, Rules, limits_of, reloadables, rules_of
from hlsd.record.figures import Instant, RecordFigures
from hlsd.record.index import RecordIndex
from hlsd.record.open_recordings import OpenRecordings
from hlsd.record.playback import RecordEndpoint, playback_routes
from hlsd.record.recorder import Recorder, RecordPlan
from hlsd.record.recordings import Recordings
from hlsd.record.retention import BATCH, STUCK, RetentionLimits, condemned
from hlsd.record.routes import operations
from hlsd.record.settings import RecordRule, RecordSettings
from hlsd.record.sprites import Sprites
from hlsd.record.store import RecordingStore
from hlsd.record.tasks import RecordTask, stored_tasks
from hlsd.record.template import FileTemplate

if TYPE_CHECKING:
    from hlsd.record.remote.offload import Offload
    from hlsd.record.remote.stats import StoreFigures

SWEEP: Final = 1.0
KEEP: Final = 10
"""Sweeps between two looks at what is to be deleted."""
LEAP: Final = 60.0
"""Seconds by which the wall clock may part from the monotonic one between two looks."""
CALM: Final = 3600.0
"""Seconds after a leap in which nothing is deleted for its age: what set the clock wrong may set it right again."""
LAST: Final = 2.0
"""Seconds that the list of recordings has at the end, whatever the rest has taken."""
BY_API: Final = "record_api"
"""Name of the output of a stream that the API wants; `BY_RULE` is the other one's."""
API_RULE: Final = "api"
"""What recordings are called in figures that no rule says anything of."""


class RecordService(Service):
    """The recordings of one server.

    `on_air()` are the streams that somebody publishes; `pictures()` is whoever makes pictures, if anybody does.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a room is given
        self,
        settings: RecordSettings,
        state: Path,
        clock: Clock,
        bus: Bus,
        log: FilteringBoundLogger,
        faults: Faults,
        *,
        on_air: Callable[[], Iterable[LiveStream]],
        entrance: Entrance,
        sessions: Sessions,
        judge: Judge,
        pictures: Callable[[], PictureMaker | None] = lambda: None,
        vault: KeyVault | None = None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._log = log
        self.faults = faults
        self.on_air = on_air
        self.limits = limits_of(settings)
        self.rules = rules_of(settings)
        root = settings.dir or state / "records"
        self.state_file = file = state / "hlsd.sqlite"
        """Where the list of recordings is kept."""
        self.index = RecordIndex(file)
        self.store = RecordingStore(settings, root, self.index, clock, bus, log, faults)
        for _, rule, number in self.rules:
            self.store.stats.rule(rule.name or number)  # rules that have done nothing yet are figures too
        self._tasks = stored_tasks(file)  # used in the thread of the index: the disk is the recorder's own
        self._wanted: dict[tuple[str, str], RecordTask] = {}
        self.recorders: dict[tuple[str, str, str], Recorder] = {}
        """By output, app and name: those of streams that are here."""
        self.offload: Offload | None = None
        """The store of finished recordings, if there is one."""
        if settings.store:
            from hlsd.record.remote.offload import Offload  # noqa: PLC0415 - what nobody uses is not loaded

            self.offload = Offload(settings, self.index, self.store, self, clock, log, faults)
        self.open_recordings = OpenRecordings(self.store, self.offload.far if self.offload is not None else None)
        self.recordings = Recordings(self)
        """What the API asks."""
        self.sprites = Sprites(self.open_recordings, self.store.folder, pictures, lambda: self.store.writer.full)
        self._endpoint = RecordEndpoint(self.open_recordings, self.sprites, judge, entrance, sessions, clock, vault)
        self._browse = BrowseEndpoint(self.recordings, judge, entrance, clock)
        self._turn = 0
        self._stuck: set[str] = set()
        """Recordings that the disk does not let go of, until the next start."""
        self._offset = clock.wall() - clock.monotonic()
        self._calm = 0.0
        self._was_full = False
        self._sweeping: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None

    # -- as a service

    async def start(self) -> None:
        """Begins to write, and to finish what was left."""
        fresh = await self.index.start()
        left = [] if fresh else await self.index.ask(lambda table: table.unfinished())
        wanted = await self.index.ask(lambda _: self._tasks.load())
        self._wanted = {(task.app, task.name): task for task in wanted}
        await self.store.start()
        gone = await self.index.ask(lambda table: table.copies.condemned())
        await self.store.do(lambda: self.store.folder.remove_all(gone))
        for row in left:
            self.store.finish(row, repaired=True)
        if fresh:
            self.recordings.begin_repair()
        if self.offload is not None:
            self.offload.uploads.start()
        self._sweeping = sweep(SWEEP, self._sweep, "record_sweep", self.faults)

    async def stop(self, deadline: float) -> None:
        """Finishes every file, within `deadline` seconds; a moment more is for what must be written down."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        await end(self._sweeping)
        self._sweeping = None
        await self.recordings.stop()
        await self.sprites.stop()
        guard = self.faults.guard("record_stop")
        for recorder in list(self.recorders.values()):
            with guard:
                recorder.stop("shutdown")
        if self._mending is not None:
            with guard:  # what it deletes goes through both of what is stopped next
                await ended([self._mending], deadline / 2)
        with guard:
            await self.store.stop(until - loop.time())
        if self.offload is not None:
            with guard:
                await self.offload.uploads.stop(until - loop.time())
        self.open_recordings.close()
        self.index.beside(self._tasks.close)
        with guard:
            await self.index.stop(max(LAST, until - loop.time()))

    def reloads(self) -> tuple[Reloadable, ...]:
        """Rules, and what is kept how long; files that are begun go on as they are."""
        return reloadables(self)

    def turn_to(self, rules: Rules, limits: RetentionLimits) -> None:
        """Keeps other rules from now on, for what begins."""
        self.rules, self.limits = rules, limits

    def routes(self) -> Sequence[BaseRoute]:
        """Playback."""
        return [*browse_routes(self._browse), *playback_routes(self._endpoint)]

    def operations(self) -> Sequence[Route]:
        """What the API can do with recordings."""
        return operations(self.recordings)

    def outputs(self) -> tuple[OutputFactory, ...]:
        """The two recorders of a stream."""
        return (RecorderFactory(BY_RULE, self.by_rule), RecorderFactory(BY_API, self.by_task))

    def figures(self) -> tuple[RecordFigures | StoreFigures, ...]:
        """Of all rules, and of the store."""
        of_rules = RecordFigures(self.store.stats, self._instant)
        return (of_rules,) if self.offload is None else (of_rules, self.offload.figures())

    def impaired(self) -> list[str]:
        """What is not recorded for now."""
        disk = ["record: disk"] if self.store.writer.full and (self.rules or self._wanted) else []
        return disk if self.offload is None else disk + self.offload.impaired()

    # -- recorders

    def by_rule(self, stream: LiveStream) -> Recorder | None:
        """The recorder that a rule wants of a stream."""
        found = self.rule_for(stream.app, stream.name)
        if found is None or found[0].when != "always":
            return None
        return self._recorder(BY_RULE, stream, self.plan(*found))

    def by_task(self, stream: LiveStream) -> Recorder | None:
        """The recorder that the API wants of a stream."""
        task = self._wanted.get((stream.app, stream.name))
        if task is None:
            return None
        found = self.rule_for(stream.app, stream.name, "api")
        plan = self.plan(*found) if found is not None else self.plan(RecordRule(), API_RULE)
        if task.path:
            plan = plan._replace(template=FileTemplate(task.path))
        plan = plan._replace(max_duration=task.max_duration, task=task.id)
        return self._recorder(BY_API, stream, plan, task.recorded)

    def _recorder(self, name: str, stream: LiveStream, plan: RecordPlan, recorded: float = 0.0) -> Recorder:
        key = (name, stream.app, stream.name)
        app, called = stream.app, stream.name

        def over() -> None:
            asyncio.get_running_loop().call_soon(self.forget, app, called)

        recorder = self.recorders[key] = Recorder(app, called, stream.id, plan, self.store, over, recorded)
        return recorder

    def rule_for(
        self, app: str, name: str, when: Literal["always", "api"] | None = None
    ) -> tuple[RecordRule, str] | None:
        """The first rule for a stream, and what it is called."""
        for match, rule, number in self.rules:
            if (when is None or rule.when == when) and match.groups(app, name) is not None:
                return rule, rule.name or number
        return None

    def plan(self, rule: RecordRule, called: str) -> RecordPlan:
        """What a rule says, or [record] where it says nothing."""
        settings = self.settings
        return RecordPlan(
            rule=called,
            template=FileTemplate(rule.path or settings.path),
            format=rule.format or settings.format,
            rotate=settings.rotate if rule.rotate is None else rule.rotate,
            max_bytes=settings.max_bytes if rule.max_bytes is None else rule.max_bytes,
        )

    # -- tasks of the API

    def task(self, app: str, name: str) -> RecordTask | None:
        """The API's wish to record a stream."""
        return self._wanted.get((app, name))

    @property
    def wishes(self) -> int:
        """How many there are."""
        return len(self._wanted)

    def api_recorder(self, app: str, name: str) -> Recorder | None:
        """What records it for the API."""
        return self.recorders.get((BY_API, app, name))

    @property
    def max_tasks(self) -> int:
        """How many there may be."""
        return self.settings.max_tasks

    def now(self) -> float:
        """Wall clock, seconds since the epoch."""
        return self._clock.wall()

    def want(self, task: RecordTask) -> None:
        """Records a stream from now on: at its next key picture if it is here, or else when it comes."""
        self._wanted[task.app, task.name] = task
        self.index.tell(lambda _: self._tasks.put(task))
        stream = self._stream(task.app, task.name)
        if stream is not None and (recorder := self.by_task(stream)) is not None:
            stream.attach(BY_API, recorder)

    def forget(self, app: str, name: str) -> Recorder | None:
        """Records it no more; its recorder, if it had one."""
        task = self._wanted.pop((app, name), None)
        if task is not None:
            ident = task.id
            self.index.tell(lambda _: self._tasks.drop(ident))
        recorder = self.recorders.pop((BY_API, app, name), None)
        stream = self._stream(app, name)
        if stream is not None:
            stream.detach(BY_API)
        if recorder is not None:
            recorder.stop("api")
        return recorder

    def _stream(self, app: str, name: str) -> LiveStream | None:
        return next((one for one in self.on_air() if one.app == app and one.name == name), None)

    # -- upkeep

    def _sweep(self) -> None:
        guard = self.faults.guard("record_sweep")
        with guard:
            self.store.sweep()
        with guard:
            self._look_at_disk()
        for key, recorder in list(self.recorders.items()):
            with guard:
                self._look(key, recorder)
        self._turn += 1
        if self._turn % KEEP == 1 and (self._mending is None or self._mending.done()):
            self._mending = asyncio.create_task(self._keep(), name="record_keep")

    def _look(self, key: tuple[str, str, str], recorder: Recorder) -> None:
        """Forgets recorders whose stream has ended, and remembers how far those of the API are."""
        task = self._wanted.get(key[1:]) if key[0] == BY_API else None
        if task is not None and task.max_duration and recorder.recorded - task.recorded > 5.0:
            self._wanted[key[1:]] = kept = task.model_copy(update={"recorded": recorder.recorded})
            self.index.tell(lambda _: self._tasks.put(kept))
        if recorder.over:
            self.recorders.pop(key, None)

    def _look_at_disk(self) -> None:
        """Ends recordings while too little is free; they begin again at a key picture when there is more."""
        full = self.store.writer.full
        if full and not self._was_full:
            self._log.warning("nothing is recorded: less is free than record.min_free", free=self.store.writer.free)
        elif self._was_full and not full:
            self._log.info("recording again", free=self.store.writer.free)
        self._was_full = full
        if full:
            for recorder in self.recorders.values():
                take = recorder.suspend("less is free than record.min_free")
                if take is not None:
                    self.store.lost(take, recorder.error)

    async def _keep(self) -> None:
        """Deletes what is not to be kept any more."""
        guard = self.faults.guard("record_keep")
        with guard:
            if self.offload is not None:
                limits = self._in_force()
                self.store.stats.kept = await self.offload.keep(limits, calm=self._clock.monotonic() < self._calm)
                return
            count, size = self.store.stats.kept = await self.index.ask(lambda table: table.totals())
            if not count or not self.limits.any:
                return
            most = BATCH + len(self._stuck)
            rows = [row for row in await self.index.ask(lambda table: table.oldest(most)) if row.id not in self._stuck]
            under_way = sum(take.bytes for take in self.store.takes.values())
            gone = set(
                condemned(
                    rows, self._in_force(), now=self._clock.wall(), total=size + under_way, free=self.store.writer.free
                )
            )
            for row in rows:
                if row.id in gone and not await self.recordings.delete(row, "limits") and len(self._stuck) < STUCK:
                    self._stuck.add(row.id)  # or it would stand before all others for ever

    def _in_force(self) -> RetentionLimits:
        """What is to be kept, by age only while the wall clock goes as the other one does: it may have leapt ahead."""
        now = self._clock.monotonic()
        offset = self._clock.wall() - now
        if abs(offset - self._offset) > LEAP:
            self._log.warning("the clock has jumped: no recording is deleted for its age now", seconds=CALM)
            self._calm = now + CALM
        self._offset = offset
        return self.limits._replace(age=0.0) if now < self._calm else self.limits

    async def delete(self, ident: str) -> bool:
        """Deletes a recording for the limits of the store; whether that was done."""
        row = await self.index.ask(lambda table: table.get(ident))
        return row is None or await self.recordings.delete(row, "limits")

    def leave(self, ident: str) -> None:
        """Its file is in the store alone."""
        self.open_recordings.leave(ident)

    def _instant(self) -> Instant:
        writer = self.store.writer
        rules = Counter(take.rule or "-" for take in self.store.takes.values() if not take.reason)
        return Instant(rules, writer.waiting, writer.free, writer.full)


class RecorderFactory:
    """Makes one of the recorders of a stream (`hlsd.ports.OutputFactory`)."""

    def __init__(self, name: str, make: Callable[[LiveStream], Recorder | None]) -> None:
        self.name = name
        self._make = make

    def output(self, stream: LiveStream, request: PublishRequest) -> Recorder | None:  # noqa: ARG002 - whoever publishes
        """The recorder, if one is wanted."""
        return self._make(stream)
