"""The sound desk of a node in the test's own loop, and publishers whose tags go through it to what collects them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import structlog

from hlsd.base.faults import Faults
from hlsd.ingest.intake import Intake
from hlsd.sound.service import SoundService
from hlsd.sound.settings import SoundSettings
from tests.support.clicks import Heard, heard
from tests.support.clock import FakeClock
from tests.support.collected import Collected, Tag
from tests.support.eventually import eventually

STEP = 400
"""Milliseconds of media after which a publisher of this room waits for what has come of it, as it would at its pace."""
PATIENCE = 100.0
"""Seconds: the process may wait long for a processor."""


class SoundRoom:
    """A desk and what is published through it."""

    def __init__(self, desk: SoundService, clock: FakeClock) -> None:
        self.desk = desk
        self.clock = clock
        """Stands still but for the media that is sent: a busy machine makes nothing late here."""

    def publisher(self) -> PublisherInRoom:
        """One more publisher."""
        return PublisherInRoom(self)

    async def settle(self) -> None:
        """Waits until everything that was handed over is answered."""
        await eventually(lambda: not self.desk.process.under_way, PATIENCE)

    async def play(self, tags: Iterable[Tag]) -> tuple[Collected, Heard]:
        """What comes of a whole publication."""
        publisher = self.publisher()
        await publisher.send(tags)
        await self.settle()
        publisher.intake.close()
        return publisher.collected, publisher.heard()


class PublisherInRoom:
    """One publication."""

    def __init__(self, room: SoundRoom) -> None:
        self.room = room
        self.collected = Collected()
        self.intake = Intake(self.collected, room.clock.monotonic(), sound=room.desk)
        self._start = room.clock.monotonic()
        self._settled = 0

    async def send(self, tags: Iterable[Tag]) -> None:
        """Sends tags, no faster than they are converted."""
        clock = self.room.clock
        for kind, ms, body in tags:
            clock.advance(max(0.0, self._start + ms / 1000 - clock.monotonic()))
            self.intake.tag(kind, ms, body, clock.monotonic(), clock.wall())
            if abs(ms - self._settled) >= STEP:
                self._settled = ms
                await self.room.settle()

    def heard(self) -> Heard:
        """What has come out so far."""
        return heard(self.collected.units, self.collected.announced[-1])


@contextlib.asynccontextmanager
async def sound_room(**settings: Any) -> AsyncIterator[SoundRoom]:
    """A room, its process ended at the end; nothing in it may have failed."""
    faults = Faults()
    clock = FakeClock()
    desk = SoundService(SoundSettings(**settings), clock, structlog.get_logger(), faults)
    try:
        yield SoundRoom(desk, clock)
    finally:
        await desk.stop(1.0)
    assert not faults.tasks["sound"]
