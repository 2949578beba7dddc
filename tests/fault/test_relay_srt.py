"""Streams go from one hlsd to another by SRT, pulled and pushed, encrypted; what is cut comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.ingest.srt.call import CallError, SrtCall
from hlsd.ingest.srt.service import SrtService
from hlsd.relay.service import RelayService
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.tsfilm import make_ts

pytestmark = pytest.mark.timeout(120)
SECRET = "correct horse"
QUERY = "&passphrase=correct%20horse&pbkeylen=32&latency=200"


@asynccontextmanager
async def origin_of(state: Path, port: int) -> AsyncIterator[Server]:
    settings = {
        "srt.port": port,
        "srt.bind": "127.0.0.1",
        "srt.passphrases": [{"passphrase": SECRET}],
        "hls.low_latency": True,
    }
    async with running(state, settings) as server:
        yield server


@asynccontextmanager
async def published(port: int) -> AsyncIterator[None]:
    """A film at its own pace, again and again."""
    film = make_ts(seconds=4.0)
    call = await SrtCall.connect("127.0.0.1", port, stream_id="publish:live/cam", passphrase=SECRET)

    async def send() -> None:
        with_pause = 4.0 * 1316 / len(film)
        while True:
            for at in range(0, len(film), 1316):
                await call.write(film[at : at + 1316])
                await asyncio.sleep(with_pause)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        call.abort()


def frames(server: Server) -> int:
    stream = server.hub.get("live", "cam")
    return stream.stats.video_frames if stream is not None and stream.claim is not None else 0


async def test_what_is_pulled_by_srt_plays_and_comes_back_when_it_is_cut(tmp_path: Path) -> None:
    port = free_port()
    rule = {
        "mode": "pull",
        "match": "live/*",
        "urls": [f"srt://127.0.0.1:{port}?streamid=read:{{app}}/{{stream}}{QUERY}"],
        "backoff": [0.05, 0.2],
        "start_timeout": 30,
    }
    async with (
        origin_of(tmp_path / "origin", port) as origin,
        running(tmp_path / "edge", {"relay.rules": [rule], "hls.low_latency": True}) as edge,
        httpx.AsyncClient(timeout=60) as client,
        published(port),
    ):
        await eventually(lambda: frames(origin) > 10, what="the origin's stream")
        answer = await client.get(f"http://127.0.0.1:{edge.services['http'].port}/live/cam.m3u8", follow_redirects=True)
        assert answer.status_code == httpx.codes.OK, answer.text
        (session,) = list(origin.sessions)
        assert session.protocol == "srt"
        before = frames(edge)
        assert origin.sessions.kick(session.sid.decode(), 0)
        await eventually(lambda: frames(edge) > before + 30, 60, what="pictures again")


async def test_what_is_pushed_by_srt_arrives_and_a_refusal_is_said(tmp_path: Path) -> None:
    port, far = free_port(), free_port()
    rules = [
        {
            "mode": "push",
            "match": "live/*",
            "urls": [
                f"srt://127.0.0.1:{far}?streamid=publish:{{app}}/{{stream}}{QUERY}",
                f"srt://127.0.0.1:{far}?streamid=publish:{{app}}/other",
            ],
            "backoff": [0.05, 0.2],
        }
    ]
    settings = {
        "srt.port": port,
        "srt.bind": "127.0.0.1",
        "srt.passphrases": [{"passphrase": SECRET}],
        "relay.rules": rules,
    }
    async with (
        origin_of(tmp_path / "far", far) as target,
        running(tmp_path / "near", settings) as near,
        published(port),
    ):
        await eventually(lambda: frames(target) > 30, 60, what="pictures at the target")
        stream = target.hub.get("live", "cam")
        assert stream is not None
        assert stream.tracks is not None
        assert stream.tracks.video is not None
        assert stream.tracks.audio is not None
        relay = near.services["relay"]
        assert isinstance(relay, RelayService)
        good, bad = sorted(relay.pushes, key=lambda push: push.error)
        assert (good.active, bad.active) == (True, False)
        assert "passphrase required" in bad.error
        assert SECRET not in good.shown
        assert "correct" not in good.shown


async def test_a_server_does_not_pull_from_itself(tmp_path: Path) -> None:
    port = free_port()
    rule = {"mode": "pull", "match": "live/*", "urls": [f"srt://127.0.0.1:{port}?streamid=read:live/cam"]}
    settings = {"srt.port": port, "srt.bind": "127.0.0.1", "relay.rules": [rule]}
    async with running(tmp_path, settings) as server, httpx.AsyncClient(timeout=60) as client:
        service = server.services["srt"]
        assert isinstance(service, SrtService)
        url = f"http://127.0.0.1:{server.services['http'].port}/live/cam.m3u8"
        assert (await client.get(url, follow_redirects=True)).status_code in {404, 503}
        assert not service.room._by_ident
        with pytest.raises(CallError) as told:
            await SrtCall.connect("127.0.0.1", port, stream_id="read:other/cam")
        assert told.value.code == 1404
