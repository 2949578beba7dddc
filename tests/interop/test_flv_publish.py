"""Real clients publish by HTTP and WebSocket: they play at once, read why they may not, and are seen and sent away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hlsd.auth import sign
from hlsd.delivery.tls.certificate import write_self_signed
from tests.support import browser as browsers
from tests.support.eventually import eventually
from tests.support.flv_clients import PUBLISHERS, flv_client, missing, page_that_publishes
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.services import running
from tests.support.watched import Watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=10, width=320, height=180, rate=30, gop=30)
SECRET = "a-secret-of-this-test-only"


class Desk:
    """What the operator sees of the server."""

    def __init__(self, here: Watched, state: Path, client: httpx.AsyncClient) -> None:
        self.here = here
        self.client = client
        self.port = here.server.services["http"].port
        self.base = f"http://127.0.0.1:{self.port}"
        self.token = {"authorization": f"Bearer {(state / 'api.token').read_text().strip()}"}

    async def playable(self) -> bool:
        """Whether there is media in the playlist."""
        text = await self.client.get(f"{self.base}/live/cam.m3u8?flat=1", follow_redirects=True)
        return text.status_code == httpx.codes.OK and ".ts" in text.text

    async def stream(self) -> dict[str, Any]:
        answer = await self.client.get(f"{self.base}/api/v1/streams/live/cam", headers=self.token)
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def ingest_bytes(self) -> float:
        text = (await self.client.get(f"{self.base}/metrics", headers=self.token)).text
        lines = [line for line in text.splitlines() if line.startswith("hlsd_stream_ingest_bytes_total{")]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    def actions(self) -> list[str]:
        """What was told of publishers and streams."""
        names = ("prePublish", "postPublish", "streamStart", "donePublish")
        return [event.action.value for event in self.here.told if event.action.value in names]


async def begun(desk: Desk) -> float:
    """Seconds from the moment that it was let in until it played."""
    await eventually(lambda: "postPublish" in desk.actions(), what="the publisher")
    since = time.monotonic()
    await eventually(desk.playable, what="the playlist")
    return time.monotonic() - since


def tls(folder: Path) -> dict[str, object]:
    """The settings of a port with TLS."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_self_signed(cert, key, ["localhost", "127.0.0.1"])
    return {"https.bind": "127.0.0.1", "https.port": 0, "https.cert": str(cert), "https.key": str(key)}


@pytest.mark.parametrize("name", PUBLISHERS)
async def test_programs_publish_are_refused_are_seen_and_are_sent_away(films: Path, tmp_path: Path, name: str) -> None:
    # ffmpeg 5.1 by http, ffmpeg 9 by https, curl from a pipe by HTTP/1.1 with Expect and by HTTP/2.
    if why := missing(name):
        pytest.skip(why)
    film, state = FILM.make(films), tmp_path / "state"
    auth = {"auth.publish": True, "auth.secrets": [SECRET], "hls.low_latency": True}
    secure = name in {"ffmpeg-current", "curl-h2"}
    async with running(state, {**auth, **tls(tmp_path)}) as server, httpx.AsyncClient(timeout=20) as client:
        desk = Desk(Watched(server), state, client)
        base = f"https://127.0.0.1:{server.services['https'].port}" if secure else desk.base
        good = f"{base}/live/cam.flv?sign={sign.make('/live/cam', int(time.time()) + 600, SECRET)}"
        bad = f"{base}/live/cam.flv?sign={sign.make('/live/other', int(time.time()) + 600, SECRET)}"
        curl = name.startswith("curl")
        with capture_logs() as log:
            async with flv_client(name, film, bad, tmp_path / "bad.log") as process:
                code = await asyncio.wait_for(process.wait(), 30)
            assert [(line["code"], line["reason"]) for line in log if line["event"] == "publish refused"] == [
                ("denied", "not allowed")
            ]
            assert "status 403" in (tmp_path / "bad.log").read_text() if curl else code != 0
            assert desk.actions() == []
            async with flv_client(name, film, good, tmp_path / "good.log") as process:
                await begun(desk)
                async with flv_client(name, film, good, tmp_path / "busy.log") as second:
                    code = await asyncio.wait_for(second.wait(), 30)
                assert "status 409" in (tmp_path / "busy.log").read_text() if curl else code != 0
                assert [line["code"] for line in log if line["event"] == "publish refused"] == ["denied", "busy"]
                stream = await desk.stream()
                shown = stream["publisher"]
                assert (shown["protocol"], shown["ip"].partition(":")[0]) == ("flv", "127.0.0.1")
                assert stream["inbytes"] > 0
                before = await desk.ingest_bytes()
                assert before > 0
                await eventually(lambda: _more(desk, before), what="more bytes")
                kick = await client.delete(f"{desk.base}/api/v1/streams/live/cam", headers=desk.token)
                assert kick.is_success, kick.text
                code = await asyncio.wait_for(process.wait(), 30)
                assert "status 403" in (tmp_path / "good.log").read_text() if curl else code != 0
        assert desk.actions() == ["prePublish", "postPublish", "streamStart", "donePublish"]
        assert desk.here.told[-1].facts["reason"] == "kicked"


