"""A pushed stream is played through the address of its rendition, and through that of before there were any."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.interop.test_players import play
from tests.support.broadcast import GRACE
from tests.support.encoders import ENCODERS, current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.packets import read_packets
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FILM = Film(seconds=10, b_frames=2)


def test_players_play_by_the_new_address_and_by_the_old_one(films: Path, tmp_path: Path) -> None:
    """Who holds a playlist of before an update of the server must see the same to its end."""
    path = FILM.make(films)
    wanted = len(read_packets(path).video)
    encoder, log = ENCODERS["ffmpeg-current"], tmp_path / "encoder.log"
    with (
        HlsdServer(tmp_path, env=GRACE, low_latency=True) as server,
        ThreadPoolExecutor(4) as pool,
        encoder.publish(FILM, path, server.rtmp("cam"), log) as publishing,
    ):
        eventually_here(
            lambda: httpx.get(server.hls("cam"), timeout=20).status_code == httpx.codes.OK, what="the playlist"
        )
        with httpx.Client(timeout=20) as client:
            new = httpx.URL(server.hls("cam")).join(client.get(server.hls("cam")).text.splitlines()[-1])
            assert new.path.endswith("/main/index.m3u8")
            old = new.copy_with(path=new.path.replace("/main/", "/"))
            one, other = client.get(new), client.get(old)
            assert one.headers["content-type"] == other.headers["content-type"]
            uri = next(line for line in one.text.splitlines() if line.startswith("#EXTINF"))
            assert uri in other.text
            segment = next(line for line in other.text.splitlines() if line and line[0] != "#")
            first, second = client.get(new.join(segment)), client.get(old.join(segment))
            assert first.status_code == httpx.codes.OK
            assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
            assert new.join(segment).path != old.join(segment).path
        urls = [server.hls("cam"), str(new), str(old)]
        programs = [program for program in (system_ffmpeg(), current_ffmpeg()) if program]
        played = [(program, url) for program in programs for url in urls]
        results = dict(zip(played, pool.map(lambda one: play(*one), played), strict=True))
        publishing.wait(30)
    assert results == dict.fromkeys(played, (0, "", wanted))
