"""A film that was made of a file, in real players: Chromium by hls.js, and ffmpeg."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import browser as browsers
from tests.support.films import draw, with_sounds, with_text
from tests.support.server import CHECKOUT
from tests.support.vod_rig import vod_rig

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


@pytest.mark.browser
async def test_chromium_plays_and_seeks_and_ffmpeg_reads_every_picture(tmp_path: Path) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    film = draw(tmp_path / "film.mp4", size=(320, 180), seconds=20)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film)))["id"], "done")
        url = f"{rig.http.base_url}{job['places']['playlist']}"
        command = ["ffprobe", "-v", "error", "-select_streams", "v", "-count_packets", "-of", "json"]
        said = await asyncio.to_thread(subprocess.check_output, [*command, "-show_streams", url], timeout=60)
        (stream,) = json.loads(said)["streams"]
        assert int(stream["nb_read_packets"]) == 500
        report = await browsers.play_async(url, "chromium", "hlsjs", 8, seek=14.0)
        assert report["fatal_errors"] == 0
        assert report["played"] > 4
        assert (report["width"], report["height"]) == (320, 180)


LISTEN = """
const video = document.querySelector("video"), heard = new AudioContext(), ears = heard.createAnalyser();
ears.fftSize = 8192;
video.muted = false;
heard.createMediaElementSource(video).connect(ears);
ears.connect(heard.destination);
heard.resume();
window.pitch = () => {
  const levels = new Float32Array(ears.frequencyBinCount);
  ears.getFloatFrequencyData(levels);
  return levels.indexOf(Math.max(...levels)) * heard.sampleRate / ears.fftSize;
};
"""


@pytest.mark.browser
async def test_hls_js_changes_the_language_and_the_other_one_is_heard(tmp_path: Path) -> None:
    """By what the browser's own ears tell: each language is a tone of its own."""
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    tones = [(440, "aac", "eng"), (880, "ac3", "deu")]
    film = with_sounds(draw(tmp_path / "bare.mp4", audio="", size=(320, 180), seconds=30), tmp_path / "a.mkv", tones)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), renditions=["240p", "sd"]))["id"], "done")
        acts: list[dict[str, Any]] = [{"js": f"(() => {{ {LISTEN} }})()", "until": "Math.abs(pitch() - 440) < 12"}]
        acts[0]["say"] = "hls.audioTracks.map((one) => [one.name, one.lang])"
        for at, hertz in ((1, 880), (0, 440), (1, 880)):
            acts.append({"js": f"void (hls.audioTrack = {at})", "until": f"Math.abs(pitch() - {hertz}) < 12"})
            acts[-1]["say"] = "[pitch(), document.querySelector('video').currentTime]"
        report = await browsers.play_async(
            f"{rig.http.base_url}{job['places']['playlist']}", "chromium", "hlsjs", 4, acts=acts
        )
        assert report["acts"][0]["value"] == [["eng", "eng"], ["deu", "deu"]]
        assert [one["came"] for one in report["acts"]] == [True] * 4, report["acts"]
        assert report["fatal_errors"] == 0
        assert report["errors"] == []


@pytest.mark.browser
async def test_the_page_uploads_over_a_cut_shows_plays_and_deletes(tmp_path: Path) -> None:
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    program = browsers.executable("chromium")
    assert program is not None
    draw(tmp_path / "bare.mp4", audio="", size=(320, 180), seconds=6)
    with_sounds(tmp_path / "bare.mp4", tmp_path / "heard.mp4", [(440, "aac", "eng"), (880, "aac", "deu")])
    film = with_text(tmp_path / "heard.mp4", tmp_path / "film.mkv")
    async with vod_rig(tmp_path) as rig:
        rig.work()
        token = (tmp_path / "state" / "api.token").read_text().strip()
        page = str(rig.http.base_url).rstrip("/") + "/vod"
        command = ["node", str(browsers.WEB / "films.mjs"), program, page, token, str(film), str(tmp_path / "page.png")]
        said = json.loads(await asyncio.to_thread(subprocess.check_output, command, timeout=250))
        assert (said["errors"], said["failed"], said["cut"]) == ([], [], 1)
        assert said["title"] == "film.mkv"
        assert said["texts"] == ["eng"], "among the player's own controls"
        assert said["cues"] == ["Hello\nthere"]
        assert said["sounds"] == ["Sound", "Sound 2"]
        assert f'"{said["key"]}"' in (CHECKOUT / "hlsd/console/files/api.js").read_text()  # the console's own
        assert rig.films() == []
