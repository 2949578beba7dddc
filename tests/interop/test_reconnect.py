"""A publisher that vanishes and comes back within the grace: one discontinuity, nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.encoders import ENCODERS, current_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.packets import Packets, compare, decoding_errors, read_packets
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_publisher_that_comes_back_is_one_discontinuity(films: Path, tmp_path: Path, codec: str) -> None:
    # TL01: viewers keep their playlist; MSN goes on; only the break is marked.
    film = Film(seconds=8, codec="h265" if codec == "h265" else "h264")
    path = film.make(films)
    source = read_packets(path)
    encoder = ENCODERS["ffmpeg-current"]
    recording = Recording()
    with HlsdServer(tmp_path, env={"HLSD_PUBLISH__GRACE": "5"}) as server, ThreadPoolExecutor(1) as pool:
        played = pool.submit(follow, server.hls("cam"), seconds=60, recording=recording)
        with encoder.publish(film, path, server.rtmp("cam"), tmp_path / "first.log") as first:
            eventually_here(lambda: len(recording.segments) >= 2, what="two segments")
            first.kill()
        with encoder.publish(film, path, server.rtmp("cam"), tmp_path / "second.log") as second:
            second.wait(30)
        played.result()
    assert recording.faults == []
    assert recording.ended
    numbers = [segment.msn for segment in recording.segments]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [segment.discontinuity for segment in recording.segments].count(True) == 1
    before, after = recording.packets()
    assert compare(source, after) == []
    # What was sent before the cut is the film's beginning, no more and no less.
    whole = Packets(source.codec, source.size, source.video[: len(before.video)], source.audio[: len(before.audio)])
    assert compare(whole, before) == []
    assert len(before.video) >= 2 * film.gop
    for one in recording.save(tmp_path / "played"):
        assert decoding_errors(one, current_ffmpeg()) == ""
    # MP09 cannot hold while nobody publishes (EN03).
    assert check_recording(recording, ignore={"MP09"}) == []
