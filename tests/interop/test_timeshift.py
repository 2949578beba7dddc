"""Time shift of a real stream: in our page in a browser, back and to live, and by ffmpeg from one end to the other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.encoders import current_ffmpeg, endless
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import read_packets
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

FILM = Film(seconds=16, width=640, height=360)
RULES = {
    "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
    "HLSD_RECORD__MIN_FREE": "0",
    "HLSD_RECORD__ROTATE": "20",
    "HLSD_PUBLISH__GRACE": "1",
}


def sessions(server: HlsdServer) -> list[dict[str, Any]]:
    """Who watches."""
    answer = httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/sessions", headers=server.bearer, timeout=20)
    return list(answer.json()["data"]["items"])


class Looker:
    """One viewer who looks at the last hour, again and again, in one session."""

    def __init__(self, server: HlsdServer) -> None:
        self.url = f"http://127.0.0.1:{server.http_port}/live/cam/rewind-3600.m3u8?flat=1"

    def text(self) -> str:
        """The media playlist; empty where there is none yet."""
        answer = httpx.get(self.url, follow_redirects=True, timeout=20)
        if answer.status_code != 200:
            return ""
        self.url = str(answer.url)
        return answer.text


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with a stream on air that is recorded for fifty seconds, in more than one file."""
    folder = tmp_path_factory.mktemp("timeshift")
    with (
        HlsdServer(folder, env=RULES) as running,
        endless(FILM.make(films), running.rtmp("cam"), folder / "encoder.log"),
    ):
        looker = Looker(running)
        eventually_here(lambda: looker.text().count("#EXTINF") >= 7, 90, what="seven segments")
        yield running


@pytest.mark.browser
def test_the_page_goes_back_and_to_live_again_in_one_session(server: HlsdServer, tmp_path: Path) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    behind = "(Date.now() - hlsd.player.pictureDate()) / 1000"
    playing = "hlsd.player.state === 'playing'"
    live = f"hlsd.player.behind === null && {playing}"
    badge = "document.getElementById('badge').textContent"
    acts: list[dict[str, Any]] = [
        {"until": f"{playing} && !document.getElementById('timeline').hidden", "shot": str(tmp_path / "live.png")},
        {"click": [".rail", 0.15, 0.5], "until": f"{playing} && {behind} > 20", "say": behind},
        {"until": "hlsd.player.video.currentTime > 3", "shot": str(tmp_path / "behind.png"), "say": badge},
        {"key": "ArrowRight", "say": "hlsd.player.behind"},
        {"js": "document.querySelector('.rail').focus()"},
        {"key": "Home", "until": f"{playing} && {behind} > 30", "say": behind},
        {"key": "ArrowRight", "until": playing, "say": behind},
        {"click": [".timeline .live", 0.5, 0.5], "until": f"{live} && {behind} < 12", "say": behind},
    ]  # fmt: skip
    before = {one["id"] for one in sessions(server)}
    report = browsers.play(server.page("cam"), "chromium", "page", 4, acts=acts)
    assert [act["came"] for act in report["acts"]] == [True] * len(acts), report
    assert report["fatal_errors"] == 0, report["errors"]
    assert report["acts"][2]["value"] == "recorded"
    assert [line for line in report["console"] if "uncaught" in line] == []
    mine = [one for one in sessions(server) if one["id"] not in before and "Chrome" in one["user_agent"]]
    assert len(mine) == 1, mine
    assert mine[0]["protocol"] == "hls"
    assert mine[0]["segments"] > 5


@pytest.mark.browser
def test_the_bar_is_usable_on_a_phone(server: HlsdServer, tmp_path: Path) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    box = "(e) => { const b = e.getBoundingClientRect(); return [b.left, b.right, b.width, b.height]; }"
    boxes = f"Array.from(document.querySelectorAll('.rail, .timeline .live'), {box})"
    there = "!document.getElementById('timeline').hidden"
    report = browsers.play(
        server.page("cam"), "chromium", "page", 3, size=(375, 740),
        acts=[{"until": there, "say": boxes, "shot": str(tmp_path / "phone.png")}],
    )  # fmt: skip
    (act,) = report["acts"]
    assert act["came"]
    for left, right, width, height in act["value"]:
        assert left >= 0
        assert right <= 375
        assert height >= 34, "a finger hits it"
        assert width >= 60


@pytest.mark.browser
@pytest.mark.parametrize("form", ["rewind-60", "archive-{0}-now"])
def test_hls_js_plays_and_seeks_in_the_past(server: HlsdServer, form: str) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    url = f"http://127.0.0.1:{server.http_port}/live/cam/{form.format(int(time.time()) - 40)}.m3u8"
    report = browsers.play(url, "chromium", "hlsjs", 12, seek=4.0)
    assert report["media_error"] is None, report
    assert report["fatal_errors"] == 0, report["errors"]
    assert report["time"] > 8.0
    assert report["decoded"] > 50


def test_ffmpeg_reads_an_archive_to_its_end(server: HlsdServer, tmp_path: Path) -> None:
    """It spans files, begins and ends at the key pictures nearest to what was asked for."""
    since = int(time.time()) - 45
    url = f"http://127.0.0.1:{server.http_port}/live/cam/archive-{since}-30.m3u8"
    to = tmp_path / "archive.mp4"
    command = [current_ffmpeg(), "-v", "error", "-y", "-i", url, "-map", "0", "-c", "copy", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    pictures = read_packets(to).video
    assert 30 * 25 <= len(pictures) <= 34 * 25, "whole, and a GOP more at each end at most"
    assert pictures[0].key
