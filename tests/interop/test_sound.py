"""Encoders that speak anything but AAC publish by RTMP; players of HLS hear it where they see it.

`HLSD_LONG=1` plays ten minutes in place of twenty seconds: what drifts shows at the end.
"""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support import gears
from tests.support.broadcast import GRACE
from tests.support.clicks import BY_FOURCC, ClickFilm, Heard, heard_file, name_of
from tests.support.encoders import Publishing, current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.hlscheck import check_recording
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer
from tests.support.signals import send

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(240 if not gears.LONG else 1_000),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]

SECONDS = gears.CLICKS.now()
CODECS = ("speex", "nellymoser-11", "g711a", "g711u-44-stereo", "mp3", "opus")
LATE = ("TS16",)
"""Sound that is encoded comes later than its picture, by more than a frame on a busy machine: it then is in the next
segment, as that of any sender whose sound is late."""
KILLED = "g711a-16"
"""Under this one the sound process is killed; it comes after the others."""


@dataclass(slots=True)
class Played:
    """What a player of one stream got, and what the API said of it meanwhile."""

    recording: Recording
    said: dict[str, object]


def play(server: HlsdServer, codec: str, films: Path, folder: Path) -> Played:
    """Publishes a film with ffmpeg at its own pace, and plays it to its end."""
    film = ClickFilm(codec, SECONDS).make(films)
    ffmpeg = current_ffmpeg() if codec in BY_FOURCC else "ffmpeg"
    command = [ffmpeg, "-v", "error", "-nostdin", "-re", "-i", str(film), "-c", "copy", "-f", "flv", server.rtmp(codec)]
    played = Played(Recording(), {})
    with ThreadPoolExecutor(1) as player, Publishing(command, folder / f"{codec}.log") as encoder:
        done = player.submit(follow, server.hls(codec), seconds=SECONDS + 40, recording=played.recording)
        eventually_here(lambda: played.recording.segments or done.done(), 60)
        address = f"http://127.0.0.1:{server.http_port}/api/v1/streams/live/{codec}"
        played.said = httpx.get(address, headers=server.bearer).json()["data"]
        encoder.wait(SECONDS + 60)
        done.result()
    return played


@pytest.fixture(scope="module")
def plays(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """All of them at once on one server."""
    folder = tmp_path_factory.mktemp("sound")
    for codec in CODECS:
        ClickFilm(codec, SECONDS).make(films)
    with HlsdServer(folder, env=GRACE) as server, ThreadPoolExecutor(len(CODECS)) as pool:
        started = {codec: pool.submit(play, server, codec, films, folder) for codec in CODECS}
        return {codec: one.result() for codec, one in started.items()}


def listen(recording: Recording, folder: Path) -> Heard:
    (path,) = recording.save(folder)
    return heard_file(path)


@pytest.mark.alone  # how soon segments come is judged too, with six encoders at once
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_heard_is_in_time_from_the_first_second_to_the_last(
    plays: dict[str, Played], codec: str, tmp_path: Path
) -> None:
    played = plays[codec]
    assert played.said["converted"] == [name_of(codec)]
    assert played.said["dropped"] == []
    assert not played.recording.faults
    assert not check_recording(played.recording, LATE)
    apart = listen(played.recording, tmp_path).apart()
    assert len(apart) >= SECONDS - 3
    near = 0.025 if codec == "speex" else 0.010
    assert max(map(abs, apart[:3] + apart[-3:])) <= near, apart
    assert max(map(abs, apart)) <= near, apart


def test_a_killed_sound_process_costs_no_picture_and_little_sound(films: Path, tmp_path: Path) -> None:
    """It is begun again at once; pictures go on meanwhile as if nothing were."""
    film = ClickFilm(KILLED, SECONDS).make(films)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", str(film), "-c", "copy", "-f", "flv"]
    recording = Recording()
    with HlsdServer(tmp_path, env=GRACE) as server, ThreadPoolExecutor(1) as player:
        with Publishing([*command, server.rtmp("cut")], tmp_path / "cut.log") as encoder:
            done = player.submit(follow, server.hls("cut"), seconds=SECONDS + 40, recording=recording)
            eventually_here(lambda: len(recording.segments) >= 2 or done.done(), 60)
            send(_child_of(server.process.pid), signal.SIGKILL)
            encoder.wait(SECONDS + 60)
            done.result()
        assert server.logs().count("sound process ended") == 1
    assert not recording.faults
    assert not check_recording(recording, LATE)
    heard = listen(recording, tmp_path)
    assert len(heard.flashes) >= SECONDS - 2
    missing = [flash for flash in heard.flashes if min(abs(click - flash) for click in heard.clicks) > 0.010]
    assert len(missing) <= 5, "five seconds, on a machine that has much else to do"


def _child_of(pid: int) -> int:
    """The sound process of a server (proc(5))."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if b"hlsd.sound.worker" in Path(f"/proc/{child}/cmdline").read_bytes())
