"""What a low-latency playlist has promised it keeps: through reconnects, restarts, and without low latency at all."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest

from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import ENCODERS
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.llcheck import Playlist, Watch, parse, watch
from tests.support.packets import compare
from tests.support.players import Recording, follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FIRST = Film(seconds=30, width=192, height=108, rate=30, gop=30)
SECOND = Film(seconds=10, width=192, height=108, rate=25, gop=50)


def test_a_publisher_that_comes_back_otherwise_changes_no_promise(films: Path, tmp_path: Path) -> None:
    # MP03, LL07: other frame rate, other key frames; AVPlayer gives up for ever when a promise changes.
    FIRST.make(films)
    SECOND.make(films)
    encoder = ENCODERS["ffmpeg-current"]
    with HlsdServer(tmp_path, low_latency=True, env={"HLSD_PUBLISH__GRACE": "3"}) as server:

        async def play() -> Watch:
            playing = asyncio.ensure_future(watch(server.hls("cam"), 60))
            await asyncio.to_thread(after_segments, server, 3)
            await asyncio.to_thread(first.kill)
            with encoder.publish(SECOND, SECOND.make(films), server.rtmp("cam"), tmp_path / "second.log") as second:
                await asyncio.to_thread(second.wait, 30)
            return await playing

        with encoder.publish(FIRST, FIRST.make(films), server.rtmp("cam"), tmp_path / "first.log") as first:
            eventually_here(lambda: httpx.get(server.hls("cam"), timeout=20).status_code == httpx.codes.OK, what="it")
            seen = asyncio.run(play())
    # While nobody publishes no part comes in time (EN03): the pace is not judged here.
    assert [violation for violation in seen.violations if violation.rule != "LL20"] == []
    assert seen.playlists[-1].ended
    assert seen.looked["LL07"] > 20
    marked = [one for one in seen.playlists[-1].segments if "EXT-X-DISCONTINUITY" in one.tags]
    assert len(marked) == 1
    numbers = [playlist.first for playlist in seen.playlists]
    assert numbers == sorted(numbers)


def after_segments(server: HlsdServer, count: int) -> Playlist:
    """The first playlist with so many whole segments."""
    wait_for_playlist(server.hls("cam"))
    top = httpx.get(server.hls("cam"), timeout=20)
    variant = top.url.join(top.text.splitlines()[-1])
    now = Playlist("")

    def there() -> bool:
        nonlocal now
        now = parse(httpx.get(variant, timeout=20).text)
        return len(now.finished) >= count

    eventually_here(there, what="the segments")
    return now


@pytest.mark.parametrize("keep_state", [False, True])
def test_numbers_never_fall_even_when_the_server_forgot_everything(
    films: Path, tmp_path: Path, keep_state: bool
) -> None:
    # MP04, MP19: killed, its state deleted, back at once: a player that lives on must see nothing old.
    film = FIRST
    path = film.make(films)
    encoder = ENCODERS["ffmpeg-current"]

    server = HlsdServer(tmp_path, low_latency=True).start()
    newest = 0
    names: set[str] = set()
    for _ in range(3):
        try:
            with encoder.publish(film, path, server.rtmp("cam"), tmp_path / "encoder.log"):
                now = after_segments(server, 2)
        finally:
            server.kill()
        assert now.first > newest
        uris = {part.uri for _, _, part in now.parts()} | {one.uri for one in now.finished if one.uri}
        assert not uris & names
        newest, names = now.segments[-1].msn, names | uris
        if not keep_state:
            shutil.rmtree(tmp_path / "state", ignore_errors=True)
        server = HlsdServer(tmp_path, low_latency=True, rtmp_port=server.rtmp_port, http_port=server.http_port).start()
    server.stop()


def test_without_low_latency_the_segments_are_the_same(films: Path, tmp_path: Path) -> None:
    # `hls.low_latency=false` takes the parts away and nothing else.
    film = SECOND
    path = film.make(films)
    encoder = ENCODERS["ffmpeg-current"]
    played: dict[bool, Recording] = {}
    for low_latency in (True, False):
        folder = tmp_path / f"{low_latency}"
        with (
            HlsdServer(folder, low_latency=low_latency, env={"HLSD_PUBLISH__GRACE": "1"}) as server,
            encoder.publish(film, path, server.rtmp("cam"), folder / "encoder.log") as publishing,
        ):
            played[low_latency] = follow(server.hls("cam"), seconds=40)
            publishing.wait(20)
    plain = played[False]
    assert [one.duration for one in plain.segments] == [one.duration for one in played[True].segments]
    (one,), (other,) = played[True].packets(), plain.packets()
    assert compare(one, other) == []
    for _, text in plain.history:
        for tag in ("PART", "SERVER-CONTROL", "PRELOAD", "SKIP"):
            assert f"#EXT-X-{tag}" not in text
