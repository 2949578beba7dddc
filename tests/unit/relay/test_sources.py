"""A source's tags reach the stream, and a source of many costly ones holds up only itself."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from time import thread_time

from hlsd.ingest.share import TURN
from hlsd.relay.sources import SourceOpening


class Costly:
    """A stream for which every tag is two milliseconds of work."""

    def __init__(self) -> None:
        self.tags: list[int] = []

    def received(self, size: int) -> None:
        """Bytes are not of interest here."""

    async def begin(self, ip: str, port: int) -> None:
        """The name is free."""

    def tag(self, type_id: int, timestamp: int, body: bytes) -> None:
        self.tags.append(timestamp)
        until = thread_time() + TURN / 5
        while thread_time() < until:
            pass


async def test_a_source_lets_others_have_their_turn() -> None:
    """Reading does not wait while something has come: nothing else would."""
    feed = Costly()
    opening = SourceOpening(feed, "192.0.2.1", 80)
    seen: list[int] = []

    async def other() -> None:
        while len(feed.tags) < 40:
            seen.append(len(feed.tags))
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    for n in range(40):
        await opening.tag(9, n, b"x")
    await beside
    assert feed.tags == list(range(40))
    assert max(after - before for before, after in pairwise(seen)) <= 6
