"""Encrypted streams in real players: live over several keys, and from the disk. hls.js in Chromium, and ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.encoders import endless, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

FILM = Film(seconds=16, width=320, height=180)
SETTINGS = {
    "HLSD_HLS__ENCRYPT": '["live/*"]',
    "HLSD_HLS__KEY_SEGMENTS": "2",
    "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
    "HLSD_RECORD__MIN_FREE": "0",
}


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with an encrypted stream on air that is recorded, and has low latency for others."""
    folder = tmp_path_factory.mktemp("encrypted")
    with (
        HlsdServer(folder, env=SETTINGS, low_latency=True) as running,
        endless(FILM.make(films), running.rtmp("cam"), folder / "encoder.log"),
    ):
        # Not the first second of a stream, in which a player has one segment to stand on.
        eventually_here(lambda: segments(running) >= 3, 60, what="three segments")
        yield running


def segments(server: HlsdServer) -> int:
    """How many are listed."""
    answer = httpx.get(f"{base(server)}.m3u8?flat=1", timeout=20, follow_redirects=True)
    return answer.text.count("#EXTINF")


def base(server: HlsdServer) -> str:
    return f"http://127.0.0.1:{server.http_port}/live/cam"


@pytest.mark.browser
def test_chromium_plays_live_over_several_keys_without_an_error(server: HlsdServer) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    report = browsers.play(f"{base(server)}.m3u8", "chromium", "hlsjs", 16)
    assert report["errors"] == [], report["errors"]
    assert report["played"] > 9, "three segments and more: two keys at least"
    assert (report["width"], report["height"]) == (320, 180)
    figures = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=server.bearer, timeout=20).text
    asked = [line for line in figures.splitlines() if 'kind="key"' in line and '"200"' in line]
    assert sum(float(line.rpartition(" ")[2]) for line in asked if "requests_total" in line) >= 3, asked


@pytest.mark.parametrize("where", [".m3u8", "/rewind-600.m3u8"])
def test_ffmpeg_decodes_live_and_the_past(server: HlsdServer, where: str) -> None:
    url = base(server) + where
    eventually_here(lambda: httpx.get(url, timeout=20).status_code == 200, 60, what=where)
    command = [system_ffmpeg() or "ffmpeg", "-v", "error", "-xerror", "-live_start_index", "0", "-i", url]
    command += ["-t", "5", "-f", "null", "-progress", "pipe:1", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    frames = [int(line.removeprefix("frame=")) for line in done.stdout.splitlines() if line.startswith("frame=")]
    assert max(frames) >= 100


@pytest.mark.browser
def test_chromium_plays_and_seeks_in_the_past(server: HlsdServer) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    url = f"{base(server)}/rewind-600.m3u8"
    eventually_here(lambda: httpx.get(url, timeout=20).status_code == 200, 60, what="the past")
    report = browsers.play(url, "chromium", "hlsjs", 8, seek=4.0)
    assert report["fatal_errors"] == 0, report["errors"]
    assert report["played"] > 4