async def _more(desk: Desk, than: float) -> bool:
    return await desk.ingest_bytes() > than


async def test_who_comes_back_within_the_grace_goes_on(films: Path, tmp_path: Path) -> None:
    # By another way than before, too: one run of the stream, as with RTMP.
    film = FILM.make(films)
    async with running(tmp_path / "state", {"hls.low_latency": True}) as server, httpx.AsyncClient() as client:
        desk = Desk(Watched(server), tmp_path / "state", client)
        url = f"{desk.base}/live/cam.flv"
        async with flv_client("ffmpeg-current", film, url, tmp_path / "first.log"):
            await begun(desk)
        await eventually(lambda: desk.actions()[-1] == "donePublish")
        async with flv_client("curl" if not missing("curl") else "ffmpeg-current", film, url, tmp_path / "second.log"):
            await eventually(lambda: desk.actions().count("postPublish") == 2)

            async def joined() -> bool:
                listed = await client.get(f"{desk.base}/live/cam.m3u8?flat=1", follow_redirects=True)
                return "EXT-X-DISCONTINUITY\n" in listed.text

            await eventually(joined, what="the second publisher behind a discontinuity")
        assert desk.actions().count("streamStart") == 1


@pytest.mark.alone
@pytest.mark.parametrize("name", ["ffmpeg-system", "curl"])
async def test_it_plays_within_two_seconds(films: Path, tmp_path: Path, name: str) -> None:
    # From when it was let in; half of that is media which a player wants before it begins.
    if why := missing(name):
        pytest.skip(why)
    film = FILM.make(films)
    async with running(tmp_path / "state", {"hls.low_latency": True}) as server, httpx.AsyncClient() as client:
        desk = Desk(Watched(server), tmp_path / "state", client)
        async with flv_client(name, film, f"{desk.base}/live/cam.flv", tmp_path / "client.log"):
            assert await begun(desk) < 2


@pytest.mark.alone
@pytest.mark.browser
async def test_a_page_in_chromium_publishes_by_websocket(films: Path, tmp_path: Path) -> None:
    # From another origin, with the subprotocol of Node-Media-Server's NodePublisher; it plays, and its end is an end.
    if browsers.executable("chromium") is None:
        pytest.skip("chromium is not installed")
    film = Film(seconds=6, gop=25, b_frames=2).make(films)
    pages = free_port()
    set_ = {"hls.low_latency": True, "http.allow_origin": [f"http://127.0.0.1:{pages}"]}
    async with running(tmp_path / "state", set_) as server, httpx.AsyncClient() as client:
        desk = Desk(Watched(server), tmp_path / "state", client)
        url = f"ws://127.0.0.1:{desk.port}/live/cam.flv"
        async with page_that_publishes(film, url, tmp_path / "profile", pages):
            assert await begun(desk) < 2
            shown = (await desk.stream())["publisher"]
            assert shown["protocol"] == "wsflv"
            assert "Chrome" in shown["user_agent"]
            await eventually(lambda: desk.actions()[-1] == "donePublish", what="the end of the film")
        assert desk.here.told[-1].facts["reason"] == "closed"
        assert desk.here.told[-1].facts["inbytes"] == film.stat().st_size
