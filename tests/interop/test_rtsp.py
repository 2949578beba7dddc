"""Real clients publish and play by RTSP, within the connection and by UDP; and are asked for their passwords."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import av
import pytest

from hlsd.ingest.rtsp.service import RtspService
from tests.support.encoders import current_ffmpeg
from tests.support.eventually import eventually
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.rtsp_clients import PLAYERS, PUBLISHERS, missing, play, publish
from tests.support.services import running
from tests.support.srt_clients import running_client
from tests.support.watched import Watched

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

FILM = Film(seconds=6, width=320, height=180, rate=30, gop=30, b_frames=2)
SECRET = "correct horse"
PLAIN = Film(seconds=12, width=320, height=180, rate=30, gop=30)
"""Without B-frames: ffmpeg, which copies, has no decoding times for those of RTSP ("unknown timestamp")."""
CODINGS = {
    "g711": ("-c:v", "copy", "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"),
    "opus": ("-c:v", "copy", "-c:a", "libopus"),
    "h265": (
        "-fps_mode",
        "passthrough",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none:keyint=30",
        "-c:a",
        "copy",
    ),
}


def film_of(films: Path, folder: Path, film: Film = FILM) -> Path:
    """The film as MP4."""
    into = folder / "film.mp4"
    command = [current_ffmpeg(), "-v", "error", "-i", str(film.make(films)), "-c", "copy", str(into)]
    subprocess.run(command, check=True)
    return into


def even_port() -> int:
    """A UDP port for RTP whose neighbour is ours too."""
    while (port := free_port()) % 2:
        pass
    return port


@asynccontextmanager
async def port_of(state: Path) -> AsyncIterator[tuple[Watched, RtspService]]:
    settings = {
        "rtsp.port": free_port(),
        "rtsp.bind": "127.0.0.1",
        "rtsp.udp_port": even_port(),
        "rtsp.users": [{"match": "safe/*", "user": "cam", "password": SECRET}],
        "rtsp.basic": False,
        "publish.grace": 90,  # a stream is looked at when the slowest client is done
        "hls.low_latency": True,
    }
    async with running(state, settings) as server:
        service = server.services["rtsp"]
        assert isinstance(service, RtspService)
        yield Watched(server), service


def pictures(here: Watched, app: str, name: str) -> int:
    stream = here.server.hub.get(app, name)
    return stream.stats.video_frames if stream is not None else 0


def gone(here: Watched) -> int:
    return sum(event.action.value == "donePublish" for event in here.told)


async def test_every_picture_of_a_publisher_arrives(films: Path, tmp_path: Path) -> None:
    film, all_pictures = film_of(films, tmp_path), FILM.seconds * 30
    clients = [client for client in PUBLISHERS if not missing(client)]
    async with port_of(tmp_path / "state") as (here, rtsp), AsyncExitStack() as stack:
        names: dict[str, str] = {}
        for number, client in enumerate(clients):
            app = "safe" if number % 2 else "live"  # every other one has to prove who it is
            who = f"cam:{SECRET.replace(' ', '%20')}@" if app == "safe" else ""
            if client.startswith("gstreamer"):
                app, who = "live", ""
            names[f"{app}/{number}"] = client
            command = publish(client, film, f"rtsp://{who}127.0.0.1:{rtsp.port}/{app}/{number}")
            await stack.enter_async_context(running_client(command, tmp_path / f"{number}.log"))
        await eventually(lambda: gone(here) >= len(names), 90, what="the end of every film")
        for name, coding in CODINGS.items():  # later: whoever encodes takes the processor from those who copy
            names[f"live/{name}"] = f"ffmpeg-current tcp, {name}"
            command = publish("ffmpeg-current tcp", film, f"rtsp://127.0.0.1:{rtsp.port}/live/{name}", coding)
            await stack.enter_async_context(running_client(command, tmp_path / f"{name}.log"))
        await eventually(lambda: gone(here) >= len(names), 90, what="the end of every film")
        for path, client in names.items():
            stream = here.server.hub.get(*path.split("/"))
            assert stream is not None, client
            # What is left unsent when a client closes its connection is its last pictures.
            assert all_pictures - 8 <= stream.stats.video_frames <= all_pictures, client
            assert stream.stats.audio_frames > 200, client
            assert not stream.stats.repairs["bad_tag"], client
            assert not stream.stats.repairs["backward"], client


async def test_every_picture_reaches_a_player(films: Path, tmp_path: Path) -> None:
    film = film_of(films, tmp_path, PLAIN)
    clients = [client for client in PLAYERS if not missing(client)]
    async with port_of(tmp_path / "state") as (here, rtsp), AsyncExitStack() as stack:
        command = publish("ffmpeg-current tcp", film, f"rtsp://127.0.0.1:{rtsp.port}/live/cam")
        await stack.enter_async_context(running_client(command, tmp_path / "publisher.log"))
        await eventually(lambda: pictures(here, "live", "cam") > 30, 30, what="pictures")
        files: dict[str, Path] = {}
        seen: list[asyncio.subprocess.Process] = []
        for number, client in enumerate(clients):
            files[client] = tmp_path / f"{number}.media"
            command = play(client, files[client], f"rtsp://127.0.0.1:{rtsp.port}/live/cam")
            seen.append(await stack.enter_async_context(running_client(command, tmp_path / f"{number}.log")))
        await eventually(lambda: gone(here), 60, what="the end of the film")
        assert {session.protocol for session in here.sessions.values()} == {"rtsp"}
        assert len(here.sessions) == len(clients)
        for process, (client, file) in zip(seen, files.items(), strict=True):
            if client.startswith("mpv"):  # which ends when it has shown sixty
                assert await asyncio.wait_for(process.wait(), 20) == 0, client
                continue
            await eventually(lambda file=file: len(shown(file)) > 150, 20, what=f"pictures of {client}")  # type: ignore[misc]
            # By which clock the first is shown is the player's; one that is missing would leave 67 ms.
            times = sorted(shown(file))[1:-3]
            steps = [later - earlier for earlier, later in itertools.pairwise(times)]
            assert sum(steps) / len(steps) < 0.0345, client
            if client.startswith("ffmpeg"):  # GStreamer's are of the clock by which they came
                assert max(steps) < 0.055, client
        assert here.balanced()


def shown(file: Path) -> list[float]:
    """The times of the pictures in a file that may still grow."""
    if not file.exists() or file.stat().st_size < 10_000:
        return []
    try:
        with av.open(str(file)) as media:
            return [float(one.pts * one.time_base) for one in media.demux(video=0) if one.pts is not None]
    except av.FFmpegError:
        return []


async def test_who_has_no_password_is_not_let_in(films: Path, tmp_path: Path) -> None:
    film = film_of(films, tmp_path)
    async with port_of(tmp_path / "state") as (here, rtsp):
        for client in ("ffmpeg-current tcp", "ffmpeg-system tcp"):
            if missing(client):
                continue
            command = publish(client, film, f"rtsp://cam:wrong@127.0.0.1:{rtsp.port}/safe/cam")
            async with running_client(command, tmp_path / "log") as process:
                assert await process.wait() != 0
            assert "401" in (tmp_path / "log").read_text()
        assert not here.told
