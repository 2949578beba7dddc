"""Real encoders publish; every packet they sent comes out of the HLS stream, in order, once, by the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.broadcast import GRACE, Broadcast, broadcast_all
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.packets import count_frames
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

CASES = [(name, codec) for name, encoder in ENCODERS.items() for codec in sorted(encoder.codecs)]
FILMS = {"h264": Film(seconds=8), "h265": Film(seconds=8, codec="h265"), "av1": Film(seconds=8, codec="av1")}


@pytest.fixture(scope="module")
def broadcasts(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Broadcast]:
    """All encoders at once on one server."""
    folder = tmp_path_factory.mktemp("encoders")
    jobs = [
        (f"{name}-{codec}", FILMS[codec], ENCODERS[name]) for name, codec in CASES if ENCODERS[name].missing() is None
    ]
    with HlsdServer(folder, env=GRACE) as server:
        return broadcast_all(server, jobs, films, folder)


@pytest.mark.parametrize(("encoder", "codec"), CASES)
def test_every_packet_of_the_encoder_comes_through(
    broadcasts: dict[str, Broadcast], encoder: str, codec: str, tmp_path: Path
) -> None:
    # The whole point: what the camera sends is what the viewer gets.
    why = ENCODERS[encoder].missing()
    if why:
        pytest.skip(why)
    result = broadcasts[f"{encoder}-{codec}"]
    result.check(tmp_path)
    assert result.recording.suffix == (".ts" if codec == "h264" else ".mp4")


def test_ffprobe_counts_every_frame(broadcasts: dict[str, Broadcast], tmp_path: Path) -> None:
    # A decoder is a stricter reader than a demuxer.
    result = broadcasts["ffmpeg-current-h264"]
    (path,) = result.recording.save(tmp_path)
    assert count_frames(path, "ffprobe", "v") == len(result.source.video)
    assert count_frames(path, "ffprobe", "a") == len(result.source.audio)
