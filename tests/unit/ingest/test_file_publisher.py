"""One who publishes a file: it takes its part of the processor and no more, and reads nothing while it waits for it."""

from __future__ import annotations

import asyncio
import time

import structlog
from structlog.testing import capture_logs

from hlsd.base.clock import SystemClock
from hlsd.base.faults import Faults
from hlsd.ingest.file_form import flv_form
from hlsd.ingest.file_publisher import FilePublishers
from hlsd.ingest.share import PART
from hlsd.ports import PublishRequest
from hlsd.ports.flv_body import PublishEnding
from tests.support.eventually import eventually
from tests.support.flv_publish_room import FILE, HEADER, tag
from tests.support.rtmp_room import NotedAdmission, NotedTags


class Pieces:
    """A file in memory (`hlsd.ports.flv_body.FlvBody`)."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        return self.pieces.pop(0) if self.pieces else b""


class DearTags(NotedTags):
    """Each tag takes some of the processor's time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        super().tag(type_id, timestamp, body, now, wall)


def publishers(sink: NotedTags, admission: NotedAdmission) -> FilePublishers:
    clock, log = SystemClock(), structlog.get_logger()
    return FilePublishers(admission, flv_form(lambda _publication, _now: sink), clock, log, Faults(), 15.0, 30.0)


async def test_what_costs_too_much_is_read_more_slowly_and_others_have_their_turns() -> None:
    # A quarter of a second in a second, ten milliseconds at a time; and the log says who is held back.
    sink, admission = DearTags(0.004), NotedAdmission()
    everybody = publishers(sink, admission)
    publisher = everybody.publisher("live", "1.2.3.4")
    body = Pieces(HEADER, *[b"".join(tag(number) for number in range(20))] * 20)
    assert await publisher.open(body) is None
    assert await publisher.enter(PublishRequest("live", "a", "flv", "1.2.3.4", 1, publisher.drop)) is None
    with capture_logs() as log:
        feeding = asyncio.create_task(publisher.feed(body))
        turns: list[float] = []
        last = time.thread_time()
        while not log:
            await asyncio.sleep(0)
            turns.append(time.thread_time() - last)
            last = time.thread_time()
        reads, tags = body.reads, len(sink.tags)
        assert 0.5 * PART / 0.004 <= tags < PART / 0.004 + 25
        assert sorted(turns)[-2] < 0.05  # many turns, none of which holds up the others
        for _ in range(100):
            await asyncio.sleep(0)
        assert (body.reads, len(sink.tags)) == (reads, tags)
        assert log[0]["event"].startswith("publisher held back")
        everybody.sweep()
        await eventually(lambda: len(sink.tags) > tags)
        publisher.drop("kicked")
        everybody.sweep()
        assert await feeding == PublishEnding("kicked", "kicked")
    assert admission.publications[0].ended == []


async def test_cancelled_it_ends_the_publication() -> None:
    sink, admission = NotedTags(), NotedAdmission()
    everybody = publishers(sink, admission)
    publisher = everybody.publisher("live", "1.2.3.4")
    assert await publisher.enter(PublishRequest("live", "a", "flv", "1.2.3.4", 1, publisher.drop)) is None

    class Endless(Pieces):
        async def read(self) -> bytes:
            if not self.pieces:
                await asyncio.Event().wait()
            return await super().read()

    feeding = asyncio.create_task(publisher.feed(Endless(FILE)))
    await eventually(lambda: len(sink.tags) == 20)
    feeding.cancel()
    await asyncio.wait([feeding])
    assert feeding.cancelled()
    assert admission.publications[0].ended == ["closed"]
    assert not everybody.here


async def test_let_in_and_thrown_out_in_one_breath() -> None:
    # The hub drops it before it has said that it may come in: nothing of the publication is called.
    sink, admission = NotedTags(), NotedAdmission()
    admission.gate.clear()
    publisher = publishers(sink, admission).publisher("live", "1.2.3.4")
    request = PublishRequest("live", "a", "flv", "1.2.3.4", 1, publisher.drop)
    entering = asyncio.create_task(publisher.enter(request))
    await eventually(lambda: admission.requests)
    request.drop("shutdown")
    admission.gate.set()
    assert await entering == PublishEnding("shutdown", "shutdown")
    assert admission.publications[0].ended == []
