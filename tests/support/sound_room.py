"""The sound desk of a node in the test's own loop, and publishers whose tags go through it to what collects them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.ingest.intake import Intake
from hlsd.sound.service import SoundService
from hlsd.sound.settings import TranscodeSettings
from tests.support.clicks import Heard, heard
from tests.support.collected import Collected, Tag
from tests.support.eventually import eventually

ROOM = 64 << 10
"""Bytes under way above which a publisher of this room waits: tags come much faster than they play."""


class SoundRoom:
    """A desk and what is published through it."""

    def __init__(self, desk: SoundService, faults: Faults) -> None:
        self.desk = desk
        self.faults = faults

    def publisher(self) -> PublisherInRoom:
        """One more publisher."""
        return PublisherInRoom(self)

    async def settle(self) -> None:
        """Waits until everything that was handed over is answered."""
        await eventually(lambda: not self.desk.process.under_way)

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
        self.start = time.monotonic()
        self.intake = Intake(self.collected, self.start, sound=room.desk)

    async def send(self, tags: Iterable[Tag]) -> None:
        """Sends tags as fast as they are converted."""
        process = self.room.desk.process
        for kind, ms, body in tags:
            self.intake.tag(kind, ms, body, time.monotonic(), time.time())
            if process.under_way > ROOM:
                await eventually(lambda: process.under_way <= ROOM // 2)

    def heard(self) -> Heard:
        """What has come out so far."""
        return heard(self.collected.units, self.collected.announced[-1])


@contextlib.asynccontextmanager
async def sound_room(**settings: Any) -> AsyncIterator[SoundRoom]:
    """A room, its process ended at the end; nothing in it may have failed."""
    faults = Faults()
    desk = SoundService(TranscodeSettings(**settings), SystemClock(), structlog.get_logger(), faults)
    try:
        yield SoundRoom(desk, faults)
    finally:
        await desk.stop(1.0)
    assert not faults.tasks["sound"]
