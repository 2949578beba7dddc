"""A stream in several renditions, in real players and before the judge: aligned, lawful, in one session."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.test_ll_directives import looping
from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.llcheck import watch
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(240)]

FILMS = {
    "cam": Film(seconds=12, width=640, height=360, rate=30, gop=30, b_frames=2),
    "hevc": Film(seconds=12, width=640, height=360, rate=25, gop=50, codec="h265"),
}
PROFILES = {
    "240p": {"height": 240, "bitrate": 500_000, "preset": "ultrafast"},
    "120p": {"height": 120, "bitrate": 200_000, "preset": "ultrafast", "fps": 15},
}
ENV = {
    "HLSD_TRANSCODE__PROFILES": json.dumps(PROFILES),
    "HLSD_TRANSCODE__RULES": json.dumps([{"match": "live/*", "profiles": list(PROFILES)}]),
    "HLSD_TRANSCODE__MAX": "2",
    "HLSD_TRANSCODE__NICE": "0",
    "HLSD_HLS__AUDIO_ONLY": "true",
}
NAMES = ["main", "240p", "120p", "audio"]
REPORT = r'#EXT-X-RENDITION-REPORT:URI="\.\./([^/]+)/index\.m3u8",LAST-MSN=(\d+),LAST-PART=\d+$'
TIMED = ("LL20", "DD16")
"""Rules of how soon, which a machine that encodes beside judges of its own cannot be held to."""


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A low-latency server with a stream of H.264 and one of H.265, each in four renditions."""
    folder = tmp_path_factory.mktemp("transcoding")
    with (
        HlsdServer(folder, low_latency=True, env=ENV) as running,
        looping(running, films, "cam", folder / "cam.log", FILMS["cam"]),
        looping(running, films, "hevc", folder / "hevc.log", FILMS["hevc"]),
    ):
        for name in FILMS:
            wait_for_playlist(running.hls(name))
        yield running


def variants(server: HlsdServer, name: str) -> dict[str, tuple[str, str]]:
    """Of a new session: each rendition's line in the multivariant playlist, and where its playlist is."""
    answer = httpx.get(server.hls(name), timeout=30)
    lines = answer.text.splitlines()
    found: dict[str, tuple[str, str]] = {}
    for about, uri in pairwise(lines):
        if about.startswith("#EXT-X-STREAM-INF"):
            found[uri.split("/")[-2]] = about, str(answer.url.join(uri))
    return found


def sessions(server: HlsdServer) -> list[dict[str, Any]]:
    """Who watches, as the API says it."""
    answer = httpx.get(
        f"http://127.0.0.1:{server.http_port}/api/v1/sessions?limit=500", headers=server.bearer, timeout=20
    )
    found: list[dict[str, Any]] = answer.json()["data"]["items"]
    return found


@pytest.mark.parametrize("name", list(FILMS))
def test_every_rendition_keeps_the_rules_and_is_what_the_multivariant_says(server: HlsdServer, name: str) -> None:
    found = variants(server, name)
    assert list(found) == NAMES
    recordings = {}
    for rendition, (about, _) in found.items():
        recordings[rendition] = Recording()
        recordings[
            rendition
        ].multivariant = f"#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n{about}\n{rendition}/index.m3u8\n"
    with ThreadPoolExecutor(len(found)) as pool:
        list(
            pool.map(
                lambda one: follow(found[one][1], seconds=14, recording=recordings[one]),
                found,
            )
        )
    # Sound is cut where pictures are, so a segment of it alone begins and ends within a frame of its own (TL09).
    loose = {"audio": {"MP13"}}
    faults = {one: check_recording(recording, loose.get(one, ())) for one, recording in recordings.items()}
    assert faults == {one: [] for one in NAMES}
    # Where renditions are cut is the same in all: number, length, date.
    seen = {one: listed(recording) for one, recording in recordings.items()}
    for one in NAMES[1:]:
        common = seen["main"].keys() & seen[one].keys()
        assert len(common) >= 6
        assert {msn: seen[one][msn] for msn in common} == {msn: seen["main"][msn] for msn in common}
    rates = {one: re.search(r"FRAME-RATE=([\d.]+)", about) for one, (about, _) in found.items()}
    assert rates["audio"] is None
    assert rates["120p"] is not None
    assert float(rates["120p"][1]) < 20


