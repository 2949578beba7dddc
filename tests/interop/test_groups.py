"""Streams of one encoder that are joined, before the judge and in real players: aligned, lawful, in one session."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.test_transcoding import listed
from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import Publishing, current_ffmpeg
from tests.support.footage import Film
from tests.support.gears import LONG
from tests.support.hlscheck import check_recording
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(900 if LONG else 200)]

FILMS = {
    "large": Film(seconds=8, width=256, height=144, rate=30, gop=30),
    "small": Film(seconds=8, width=128, height=96, rate=30, gop=30),
    "hevc": Film(seconds=8, width=192, height=108, rate=30, gop=30, codec="h265"),
}
SIZES = {"large": "256x144", "small": "128x96", "hevc": "192x108"}
ENV = {"HLSD_HLS__GROUPS": json.dumps([{"match": "live/*", "members": list(FILMS)}])}


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A low-latency server to which one ffmpeg sends three streams of the same moments."""
    folder = tmp_path_factory.mktemp("groups")
    with HlsdServer(folder, low_latency=True, env=ENV) as running:
        command = [current_ffmpeg(), "-v", "warning", "-nostdin"]
        for film in FILMS.values():
            command += ["-re", "-stream_loop", "-1", "-i", str(film.make(films))]
        for number, name in enumerate(FILMS):
            command += ["-map", str(number), "-c", "copy", "-f", "flv", running.rtmp(f"cam_{name}")]
        with Publishing(command, folder / "cam.log"):
            wait_for_playlist(running.hls("cam"))
            yield running


def variants(server: HlsdServer) -> dict[str, tuple[str, str]]:
    """Of a new session: each member's line in the multivariant playlist, and where its playlist is."""
    answer = httpx.get(server.hls("cam"), timeout=30)
    found: dict[str, tuple[str, str]] = {}
    for about, uri in pairwise(answer.text.splitlines()):
        if about.startswith("#EXT-X-STREAM-INF"):
            found[uri.split("/")[-2]] = about, str(answer.url.join(uri))
    return found


def sessions(server: HlsdServer) -> list[dict[str, Any]]:
    """Who watches, as the API says it."""
    url = f"http://127.0.0.1:{server.http_port}/api/v1/sessions?limit=500"
    found: list[dict[str, Any]] = httpx.get(url, headers=server.bearer, timeout=20).json()["data"]["items"]
    return found


def test_three_members_keep_the_rules_together(server: HlsdServer) -> None:
    """Ten minutes of it with HLSD_LONG=1."""
    found = variants(server)
    assert list(found) == list(FILMS)
    for name, (about, _) in found.items():
        assert f"RESOLUTION={SIZES[name]}" in about
        assert ('CODECS="hvc1' in about) == (name == "hevc")
        assert re.search(r"BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,.*FRAME-RATE=(29\.9|30\.0)", about)
    recordings = {name: Recording() for name in found}
    for name, recording in recordings.items():
        head = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        recording.multivariant = f"{head}{found[name][0]}\n{name}/index.m3u8\n"
    with ThreadPoolExecutor(len(found)) as pool:
        list(pool.map(lambda one: follow(found[one][1], seconds=600 if LONG else 12, recording=recordings[one]), found))
    # TS09: where ffmpeg begins the films anew it leaves out as much as an AAC frame lasts.
    faults = {one: check_recording(recording, {"TS09"}) for one, recording in recordings.items()}
    assert faults == {one: [] for one in FILMS}
    seen = {one: listed(recording) for one, recording in recordings.items()}
    for one in ("small", "hevc"):
        common = seen["large"].keys() & seen[one].keys()
        assert len(common) >= 5
        assert {msn: seen[one][msn] for msn in common} == {msn: seen["large"][msn] for msn in common}
    last = recordings["small"].history[-1][1]
    assert re.findall(r'RENDITION-REPORT:URI="\.\./(\w+)/index', last) == ["large", "hevc"]


def test_a_client_that_changes_is_one_session_with_its_bytes_by_member(server: HlsdServer) -> None:
    before = {one["id"] for one in sessions(server)}
    found = variants(server)
    had = dict.fromkeys(found, 0)
    with httpx.Client(timeout=30) as client:
        for name in ("large", "small", "hevc", "small"):
            playlist = client.get(found[name][1])
            for uri in [line for line in playlist.text.splitlines() if line and line[0] != "#"][-2:]:
                had[name] += len(client.get(playlist.url.join(uri)).content)
    mine = [one for one in sessions(server) if one["id"] not in before]
    assert len(mine) == 1
    assert mine[0]["name"] == "cam"
    assert mine[0]["renditions"] == had
    assert mine[0]["media_bytes"] == sum(had.values())


def test_ffmpeg_plays_each_of_them(server: HlsdServer) -> None:
    for name, (_, url) in variants(server).items():
        command = [current_ffmpeg(), "-v", "error", "-xerror", "-i", url, "-t", "2", "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (name, done.stderr)


@pytest.mark.browser
def test_hls_js_changes_down_and_up_in_one_session(server: HlsdServer) -> None:
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    height = "document.querySelector('video').videoHeight"
    turns = [
        {
            "js": f"hls.nextLevel = hls.levels.findIndex((one) => one.height === {wanted})",
            "until": f"{height} === {wanted}",
            "say": "hls.levels.map((one) => one.height).sort((a, b) => a - b)",
        }
        for wanted in (96, 144, 96)
    ]
    before = {one["id"] for one in sessions(server)}
    report = browsers.play(server.hls("cam"), "chromium", "hlsjs", 5.0, acts=turns)
    assert [act["came"] for act in report["acts"]] == [True] * 3, report["errors"]
    assert report["fatal_errors"] == 0
    mine = [one for one in sessions(server) if one["id"] not in before]
    assert len(mine) == 1
    assert set(mine[0]["renditions"]) >= {"large", "small"}
    assert sum(mine[0]["renditions"].values()) == mine[0]["media_bytes"]
