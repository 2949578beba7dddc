"""Ten publishers at once, MPEG-TS and fMP4 mixed, with and without parts: each decodes clean."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.support.broadcast import GRACE, broadcast_all
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]


@pytest.mark.parametrize("low_latency", [False, True])
def test_ten_publishers_at_once_come_through_whole(films: Path, tmp_path: Path, low_latency: bool) -> None:
    # Streams share an event loop and nothing else: none may show in another.
    jobs = []
    for number in range(10):
        codec: Literal["h264", "h265"] = "h265" if number % 2 else "h264"
        film = Film(seconds=10, codec=codec, b_frames=number % 4 // 2 * 2, gop=(25, 50)[number % 3 % 2])
        encoder = ENCODERS["hlsd-publish" if number in {4, 5} else "ffmpeg-current"]
        jobs.append((f"cam{number}-{codec}", film, encoder))
    with HlsdServer(tmp_path, env=GRACE, low_latency=low_latency) as server:
        results = broadcast_all(server, jobs, films, tmp_path)
    faults = {}
    for name, result in results.items():
        try:
            result.check(tmp_path / name)
        except AssertionError as error:
            faults[name] = str(error)[:500]
    assert faults == {}
    assert {result.recording.suffix for result in results.values()} == {".ts", ".mp4"}
