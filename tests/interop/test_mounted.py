"""hlsd below a path of another application, by that one's uvicorn: everything stays below, viewers are counted."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.encoders import current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.players import Recording, follow
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
FFMPEG = system_ffmpeg() or current_ffmpeg()
FILM = Film(seconds=6, gop=25)
HEAD = """
import sys
import uvicorn
import hlsd

tv = hlsd.asgi(hlsd.load(None, {}, {
    "rtmp.port": int(sys.argv[1]), "http.bind": "127.0.0.1", "http.port": 0, "server.state_dir": "var"}))
"""
HOSTS = {
    # An application that is none of Starlette's: it says root_path as ASGI wants it, and hands the lifespan on.
    "raw": HEAD + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await tv(scope, receive, send)
    elif scope["path"].startswith("/tv/"):
        await tv({**scope, "root_path": "/tv"}, receive, send)
    else:
        body = b"%d watch" % sum(1 for _ in tv.server.sessions)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
""",
    "fastapi": HEAD + """
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI(lifespan=tv.lifespan)
app.mount("/tv", tv)

@app.get("/", response_class=PlainTextResponse)
def front() -> str:
    return f"{sum(1 for _ in tv.server.sessions)} watch"

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
""",
}  # fmt: skip


@contextmanager
def process(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the block; what it said is in the error."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PATH": "/usr/bin:/bin"},
            stdout=out,
            stderr=out,
        )
    try:
        yield running
    except BaseException as error:
        error.add_note(f"--- {name}: {log.read_text(errors='replace')[-2000:]}")
        raise
    finally:
        running.kill()
        running.wait(10)


def status(url: str) -> int:
    try:
        return httpx.get(url, timeout=20).status_code
    except httpx.TransportError:
        return 0


def watching(site: str) -> int:
    """How many viewers the application's page tells of."""
    return int(httpx.get(site).text.split()[0])


@pytest.mark.interop
@pytest.mark.parametrize("host", ["example", *HOSTS])
def test_a_stream_plays_below_the_mount_and_its_viewers_are_counted(host: str, tmp_path: Path, films: Path) -> None:
    """An application's users see one site: the page, redirects and playlists never lead out of /tv."""
    if host == "fastapi" and importlib.util.find_spec("fastapi") is None:
        pytest.skip("fastapi is not installed: it is no dependency, and Starlette's Mount is what it mounts with")
    program = ROOT / "examples" / "mounted.py"
    if host != "example":
        program = tmp_path / "host.py"
        program.write_text(HOSTS[host])
    rtmp, port = free_port(), free_port()
    site = f"http://127.0.0.1:{port}"
    film = FILM.make(films)
    send = [FFMPEG, "-v", "error", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy", "-f", "flv"]
    with process([sys.executable, str(program), str(rtmp), str(port)], tmp_path, "host") as running:
        eventually_here(lambda: status(f"{site}/tv/healthz") == 200, 60, "the application")
        assert httpx.get(site).text.strip() == "0 watch"
        with process([*send, f"rtmp://127.0.0.1:{rtmp}/live/film"], tmp_path, "ffmpeg"):
            eventually_here(lambda: status(f"{site}/tv/live/film.m3u8") == 200, 60, "the playlist")
            flat = httpx.get(f"{site}/tv/live/film.m3u8?flat=1")
            assert flat.status_code == 302
            assert flat.headers["location"].startswith("/tv/live/film/~")
            slash = httpx.get(f"{site}/tv/live/film/?a=b", headers={"Accept": "text/html"})
            assert (slash.status_code, slash.headers["location"]) == (302, "/tv/live/film?a=b")
            page = httpx.get(f"{site}/tv/live/film", headers={"Accept": "text/html"})
            assert page.status_code == 200
            assert '"/tv/_/page.js?v=' in page.text
            assert '"/_/' not in page.text
            assert status(f"{site}/live/film.m3u8") in {200, 404}, "nothing of hlsd's beside the mount"
            assert "EXTM3U" not in httpx.get(f"{site}/live/film.m3u8").text
            assert {row["path"] for row in httpx.get(f"{site}/tv/streams.json").json()["streams"]} == {"/live/film"}
            # Who only looked is forgotten first: how many of those there still are would depend on the machine's pace.
            eventually_here(lambda: watching(site) == 0, 90, "those who asked once are gone")
            recording = Recording()
            follow(f"{site}/tv/live/film.m3u8", seconds=6, recording=recording)
            assert not recording.faults
            assert len(recording.segments) >= 2
            assert not check_recording(recording)
            assert watching(site) == 1
            with httpx.stream("GET", f"{site}/tv/live/film.flv", timeout=20) as flv:
                assert next(flv.iter_raw(3)) == b"FLV"
        running.terminate()
        assert running.wait(20) in (0, -15)
    assert "Traceback" not in (tmp_path / "host.log").read_text()
