"""Real clients publish by MPEG-TS over HTTP and UDP, and in RTP: they play, and the stream ends when they leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.ingest.ts.service import TsUdpService
from tests.support.encoders import current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.services import running
from tests.support.watched import Watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=10, width=320, height=180, rate=30, gop=30)
CLIENTS = (
    "ffmpeg-system udp",
    "ffmpeg-current udp",
    "ffmpeg-system rtp_mpegts",
    "ffmpeg-current rtp_mpegts",
    "ffmpeg-system post",
    "ffmpeg-current post",
    "curl put",
    "gstreamer udp",
)


@contextlib.asynccontextmanager
async def client(name: str, film: Path, http: int, udp: int, log: Path) -> AsyncIterator[None]:
    """The program at work on `film`, at its own pace, round and round."""
    program, _, way = name.partition(" ")
    ffmpeg = current_ffmpeg() if program == "ffmpeg-current" else system_ffmpeg()
    read = [ffmpeg or "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy"]
    url = f"http://127.0.0.1:{http}/live/cam.ts"
    to = {
        "udp": ["-f", "mpegts", f"udp://127.0.0.1:{udp}?pkt_size=1316"],
        "rtp_mpegts": ["-f", "rtp_mpegts", f"rtp://127.0.0.1:{udp}?pkt_size=1328"],
        "post": ["-f", "mpegts", "-method", "POST", url],
        "put": ["-f", "mpegts", "pipe:1"],
    }[way]
    command = " ".join([*read, *to]) + (f" | curl -sS -T - {url}" if program == "curl" else "")
    if program == "gstreamer":
        command = (
            "gst-launch-1.0 -q videotestsrc is-live=true ! video/x-raw,width=320,height=180 ! x264enc tune=zerolatency "
            f"key-int-max=30 ! h264parse ! mpegtsmux alignment=7 ! udpsink host=127.0.0.1 port={udp}"
        )
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", command, stdout=said, stderr=said, start_new_session=True
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def playable(server: Server) -> bool:
    """Whether there is media in the playlist."""
    async with httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{server.services['http'].port}/live/cam.m3u8?flat=1"
        answer = await http.get(url, follow_redirects=True)
    return answer.status_code == httpx.codes.OK and ".ts" in answer.text


def missing(name: str) -> str:
    """Why it cannot run here; empty if it can."""
    program = {"ffmpeg-system": "ffmpeg", "curl": "curl", "gstreamer": "gst-launch-1.0"}.get(name.partition(" ")[0])
    return f"{program} is not installed" if program and shutil.which(program) is None else ""


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_plays_and_its_stream_ends_with_it(films: Path, tmp_path: Path, name: str) -> None:
    if why := missing(name):
        pytest.skip(why)
    film = FILM.make(films)
    ports = [{"port": 0, "bind": "127.0.0.1", "path": "live/cam", "allow": ["127.0.0.1"]}]
    settings = {"ts.udp": ports, "ts.idle_timeout": 2.0, "publish.grace": 0.5}
    async with running(tmp_path / "state", settings) as server:
        watched = Watched(server)
        service = server.services["ts_udp"]
        assert isinstance(service, TsUdpService)
        udp = service.senders[0].port.number
        async with client(name, film, server.services["http"].port, udp, tmp_path / "log"):
            await eventually(lambda: playable(server), 30, what="the playlist")
            stream = server.hub.get("live", "cam")
            assert stream is not None
            assert stream.tracks is not None
            assert (stream.tracks.audio is None) == (name == "gstreamer udp")
            assert not stream.stats.repairs["jump"]
        await eventually(lambda: "streamStop" in [event.action.value for event in watched.told], 30, what="its end")
        assert service.senders[0].losses == 0
