"""A server turns sound into AAC from the connection to the API, and lets go of it when its publisher is sent away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hlsd.events import Action, Event
from hlsd.ingest.rtmp_push import RtmpPush
from tests.support.clicks import ClickFilm, missing
from tests.support.eventually import eventually
from tests.support.services import running

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.thorough
async def test_what_was_converted_is_told_and_a_publisher_that_is_sent_away_leaves_nothing(
    films: Path, tmp_path: Path
) -> None:
    told: list[Event] = []
    async with running(tmp_path) as server:
        server.bus.listen(told.append)
        desk = server.node.sound
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam")
        for kind, ms, body in ClickFilm("g711a", 6).tags(films):
            if ms <= 3_000 and kind != 18:
                await push.send(kind, ms, body)
                await asyncio.sleep(0)
        await eventually(lambda: server.hub.get("live", "cam") and desk.stats.streams == 1)
        stream = server.hub.get("live", "cam")
        assert stream is not None
        await eventually(lambda: stream.tracks is not None and stream.tracks.audio is not None, 60)
        assert stream.converted == ("G.711 A-law",)
        start = next(event for event in told if event.action is Action.STREAM_START)
        assert start.facts["converted"] == ["G.711 A-law"]
        assert "converted" not in next(event for event in told if event.action is Action.POST_PUBLISH).facts
        publisher = server.hub.publisher("live", "cam")
        assert publisher is not None
        publisher.reject()
        await eventually(lambda: not desk.stats.streams, 60)
        await push.close()
        await eventually(lambda: not desk.process.under_way)
        pid = desk.process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    done = next(event for event in told if event.action is Action.DONE_PUBLISH)
    assert done.facts["converted"] == ["G.711 A-law"]


async def test_a_server_that_converts_nothing_leaves_it_out(films: Path, tmp_path: Path) -> None:
    async with running(tmp_path, {"transcode.audio": False}) as server:
        push = await RtmpPush.connect(f"rtmp://127.0.0.1:{server.services['rtmp'].port}/live/cam")
        for kind, ms, body in ClickFilm("g711a", 6).tags(films):
            if ms <= 1_000 and kind != 18:
                await push.send(kind, ms, body)
        await eventually(lambda: (stream := server.hub.get("live", "cam")) is not None and stream.tracks is not None)
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert (stream.dropped, stream.converted) == (("G.711 A-law",), ())
        assert not server.node.sound.process.pid
        await push.close()