def listed(recording: Recording) -> dict[int, tuple[str, str]]:
    """Length and date of each segment of a play."""
    found: dict[int, tuple[str, str]] = {}
    for _, text in recording.history:
        first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])  # type: ignore[index]
        bodies = re.findall(r"PROGRAM-DATE-TIME:(\S+)\n(?:#(?!EXTINF)[^\n]*\n)*#EXTINF:([\d.]+)", text)
        found |= {first + number: one for number, one in enumerate(bodies)}
    return found


def test_low_latency_holds_in_each_of_them(server: HlsdServer) -> None:
    async def all_of_them() -> dict[str, list[str]]:
        seen = await asyncio.gather(*[watch(server.hls("cam"), 8.0, rendition=one) for one in NAMES])
        return {
            one: [f"{fault.rule} {fault.text}" for fault in what.violations if fault.rule not in TIMED]
            for one, what in zip(NAMES, seen, strict=True)
        }

    assert asyncio.run(all_of_them()) == {one: [] for one in NAMES}


def test_each_playlist_says_where_the_others_stand(server: HlsdServer) -> None:
    """LL21: of every other one, as of this instant."""
    for one, (_, url) in variants(server, "cam").items():
        lines = httpx.get(url, timeout=20).text.splitlines()
        told = [re.match(REPORT, line) for line in lines if line.startswith("#EXT-X-RENDITION-REPORT")]
        named = [found[1] for found in told if found]
        assert named == [name for name in ("main", "audio", *PROFILES) if name != one]
        numbers = [int(found[2]) for found in told if found]
        assert max(numbers) - min(numbers) <= 1


@pytest.mark.parametrize("name", list(FILMS))
def test_ffmpeg_plays_each_of_them(server: HlsdServer, name: str) -> None:
    programs = [one for one in (system_ffmpeg(), current_ffmpeg()) if one and not one.endswith("ffprobe")]
    for program in programs:
        for rendition, (_, url) in variants(server, name).items():
            command = [
                program,
                "-v",
                "error",
                "-xerror",
                "-i",
                url,
                "-t",
                "3",
                "-fps_mode",
                "passthrough",
                "-enc_time_base",  # else times are rounded to a rate that is guessed from the first pictures
                "1:90000",
                "-f",
                "null",
                "-",
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, ""), (program, rendition)


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
        for wanted in (120, 360, 240, 360)
    ]
    before = {one["id"] for one in sessions(server)}
    report = browsers.play(server.hls("cam"), "chromium", "hlsjs", 5.0, acts=turns)
    assert [act["came"] for act in report["acts"]] == [True] * 4, report["errors"]
    assert report["acts"][0]["value"] == [120, 240, 360], "sound alone is none of its levels"
    assert report["fatal_errors"] == 0
    mine = [one for one in sessions(server) if one["id"] not in before]
    assert len(mine) == 1
    assert set(mine[0]["renditions"]) >= {"main", "240p", "120p"}
    assert sum(mine[0]["renditions"].values()) == mine[0]["media_bytes"]


def test_the_sound_alone_is_there_for_who_asks(server: HlsdServer) -> None:
    answer = httpx.get(server.hls("cam") + "?audio=only", timeout=20)
    assert re.findall(r'CODECS="([^"]+)"', answer.text) == ["mp4a.40.2"]
    flat = httpx.get(server.hls("cam") + "?audio=only&flat=1", timeout=20)
    assert flat.headers["location"].endswith("/audio/index.m3u8")


def test_a_child_that_is_killed_costs_its_renditions_only(server: HlsdServer) -> None:
    found = variants(server, "hevc")
    url = found["240p"][1]
    children = [
        int(one) for one in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    ]
    mine = [pid for pid in children if b"hlsd.transcode.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(mine) == 2
    for pid in mine:
        os.kill(pid, signal.SIGKILL)

    def gap() -> bool:
        return "GAP" in httpx.get(url, timeout=20).text

    def well() -> bool:
        lines = httpx.get(url, timeout=20).text.splitlines()
        return not any("GAP" in line for line in lines[-12:]) and "#EXTINF" in "\n".join(lines[-12:])

    eventually_here(gap, 30, what="a gap in the rendition")
    eventually_here(well, 40, what="the rendition is back")
    assert "GAP" not in httpx.get(found["main"][1], timeout=20).text
    texts = [httpx.get(uri, timeout=20).text for _, uri in found.values()]
    first = [int(number) for text in texts for number in re.findall(r"MEDIA-SEQUENCE:(\d+)", text)]
    assert max(first) - min(first) <= 1
