"""The feed over its Unix socket: who listens has the stream, hears its end and its successor, and stalls nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hlsd.base.faults import Faults
from hlsd.ports import Playable
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.workers import feed_source
from hlsd.workers.edge_directory import EdgeDirectory
from hlsd.workers.feed_source import FeedSources
from tests.support.eventually import eventually
from tests.support.feeds import same
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.runs import settings

Streams = dict[tuple[str, str], Playable]


def run(ident: str, seconds: int = 4) -> Segmenter:
    """A run that has been on air for a while."""
    output = Segmenter(Run(ident, settings(time=1, list=3, low_latency=True), first_msn=100))
    output.tracks(BOTH)
    push(output, seconds)
    return output


def push(output: Segmenter, seconds: int) -> None:
    for unit in interleaved(video(25, seconds, 1.0), audio(seconds)):
        output.unit(unit)


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[tuple[Streams, FeedSources, EdgeDirectory]]:
    """A core's side and a worker's."""
    streams: Streams = {}
    faults = Faults()
    sources = FeedSources(str(tmp_path / "feed"), lambda app, name: streams.get((app, name)), faults)
    await sources.start()
    edge = EdgeDirectory(str(tmp_path / "feed"), 1 << 26, lambda _: True, faults)
    try:
        yield streams, sources, edge
    finally:
        await edge.stop()
        await sources.stop(1.0)
        assert not any(faults.tasks.values())


async def test_a_stream_is_there_for_who_expects_it_and_stays_the_same(tmp_path: Path) -> None:
    async with house(tmp_path) as (streams, _, edge):
        output = run("r1")
        streams["live", "cam"] = output.live
        assert edge.pending("live", "cam")
        expected, told = edge.expected("live", "cam"), list[bool]()
        expected.watch(lambda: told.append(True))
        await eventually(lambda: expected.gone, what="the stream")
        assert told == [True]
        mirror = edge.find("live", "cam")
        assert mirror is not None
        same(output.live, mirror)  # type: ignore[arg-type]
        output.jump()
        push(output, 3)
        await eventually(lambda: mirror.playlist().etag == output.live.playlist().etag, what="the news")  # type: ignore[union-attr]
        same(output.live, mirror)  # type: ignore[arg-type]


async def test_what_is_not_there_is_known_not_to_be_and_comes_when_it_does(tmp_path: Path) -> None:
    async with house(tmp_path) as (streams, sources, edge):
        expected = edge.expected("live", "cam")
        await eventually(lambda: expected.gone, what="the answer")
        assert not edge.pending("live", "cam")
        assert edge.find("live", "cam") is None
        output = run("r1")
        streams["live", "cam"] = output.live
        stream = type("Stream", (), {"app": "live", "name": "cam"})()
        sources.output(stream, None)  # type: ignore[arg-type]
        await eventually(lambda: edge.find("live", "cam") is not None, what="the stream")


async def test_another_run_takes_the_place_and_the_media_of_the_first_is_served_as_long_as_it_is_there(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as (streams, _, edge):
        first = run("r1")
        streams["live", "cam"] = first.live
        edge.expected("live", "cam")
        await eventually(lambda: edge.find("live", "cam") is not None, what="the first run")
        old = edge.find("live", "cam")
        first.end()
        second = run("r2")
        second.live.follow(first.live)
        streams["live", "cam"] = second.live
        await eventually(lambda: edge.find("live", "cam") is not old, what="the second run")
        now = edge.find("live", "cam")
        assert old is not None
        assert now is not None
        assert old.ended
        name = first.window.segments[-1].uri.rpartition("/")[2]
        assert now.media("r1", name) is not None
        second.live.follow(None)
        second.jump()
        push(second, 3)
        await eventually(lambda: now.media("r1", name) is None, what="the end of the first")


async def test_who_begins_anew_at_another_core_goes_on(tmp_path: Path) -> None:
    faults = Faults()
    output = run("r1")
    path = str(tmp_path / "feed")
    edge = EdgeDirectory(path, 1 << 26, lambda _: True, faults)
    edge.expected("live", "cam")
    first = FeedSources(path, lambda *_: output.live, faults)
    await first.start()
    await eventually(lambda: edge.find("live", "cam") is not None, what="the stream")
    mirror = edge.find("live", "cam")
    await first.stop(1.0)
    output.jump()
    push(output, 2)
    second = FeedSources(path, lambda *_: output.live, faults)
    await second.start()
    await eventually(lambda: mirror.playlist().etag == output.live.playlist().etag, what="the news")  # type: ignore[union-attr]
    assert edge.find("live", "cam") is mirror, "the same for those who wait"
    await edge.stop()
    await second.stop(1.0)


async def test_who_does_not_read_is_cut_off_and_nobody_else_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_source, "SPARE", 1000)
    async with house(tmp_path) as (streams, sources, edge):
        output = run("r1")
        streams["live", "cam"] = output.live
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(deaf, str(tmp_path / "feed"))
            deaf.send(b"live/cam\n")
            edge.expected("live", "cam")
            await eventually(lambda: edge.find("live", "cam") is not None, what="the stream")
            for _ in range(400):
                output.jump()
                push(output, 2)
                await asyncio.sleep(0)
                if sources.cut:
                    break
            assert sources.cut == 1
            mirror = edge.find("live", "cam")
            await eventually(lambda: mirror.playlist().etag == output.live.playlist().etag, what="the news")  # type: ignore[union-attr]


@pytest.mark.parametrize("asked", [b"live\n", b"live/../x\n", b"live/cam\nmore\n", b"x" * 2000])
async def test_a_question_that_is_none_ends_the_line(tmp_path: Path, asked: bytes) -> None:
    async with house(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "feed"))
        writer.write(asked)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
