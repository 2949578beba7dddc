"""Real players see timed metadata and date ranges at the time of the frames that they belong to."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.encoders import current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.server import HlsdServer
from tests.support.splices import INSERT_OUT
from tests.support.talking import Talking

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

FILM = Film(seconds=20, width=320, height=180, rate=30, gop=30)
NEAR = 0.05
"""Seconds by which a cue may be off the frame that it was said with."""


@pytest.fixture(scope="module", params=["auto", "fmp4"])
def server(
    request: pytest.FixtureRequest, films: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HlsdServer]:
    """A server on which somebody publishes and talks: MPEG-TS, and fMP4."""
    folder = tmp_path_factory.mktemp(request.param)
    env = {
        "HLSD_HLS__CONTAINER": request.param,
        "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_PUBLISH__GRACE": "1",
    }
    with (
        HlsdServer(folder, env=env, low_latency=True) as running,
        Talking(FILM.make(films), running.http_port, "cam", 20_000),
    ):
        seen = follow(running.hls("cam"), seconds=30, until=lambda one: len(one.segments) >= 4)
        assert seen.faults == []
        yield running


def said(text: str) -> dict[str, float]:
    """The JSON of a frame."""
    found = re.search(r"\{.*\}", text)
    assert found is not None, text
    value: dict[str, float] = json.loads(found[0])
    return value


def off(start: float, at: float, fragment: float) -> float:
    """How far a cue is off its frame: segments begin at whole seconds of the film, as things are said at 0.3 s."""
    apart = (start - fragment - at / 1000) % 1
    return min(apart, 1 - apart)


@pytest.mark.browser
def test_hls_js_shows_what_was_said_with_its_frame(server: HlsdServer) -> None:
    """Cues of a text track, and FRAG_PARSING_METADATA; each thing once; a break by its date range."""
    if why := browsers.missing():
        pytest.skip(why)
    url = f"http://127.0.0.1:{server.http_port}/api/v1/streams/live/cam/marker"
    marked = httpx.post(url, headers=server.bearer, json={"scte35": INSERT_OUT, "id": "break-1"})
    assert marked.status_code == httpx.codes.OK, marked.text
    report = browsers.play(server.hls("cam"), "chromium", "hlsjs", 9)
    timed = report["timed"]
    assert report["fatal_errors"] == 0, report["errors"]
    starts = [one["start"] for one in timed["fragments"]]
    cues = [one for one in timed["cues"] if one.get("info") == "onTextData"]
    assert len(cues) >= 5
    assert {one["key"] for one in cues} == {"TXXX"}
    values = [said(one["data"]) for one in cues]
    assert [value["n"] for value in values] == sorted({value["n"] for value in values}), "each once, in order"
    for cue, value in zip(cues, values, strict=True):
        assert off(cue["start"], value["at"], starts[-1]) < NEAR, (cue, starts)
    assert len({said(one["text"])["n"] for one in timed["told"]}) == len(timed["told"]) >= len(cues)
    (told,) = [one for one in timed["ranges"] if one["id"] == "break-1"]
    assert told["attributes"]["SCTE35-OUT"].startswith("0xFC302F")
    assert abs(told["start"] - timed["fragments"][-1]["date"]) < 20_000


@pytest.mark.browser
def test_shaka_player_hears_it_too(server: HlsdServer) -> None:
    if why := browsers.missing():
        pytest.skip(why)
    # Of fMP4 it passes emsg on only where it is told to: HLS does not announce them.
    config = {"mediaSource": {"dispatchAllEmsgBoxes": True}}
    report = browsers.play(server.hls("cam"), "chromium", "shaka", 9, config=config)
    assert report["fatal_errors"] == 0, report["errors"]
    assert len([one for one in report["timed"]["told"] if '"n":' in one["text"]]) >= 4, report["timed"]


@pytest.mark.parametrize("program", ["system", "current"])
def test_ffmpeg_reads_it_and_plays_on(server: HlsdServer, program: str) -> None:
    """MPEG-TS: as a track of timed_id3; fMP4: events are passed over, and nothing else is another frame."""
    ffmpeg = system_ffmpeg() if program == "system" else current_ffmpeg()
    if ffmpeg is None:
        pytest.skip("no ffmpeg is installed")
    plain = [ffmpeg, "-hide_banner", "-i", server.hls("cam"), "-t", "4", "-map", "0:v", "-f", "null", "-"]
    done = subprocess.run(plain, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    if "timed_id3" not in done.stderr:
        text = httpx.get(server.hls("cam"), follow_redirects=True).text
        assert "index" in text
        assert "EXT-X-MAP" in httpx.get(f"{server.hls('cam')}?flat=1", follow_redirects=True).text
        return
    command = [
        ffmpeg,
        "-v",
        "error",
        "-i",
        server.hls("cam"),
        "-t",
        "5",
        "-map",
        "0:d",
        "-c",
        "copy",
        "-f",
        "data",
        "-",
    ]
    read = subprocess.run(command, capture_output=True, timeout=60, check=False)
    # ffmpeg 5.1 takes the first five bytes of each tag for the header of a metadata access unit, which ID3 has none of.
    numbers = [said(text)["n"] for text in re.findall(r'\{"at":[^}]*\}', read.stdout.decode("latin-1"))]
    assert len(numbers) >= 2
    assert numbers == sorted(set(numbers))


@pytest.mark.browser
def test_a_recording_says_it_again(server: HlsdServer) -> None:
    """In hls.js, from the segments of its playlist, at the same frames; its date range too."""
    if why := browsers.missing():
        pytest.skip(why)
    api = f"http://127.0.0.1:{server.http_port}/api/v1"

    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{api}/records", headers=server.bearer).json()["data"]["items"]
        return found

    url = f"{api}/streams/live/cam/marker"
    httpx.post(url, headers=server.bearer, json={"scte35": INSERT_OUT, "id": f"recorded-{len(rows())}"})
    httpx.delete(f"{api}/streams/live/cam", headers=server.bearer)
    eventually_here(lambda: any(one["state"] == "done" for one in rows()), what="a finished recording")
    row = next(one for one in rows() if one["state"] == "done")
    report = browsers.play(f"http://127.0.0.1:{server.http_port}{row['url']}", "chromium", "hlsjs", 8)
    assert report["fatal_errors"] == 0, report["errors"]
    timed = report["timed"]
    cues = [one for one in timed["cues"] if one.get("info") == "onTextData"]
    assert len(cues) >= 5
    for cue in cues:
        assert off(cue["start"], said(cue["data"])["at"], timed["fragments"][0]["start"]) < NEAR, (
            cue,
            timed["fragments"],
        )
    assert any(one["id"].startswith("recorded-") for one in timed["ranges"])
