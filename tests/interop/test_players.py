"""ffmpeg and ffprobe, old and new, play the live stream over HTTP to its end without a complaint."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.broadcast import GRACE
from tests.support.encoders import ENCODERS, current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import read_packets
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILMS = {"h264": Film(seconds=10, b_frames=2), "h265": Film(seconds=10, codec="h265")}


def play(program: str, url: str) -> tuple[int, str, int]:
    """Exit status, complaints and decoded frames of a program that plays to the end."""
    if program.endswith("ffprobe"):
        command = [program, "-v", "error", "-live_start_index", "0", "-count_frames", "-select_streams", "v:0"]
        command += ["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", url]
    else:
        command = [program, "-v", "error", "-xerror", "-live_start_index", "0", "-i", url]
        command += ["-progress", "pipe:1", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    numbers = [word.strip(",").removeprefix("frame=") for word in done.stdout.split()]
    frames = [int(word) for word in numbers if word.isdigit()]
    return done.returncode, done.stderr.strip(), (max(frames) if frames else 0)


@pytest.mark.parametrize(("codec", "low_latency"), [("h264", False), ("h265", False), ("h264", True)])
def test_players_decode_every_frame_of_the_live_stream(
    films: Path, tmp_path: Path, codec: str, low_latency: bool
) -> None:
    # They poll as they like and demux as they like: the server must suit them, not our own follower.
    found = [program for program in (system_ffmpeg(), shutil.which("ffprobe"), current_ffmpeg()) if program]
    film = FILMS[codec]
    path = film.make(films)
    wanted = len(read_packets(path).video)
    with HlsdServer(tmp_path, env=GRACE, low_latency=low_latency) as server, ThreadPoolExecutor(4) as pool:
        encoder = ENCODERS["ffmpeg-current"]
        with encoder.publish(film, path, server.rtmp("cam"), tmp_path / "encoder.log") as publishing:
            eventually_here(
                lambda: httpx.get(server.hls("cam"), timeout=20).status_code == httpx.codes.OK, what="the playlist"
            )
            results = dict(zip(found, pool.map(lambda program: play(program, server.hls("cam")), found), strict=True))
            publishing.wait(30)
    assert results == dict.fromkeys(found, (0, "", wanted))
