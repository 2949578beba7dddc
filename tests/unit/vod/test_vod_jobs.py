"""Jobs from asking to watching: a server in this loop, a worker as a process, films that were drawn here."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import av
import pytest

from tests.support.eventually import eventually
from tests.support.films import draw
from tests.support.server import CHECKOUT
from tests.support.vod_rig import VodRig, children_of, is_there, vod_rig, watch

pytestmark = pytest.mark.thorough


def told(rig: VodRig) -> list[tuple[object, object]]:
    """Which jobs were told of as over, and how they ended."""
    events = rig.server.notify.ring.after(0, 500)[0]
    return [(one["id"], one["reason"]) for one in events if one["action"] == "jobDone"]


async def test_a_film_on_disk_is_played_bit_for_bit_and_deleted_without_a_trace(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", seconds=8)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), title="a film", covers=["1", "50%"]))["id"], "done")
        (made,) = job["renditions"]
        assert (made["name"], made["copied"], made["width"], made["height"]) == ("sd", True, 128, 96)
        assert made["codecs"].startswith("avc1.")
        assert made["codecs"].endswith(",mp4a.40.2")
        assert abs(job["duration_ms"] - 8000) < 100
        assert await watch(rig, job["places"]["playlist"]) == {f"{made['file']}.m3u8": 200}
        whole = await rig.http.get(job["places"]["files"]["sd"], follow_redirects=True)
        copy: Any = av.open(io.BytesIO(whole.content))
        source: Any = av.open(str(film))
        assert [bytes(one) for one in copy.demux(video=0)] == [bytes(one) for one in source.demux(video=0)]
        # Sound begins a frame before the pictures, as in the source: they stand against one another as they did
        begins = [one.start_time * one.time_base for one in (copy.streams.video[0], copy.streams.audio[0])]
        began = [one.start_time * one.time_base for one in (source.streams.video[0], source.streams.audio[0])]
        assert abs((begins[0] - begins[1]) - (began[0] - began[1])) < 0.03
        copy.close()
        source.close()
        assert len(job["places"]["covers"]) == 2
        for cover in job["places"]["covers"]:
            picture = await rig.http.get(cover)
            assert (picture.status_code, picture.content[:2]) == (200, b"\xff\xd8")
        assert film.exists()
        await eventually(lambda: told(rig) == [(job["id"], "done")], what="one event")
        (tmp_path / "state/vod/2001").mkdir()
        (tmp_path / "state/vod/2001/other").write_text("stays")
        assert (await rig.http.delete(f"/api/v1/jobs/{job['id']}")).status_code == 200
        assert rig.films() == ["2001/other"]
        assert film.exists()
        assert (await rig.http.get(job["places"]["playlist"])).status_code == 404
        assert (await rig.http.get(job["places"]["covers"][0])).status_code == 404


@pytest.mark.parametrize(
    ("name", "video", "audio", "size"),
    [
        ("a.webm", "libvpx-vp9", "libopus", (161, 91)),
        ("b.mkv", "libx264", "libmp3lame", (128, 96)),
        ("c.mp4", "", "aac", (0, 0)),
    ],
)
async def test_what_players_cannot_play_is_made_anew(
    tmp_path: Path, name: str, video: str, audio: str, size: tuple[int, int]
) -> None:
    film = draw(tmp_path / name, video=video, audio=audio, size=size, seconds=3)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film)))["id"], "done")
        (made,) = job["renditions"]
        assert "mp4a.40.2" in made["codecs"]
        assert made["copied"] == (video == "libx264")
        assert abs(job["duration_ms"] - 3000) < 150
        if video:
            assert await watch(rig, job["places"]["playlist"]) == {f"{made['file']}.m3u8": 75}
            assert made["width"] % 2 == 0


async def test_renditions_have_their_key_pictures_at_the_same_instants(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", size=(1280, 720), seconds=2, audio="")
    async with vod_rig(tmp_path, preset="ultrafast") as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), renditions=["sd", "hd"], covers=[]))["id"], "done")
        keys = []
        for path in job["places"]["files"].values():
            body = (await rig.http.get(path, follow_redirects=True)).content
            one: Any = av.open(io.BytesIO(body))
            keys.append([packet.pts * packet.time_base for packet in one.demux(video=0) if packet.is_keyframe])
            one.close()
        assert len(keys) == 2
        assert keys[0] == keys[1]
        assert len(keys[0]) >= 2


@pytest.mark.parametrize("what", ["empty", "text", "cut", "concat"])
async def test_what_is_no_film_fails_in_words(tmp_path: Path, what: str) -> None:
    whole = draw(tmp_path / "whole.mp4").read_bytes()
    octets = {
        "empty": b"",
        "text": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "cut": whole[: len(whole) // 2],
        "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    }[what]
    (tmp_path / "bad.mp4").write_bytes(octets)
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(tmp_path / "bad.mp4")))["id"], "failed")
        assert job["code"] == "bad_media"
        assert job["error"]
        assert rig.films() == []


async def test_a_job_that_is_cancelled_is_over_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.webm", video="libvpx-vp9", audio="", size=(640, 480), seconds=8)
    async with vod_rig(tmp_path, preset="slow") as rig:
        worker = rig.work()
        ident = (await rig.add(file=str(film)))["id"]
        await rig.until(ident, "running")
        await eventually(lambda: bool(children_of(worker.pid)), what="a media process")
        children = children_of(worker.pid)
        asked = time.time()
        assert (await rig.http.delete(f"/api/v1/jobs/{ident}")).json()["data"]["state"] == "running"
        job = await rig.until(ident, "cancelled", within=10)
        assert job["code"] == "cancelled"
        took = job["endtime"] / 1000 - asked
        assert took < 5.0, "two seconds, and what a loaded machine adds"
        assert not any(map(is_there, children))
        assert rig.films() == []


async def test_a_job_goes_on_where_its_worker_was_killed_and_is_done_once(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", seconds=3)
    async with vod_rig(tmp_path) as rig:
        ident = (await rig.add(file=str(film)))["id"]
        worker = rig.work()
        for step, how, status in (("probe", signal.SIGTERM, 0), ("make", signal.SIGKILL, -signal.SIGKILL)):

            async def at(step: str = step) -> bool:
                job = await rig.job(ident)
                return bool(job["step"] == step or job["state"] == "done")

            await eventually(at, 60, f"the step {step}")
            os.kill(worker.pid, how)
            assert worker.wait(10) == status
            worker = rig.work()
        job = await rig.until(ident, "done")
        assert await watch(rig, job["places"]["playlist"]) == {f"{job['renditions'][0]['file']}.m3u8": 75}
        assert not [name for name in rig.films() if ".tmp" in name]
        await eventually(lambda: told(rig) == [(ident, "done")], what="one event")


async def test_a_film_has_thumbnails_that_go_with_it(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", seconds=8, audio="")
    async with vod_rig(tmp_path) as rig:
        rig.work()
        job = await rig.until((await rig.add(file=str(film), covers=[]))["id"], "done")
        cues = await rig.http.get(
            job["places"]["playlist"].replace("index.m3u8", f"{job['id']}0.vtt"), follow_redirects=True
        )
        assert cues.text.startswith("WEBVTT")
        sheet = next(line for line in cues.text.splitlines() if ".jpg#xywh=" in line).partition("#")[0]

        async def made() -> bool:
            answer = await rig.http.get(urljoin(str(cues.url), sheet))
            return answer.status_code == 200 and answer.content[:2] == b"\xff\xd8"

        await eventually(made, 60, "a sheet of thumbnails")
        await eventually(lambda: any(".mp4.d/" in name for name in rig.films()), what="the sheet is kept")
        assert (await rig.http.delete(f"/api/v1/jobs/{job['id']}")).status_code == 200
        assert rig.films() == []


async def test_the_command_adds_shows_and_removes(tmp_path: Path) -> None:
    film = draw(tmp_path / "film.mp4", seconds=1)
    async with vod_rig(tmp_path) as rig:
        rig.work()

        async def hlsd(*arguments: str) -> subprocess.CompletedProcess[str]:
            env = os.environ | {"HLSD_URL": str(rig.http.base_url), "COLUMNS": "220"}
            command = [sys.executable, "-m", "hlsd", "jobs", *arguments, "--state-dir", str(tmp_path / "state")]
            return await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False, timeout=100, env=env, cwd=CHECKOUT
            )

        added = await hlsd("add", str(film), "--title", "by hand", "--watch")
        assert added.returncode == 0, added.stderr
        ident = added.stdout.split("/")[2]
        assert added.stdout.strip() == f"/vod/{ident}/v/index.m3u8"
        listed = await hlsd("list", "--json")
        (row,) = map(json.loads, listed.stdout.splitlines())
        assert (row["id"], row["state"], row["title"]) == (ident, "done", "by hand")
        assert "by hand" in (await hlsd("list")).stdout
        failed = await hlsd("add", str(tmp_path / "none.mp4"), "--watch")
        assert failed.returncode == 1
        assert "cannot be read" in failed.stderr
        assert (await hlsd("cancel", ident)).returncode == 1
        assert (await hlsd("remove", ident)).stdout == f"{ident}: deleted\n"
        assert rig.films() == []
