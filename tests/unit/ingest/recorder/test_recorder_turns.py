"""Of what a page sends no more is worked on in one turn of the loop than others can bear, be it media or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.ingest.recorder.publisher import RecorderHost, RecorderPublisher
from hlsd.ingest.recorder.texts import read_text
from hlsd.ports import PlayRequest
from tests.support.recorder_room import UnitAdmission

if TYPE_CHECKING:
    from collections.abc import Iterator

BOXES = 2000
READS = 40
LEAST = 6
"""Turns of others; it was three, of which none came in the midst of the work."""


class WaitingSocket:
    """A page of whom so much waits that no read has to wait for it."""

    code = 1000
    held = 0

    def __init__(self, reads: Iterator[bytes]) -> None:
        self._reads = reads

    async def read(self) -> bytes | str | None:
        return next(self._reads, None)

    def tell(self, text: str) -> None:
        """Nobody reads it."""

    def admitted(self) -> None:
        """It was waited for."""

    def tick(self, now: float) -> None:
        """It answers pings."""

    def cut(self) -> None:
        """Nothing comes of it."""


@pytest.mark.thorough
async def test_boxes_without_media_leave_others_their_turns() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def reads() -> Iterator[bytes]:
        yield (16).to_bytes(4, "big") + b"ftypisom\0\0\0\0"
        for _ in range(READS):
            yield ((8).to_bytes(4, "big") + b"free") * BOXES

    host = RecorderHost(UnitAdmission(None), SystemClock(), structlog.get_logger(), Faults(), None, 15.0, 30.0, 10.0)
    asked = PlayRequest("live", "show", "recorder", "192.0.2.1", 4000)
    publisher = RecorderPublisher(host, "0" * 32, asked, lambda _gone: None)
    assert await publisher.enter(read_text('{"type":"start","mime":"video/mp4"}')) is None
    beside = asyncio.create_task(others())
    swept = asyncio.get_running_loop().call_later(0.3, publisher.sweep, 0.0)  # should its part be used up
    try:
        await publisher.run(WaitingSocket(reads()), again=False)
    finally:
        swept.cancel()
        beside.cancel()
    assert publisher.taken > READS * BOXES * 8
    assert turns >= LEAST, "it was worked on in one go"
