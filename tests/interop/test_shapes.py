"""Streams of every shape: without sound, without picture, with B-frames, with key frames too often and too rarely."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.broadcast import GRACE, Broadcast, broadcast_all
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.playlistcheck import parse_media
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(240)]  # how soon segments come is judged too

SHAPES = {
    "audio-only": Film(seconds=8, codec=None),
    "video-only": Film(seconds=8, audio=False),
    "hevc-video-only": Film(seconds=8, codec="h265", audio=False),
    "b-frames": Film(seconds=8, b_frames=2),
    "hevc-b-frames": Film(seconds=8, codec="h265", b_frames=2),
    "gop-0.5s": Film(seconds=8, rate=30, gop=15),
    "gop-1.5s": Film(seconds=9, rate=30, gop=45),
    "gop-3s": Film(seconds=12, gop=75),
    "gop-8s": Film(seconds=24, gop=200),
    "hevc-gop-3s": Film(seconds=12, codec="h265", gop=75),
}


def sent(container: str, shape: str) -> bool:
    """Whether the shape is worth sending: H.265 is fMP4 in any case."""
    return container == "auto" or SHAPES[shape].codec != "h265"


@pytest.fixture(scope="module")
def sending(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Broadcast]]:
    """Sends all shapes at once to one server of a container, the first time that it is asked."""

    @cache
    def all_at_once(container: str) -> dict[str, Broadcast]:
        folder = tmp_path_factory.mktemp(f"shapes-{container}")
        jobs = [(name, film, ENCODERS["ffmpeg-current"]) for name, film in SHAPES.items() if sent(container, name)]
        with HlsdServer(folder, env={**GRACE, "HLSD_HLS__CONTAINER": container}) as server:
            return broadcast_all(server, jobs, films, folder)

    return all_at_once


@pytest.fixture(params=["auto", "fmp4"])
def broadcasts(request: pytest.FixtureRequest, sending: Callable[[str], dict[str, Broadcast]]) -> dict[str, Broadcast]:
    """What became of all shapes; "fmp4" sends H.264 through the other muxer too.

    The parameter of a wider scope would be set up anew for each shape, since every pair is a parameter of its own.
    """
    found: dict[str, Broadcast] = sending(request.param)
    return found


@pytest.mark.parametrize(
    ("broadcasts", "shape"),
    [(container, name) for container in ("auto", "fmp4") for name in SHAPES if sent(container, name)],
    indirect=["broadcasts"],
)
def test_every_packet_of_the_shape_comes_through(broadcasts: dict[str, Broadcast], shape: str, tmp_path: Path) -> None:
    # Each shape is somebody's camera.
    broadcasts[shape].check(tmp_path)


@pytest.mark.parametrize(
    ("shape", "length", "target"),
    [("gop-0.5s", 2.0, 2), ("gop-1.5s", 3.0, 3), ("gop-3s", 3.0, 3), ("gop-8s", 8.0, 8), ("b-frames", 2.0, 2)],
)
def test_segments_are_whole_groups_of_pictures(
    broadcasts: dict[str, Broadcast], shape: str, length: float, target: int
) -> None:
    # hls-rules TL05: the target duration is measured before the first playlist and then never passed.
    result = broadcasts[shape]
    if result.error:
        raise result.error
    durations = [segment.duration for segment in result.recording.segments]
    assert durations[:-1] == pytest.approx([length] * (len(durations) - 1), abs=0.045)
    assert {parse_media(text).target for _, text in result.recording.history} == {target}


def test_the_multivariant_lists_only_what_is_there(broadcasts: dict[str, Broadcast]) -> None:
    # MV03: a codec that is announced and does not come leaves players waiting.
    sound = broadcasts["audio-only"].recording.multivariant
    assert 'CODECS="mp4a.40.2"' in sound
    assert "RESOLUTION" not in sound
    assert "mp4a" not in broadcasts["video-only"].recording.multivariant
