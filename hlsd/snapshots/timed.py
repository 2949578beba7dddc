"""Takes timed pictures: of each stream that a rule matches, every so many seconds, into a file, and tells of it.

One picture after the other, so that rules never ask for more than the child can do; what is not there in time is left
out. A key picture that was written is not written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.base.match import Match
from hlsd.base.upkeep import end, keep
from hlsd.events import Action, Bus, Event, new_id
from hlsd.events.facts import snapshot_facts
from hlsd.snapshots.figures import SnapshotStats
from hlsd.snapshots.folder import PictureFolder
from hlsd.snapshots.portrait import Busy, Shot, Sitter
from hlsd.snapshots.settings import SnapshotRule
from hlsd.snapshots.studio import Studio
from hlsd.snapshots.template import PictureTemplate
from hlsd.snapshots.wire import StillVariant

LOOK: Final = 0.25
"""Seconds between two looks at what is due."""


class PictureRule:
    """One rule, read."""

    def __init__(self, rule: SnapshotRule) -> None:
        self.match = Match(rule.match)
        self.template = PictureTemplate(rule.path)
        self.variant = StillVariant(rule.width, self.template.form)
        self.every = rule.every
        self.keep = rule.keep


@dataclass(slots=True)
class Turn:
    """What a rule has done with a stream: when it is due again (monotonic), and what was written last."""

    sitter: Sitter
    due: float
    key: tuple[str, int] | None = None
    seq: int = 0
    id: str = field(default_factory=new_id)
    """Of what is told of it."""


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """What a handler of `snapshotDone` gets (`hlsd.subjects.Snapshot`)."""

    id: str
    app: str
    name: str
    file: str
    width: int
    height: int
    size: int
    protocol: str = "snapshot"
    ip: str = ""

    @property
    def path(self) -> str:
        """`/{app}/{name}`."""
        return f"/{self.app}/{self.name}"

    @property
    def query(self) -> Mapping[str, str]:
        """Nobody asked."""
        return {}

    def reject(self, reason: str = "kicked") -> None:
        """It is written already: nothing happens."""


class TimedPictures:
    """The timed pictures of one node. `on_air()` are the streams that somebody publishes now."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        rules: Iterable[SnapshotRule],
        root: Path,
        studio: Studio,
        on_air: Callable[[], Iterable[Sitter]],
        clock: Clock,
        bus: Bus,
        log: Log,
        stats: SnapshotStats,
        faults: Faults,
    ) -> None:
        self._rules = [PictureRule(rule) for rule in rules]
        self._folder = PictureFolder(root)
        self._studio = studio
        self._on_air = on_air
        self._clock = clock
        self._bus = bus
        self._log = log
        self._stats = stats
        self._faults = faults
        self._turns: dict[tuple[int, str, str], Turn] = {}
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, if there are rules."""
        if self._rules:
            self._task = keep(self._run, "snapshots_timed", self._faults)

    async def stop(self) -> None:
        """Ends."""
        await end(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            for rule, turn in self._due():
                with self._faults.guard("snapshots_timed"):
                    await self._take(rule, turn)
            await asyncio.sleep(LOOK)

    def _due(self) -> list[tuple[PictureRule, Turn]]:
        """What is due, the longest waiting first; those of streams that are over are forgotten."""
        now = self._clock.monotonic()
        streams = list(self._on_air())
        turns: dict[tuple[int, str, str], Turn] = {}
        for number, rule in enumerate(self._rules):
            for sitter in streams:
                if rule.match.groups(sitter.app, sitter.name) is None:
                    continue
                key = (number, sitter.app, sitter.name)
                turn = self._turns.get(key)
                turns[key] = turn if turn is not None and turn.sitter is sitter else Turn(sitter, now)
        for number, app, name in self._turns:
            if (number, app, name) not in turns:
                template = self._rules[number].template
                self._folder.forget(template.fill(app, name, 0.0)[0], template.siblings(app, name))
        self._turns = turns
        due = [(self._rules[key[0]], turn) for key, turn in turns.items() if turn.due <= now]
        return sorted(due, key=lambda one: one[1].due)

    async def _take(self, rule: PictureRule, turn: Turn) -> None:
        sitter = turn.sitter
        if sitter.newest_key is None:  # it has just begun, or has no picture
            return
        now = self._clock.monotonic()
        turn.due = turn.due + rule.every if turn.due + rule.every > now else now + rule.every
        portrait = self._studio.find(sitter.app, sitter.name)
        if portrait is None:
            return
        said = await self._studio.picture(portrait, rule.variant)
        if isinstance(said, Busy) or said.key == turn.key:
            self._stats.files["late"] += isinstance(said, Busy)
            return
        steps, name = rule.template.fill(sitter.app, sitter.name, said.taken)
        siblings = rule.template.siblings(sitter.app, sitter.name)
        try:
            await asyncio.to_thread(self._folder.write, steps, name, said.picture.body, siblings, rule.keep)
        except OSError as error:
            self._stats.files["failed"] += 1
            if not self._failing:
                self._log.warning("snapshot not written", app=sitter.app, name=sitter.name, reason=str(error))
            self._failing = True
            return
        self._failing = False
        self._stats.files["written"] += 1
        turn.key = said.key
        turn.seq += 1
        self._tell(turn, said, "/".join([*steps, name]))

    def _tell(self, turn: Turn, shot: Shot, file: str) -> None:
        if not self._bus.heard(Action.SNAPSHOT_DONE):
            return
        sitter, picture = turn.sitter, shot.picture
        facts = snapshot_facts(
            app=sitter.app,
            name=sitter.name,
            stream_id=sitter.id,
            file=file,
            width=picture.width,
            height=picture.height,
            size=len(picture.body),
            taken=shot.taken,
        )
        subject = TakenPicture(turn.id, sitter.app, sitter.name, file, picture.width, picture.height, len(picture.body))
        self._bus.emit(Event(Action.SNAPSHOT_DONE, turn.id, turn.seq, self._clock.wall(), facts), subject)
