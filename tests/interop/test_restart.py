"""A server that is killed and comes back without its memory: media sequence numbers never go back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def test_media_sequence_numbers_never_go_back(films: Path, tmp_path: Path) -> None:
    # MP04, MP19: a player that outlives the restart must neither see an old number nor an old address.
    film = Film(seconds=8)
    path = film.make(films)
    encoder = ENCODERS["ffmpeg-current"]
    server = HlsdServer(tmp_path)
    server.start()
    try:
        with encoder.publish(film, path, server.rtmp("cam"), tmp_path / "first.log"):
            first = follow(server.hls("cam"), seconds=30, until=lambda recording: len(recording.segments) >= 3)
    finally:
        server.kill()
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    again = HlsdServer(tmp_path, rtmp_port=server.rtmp_port, http_port=server.http_port)
    with again, encoder.publish(film, path, again.rtmp("cam"), tmp_path / "second.log"):
        second = follow(again.hls("cam"), seconds=30, until=lambda recording: len(recording.segments) >= 2)
    assert second.segments[0].msn > first.segments[-1].msn
    assert not {segment.uri.rpartition("~")[2].partition("/")[2] for segment in first.segments} & {
        segment.uri.rpartition("~")[2].partition("/")[2] for segment in second.segments
    }
