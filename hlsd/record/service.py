"""Is the recorder as a service: a tape for each stream that a rule or the API wants; keeps files and deletes them.

Law: recording is a way out like any other: what goes wrong with it costs nobody his stream. Each stream has at most one
tape of the rules and one of the API. What a crash left unfinished is finished in the background after the start.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from starlette.routing import BaseRoute, Route
from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.match import Match
from hlsd.base.upkeep import end, sweep
from hlsd.delivery.judge import Judge
from hlsd.events import Bus
from hlsd.ports import Entrance, LiveStream, OutputFactory, PublishRequest, Service, Sessions
from hlsd.record.deck import RecordDeck
from hlsd.record.figures import Instant, RecordFigures
from hlsd.record.index import RecordIndex
from hlsd.record.keeping import KeepLimits, condemned
from hlsd.record.playback import RecordEndpoint, playback_routes
from hlsd.record.recordings import Recordings
from hlsd.record.routes import operations
from hlsd.record.settings import RecordRule, RecordSettings
from hlsd.record.shelf import Shelf
from hlsd.record.tape import RecordPlan, RecordTape
from hlsd.record.tasks import RecordTask, stored_tasks
from hlsd.record.template import FileTemplate

SWEEP: Final = 1.0
KEEP: Final = 10
"""Sweeps between two looks at what is to be deleted."""
BATCH: Final = 100
"""Files that are looked at, and deleted at most, at a time."""
STUCK: Final = 1000
"""Files that the disk does not let go of, and that are passed over."""
LEAP: Final = 60.0
"""Seconds by which the wall clock may part from the monotonic one between two looks."""
CALM: Final = 3600.0
"""Seconds after a leap in which nothing is deleted for its age: what set the clock wrong may set it right again."""
BY_RULE: Final = "record"
BY_API: Final = "record_api"
"""Names of the two outputs of a stream."""
API_RULE: Final = "api"
"""What recordings are called in figures that no rule says anything of."""


class RecordService(Service):
    """The recordings of one server. `on_air()` are the streams that somebody publishes."""

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
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._log = log
        self._faults = faults
        self._on_air = on_air
        self._limits = KeepLimits(settings.keep_for, settings.keep_bytes, settings.keep_free)
        self._rules = [(Match(rule.match), rule, f"rule{at}") for at, rule in enumerate(settings.rules, 1)]
        root = settings.dir or state / "records"
        file = state / "hlsd.sqlite"
        self.index = RecordIndex(file)
        self.deck = RecordDeck(settings, root, self.index, clock, bus, log, faults)
        for _, rule, number in self._rules:
            self.deck.stats.rule(rule.name or number)  # rules that have done nothing yet are figures too
        self._tasks = stored_tasks(file)  # used in the thread of the index: the disk is the recorder's own
        self._wanted: dict[tuple[str, str], RecordTask] = {}
        self.tapes: dict[tuple[str, str, str], RecordTape] = {}
        """By output, app and name: those of streams that are here."""
        self.shelf = Shelf(self.deck)
        self.recordings = Recordings(self)
        """What the API asks."""
        self._endpoint = RecordEndpoint(self.shelf, judge, entrance, sessions, clock)
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
        await self.deck.start()
        for row in left:
            self.deck.finish(row, repaired=True)
        if fresh:
            self.recordings.begin_repair()
        self._sweeping = sweep(SWEEP, self._sweep, "record_sweep", self._faults)

    async def stop(self, deadline: float) -> None:
        """Finishes every file."""
        await end(self._sweeping)
        self._sweeping = None
        await self.recordings.stop()
        guard = self._faults.guard("record_stop")
        for tape in list(self.tapes.values()):
            with guard:
                tape.stop("shutdown")
        with guard:
            await self.deck.stop(deadline)
        self.shelf.close()
        with guard:
            await self.index.ask(lambda _: self._tasks.close())
        with guard:
            await self.index.stop()

    def routes(self) -> Sequence[BaseRoute]:
        """Playback."""
        return playback_routes(self._endpoint)

    def operations(self) -> list[Route]:
        """What the API can do with recordings."""
        return operations(self.recordings)

    def outputs(self) -> tuple[OutputFactory, ...]:
        """The two tapes of a stream."""
        return (TapeFactory(BY_RULE, self.by_rule), TapeFactory(BY_API, self.by_task))

    def figures(self) -> tuple[RecordFigures, ...]:
        """Of all rules."""
        return (RecordFigures(self.deck.stats, self._instant),)

    def impaired(self) -> list[str]:
        """What is not recorded for now."""
        return ["record: disk"] if self.deck.writer.full and (self._rules or self._wanted) else []

    # -- tapes

    def by_rule(self, stream: LiveStream) -> RecordTape | None:
        """The tape that a rule wants of a stream."""
        found = self.rule_for(stream.app, stream.name)
        if found is None or found[0].when != "always":
            return None
        return self._tape(BY_RULE, stream, self.plan(*found))

    def by_task(self, stream: LiveStream) -> RecordTape | None:
        """The tape that the API wants of a stream."""
        task = self._wanted.get((stream.app, stream.name))
        if task is None:
            return None
        found = self.rule_for(stream.app, stream.name, "api")
        plan = self.plan(*found) if found is not None else self.plan(RecordRule(), API_RULE)
        if task.path:
            plan = plan._replace(template=FileTemplate(task.path))
        plan = plan._replace(max_duration=task.max_duration, task=task.id)
        return self._tape(BY_API, stream, plan, task.recorded)

    def _tape(self, name: str, stream: LiveStream, plan: RecordPlan, recorded: float = 0.0) -> RecordTape:
        key = (name, stream.app, stream.name)
        app, called = stream.app, stream.name

        def over() -> None:
            asyncio.get_running_loop().call_soon(self.forget, app, called)

        tape = self.tapes[key] = RecordTape(app, called, stream.id, plan, self.deck, over, recorded)
        return tape

    def rule_for(
        self, app: str, name: str, when: Literal["always", "api"] | None = None
    ) -> tuple[RecordRule, str] | None:
        """The first rule for a stream, and what it is called."""
        for match, rule, number in self._rules:
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

    def api_tape(self, app: str, name: str) -> RecordTape | None:
        """What records it for the API."""
        return self.tapes.get((BY_API, app, name))

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
        if stream is not None and (tape := self.by_task(stream)) is not None:
            stream.attach(BY_API, tape)

    def forget(self, app: str, name: str) -> RecordTape | None:
        """Records it no more; its tape, if it had one."""
        task = self._wanted.pop((app, name), None)
        if task is not None:
            ident = task.id
            self.index.tell(lambda _: self._tasks.drop(ident))
        tape = self.tapes.pop((BY_API, app, name), None)
        stream = self._stream(app, name)
        if stream is not None:
            stream.detach(BY_API)
        if tape is not None:
            tape.stop("api")
        return tape

    def _stream(self, app: str, name: str) -> LiveStream | None:
        return next((one for one in self._on_air() if one.app == app and one.name == name), None)

    # -- upkeep

    def _sweep(self) -> None:
        guard = self._faults.guard("record_sweep")
        with guard:
            self.deck.sweep()
        with guard:
            self._look_at_disk()
        for key, tape in list(self.tapes.items()):
            with guard:
                self._look(key, tape)
        self._turn += 1
        if self._turn % KEEP == 1 and (self._mending is None or self._mending.done()):
            self._mending = asyncio.create_task(self._keep(), name="record_keep")

    def _look(self, key: tuple[str, str, str], tape: RecordTape) -> None:
        """Forgets tapes whose stream has ended, and remembers how far those of the API are."""
        task = self._wanted.get(key[1:]) if key[0] == BY_API else None
        if task is not None and task.max_duration and tape.recorded - task.recorded > 5.0:
            self._wanted[key[1:]] = kept = task.model_copy(update={"recorded": tape.recorded})
            self.index.tell(lambda _: self._tasks.put(kept))
        if tape.over:
            self.tapes.pop(key, None)

    def _look_at_disk(self) -> None:
        """Ends recordings while too little is free; they begin again at a key picture when there is more."""
        full = self.deck.writer.full
        if full and not self._was_full:
            self._log.warning("nothing is recorded: less is free than record.min_free", free=self.deck.writer.free)
        elif self._was_full and not full:
            self._log.info("recording again", free=self.deck.writer.free)
        self._was_full = full
        if full:
            for tape in self.tapes.values():
                take = tape.suspend("less is free than record.min_free")
                if take is not None:
                    self.deck.lost(take, tape.error)

    async def _keep(self) -> None:
        """Deletes what is not to be kept any more."""
        guard = self._faults.guard("record_keep")
        with guard:
            count, size = self.deck.stats.kept = await self.index.ask(lambda table: table.totals())
            if not count or not self._limits.any:
                return
            most = BATCH + len(self._stuck)
            rows = [row for row in await self.index.ask(lambda table: table.oldest(most)) if row.id not in self._stuck]
            under_way = sum(take.bytes for take in self.deck.takes.values())
            gone = set(
                condemned(
                    rows, self._in_force(), now=self._clock.wall(), total=size + under_way, free=self.deck.writer.free
                )
            )
            for row in rows:
                if row.id in gone and not await self.recordings.delete(row, "limits") and len(self._stuck) < STUCK:
                    self._stuck.add(row.id)  # or it would stand before all others for ever

    def _in_force(self) -> KeepLimits:
        """What is to be kept, by age only while the wall clock goes as the other one does: it may have leapt ahead."""
        now = self._clock.monotonic()
        offset = self._clock.wall() - now
        if abs(offset - self._offset) > LEAP:
            self._log.warning("the clock has jumped: no recording is deleted for its age now", seconds=CALM)
            self._calm = now + CALM
        self._offset = offset
        return self._limits._replace(age=0.0) if now < self._calm else self._limits

    def _instant(self) -> Instant:
        writer = self.deck.writer
        rules = Counter(take.rule or "-" for take in self.deck.takes.values() if not take.reason)
        return Instant(rules, writer.waiting, writer.free, writer.full)


class TapeFactory:
    """Makes one of the tapes of a stream (`hlsd.ports.OutputFactory`)."""

    def __init__(self, name: str, make: Callable[[LiveStream], RecordTape | None]) -> None:
        self.name = name
        self._make = make

    def output(self, stream: LiveStream, request: PublishRequest) -> RecordTape | None:  # noqa: ARG002 - whoever publishes
        """The tape, if one is wanted."""
        return self._make(stream)
