"""Enhanced RTMP as ffmpeg 9 speaks it: AV1 to every way out and through relays, several tracks in a publication."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import httpx
import pytest

from hlsd.relay.service import RelayService
from tests.interop.test_flv_viewers import assert_copied, flv_url, on_air
from tests.interop.test_relay_peers import static
from tests.support.broadcast import GRACE
from tests.support.encoders import Publishing, current_ffmpeg
from tests.support.eventually import eventually, eventually_here
from tests.support.footage import Film
from tests.support.hlscheck import check_recording
from tests.support.packets import compare, read_packets
from tests.support.players import follow
from tests.support.relay_peers import edge
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

AV1 = Film(seconds=6, gop=25, codec="av1")


def test_ffmpeg_copies_av1_from_flv_and_rtmp(films: Path, tmp_path: Path) -> None:
    # FourCC av01 on both; a viewer who asks for the legacy marking gets it too, since AV1 has none.
    with on_air((films, tmp_path), AV1) as (server, source):
        ways = {"rtmp.mkv": server.rtmp("cam"), "http.mkv": flv_url(server), "12.mkv": flv_url(server) + "?codecid=12"}
        running = [
            subprocess.Popen([current_ffmpeg(), "-v", "error", "-y", "-i", url, "-c", "copy", str(tmp_path / name)])
            for name, url in ways.items()
        ]
        assert [one.wait(60) for one in running] == [0, 0, 0]
    for name in ways:
        assert_copied(source, tmp_path / name)


async def test_av1_goes_through_relays(films: Path, tmp_path: Path) -> None:
    """From a file, by push, by pull over RTMP and HTTP-FLV: two servers of ours in a chain."""
    film = AV1.make(films)
    async with contextlib.AsyncExitStack() as stack:
        two = await stack.enter_async_context(edge(tmp_path / "two", [], server__id="two"))
        push = {"mode": "push", "match": "live/*", "url": f"rtmp://127.0.0.1:{two.services['rtmp'].port}/{{path}}"}
        rules: list[dict[str, object]] = [static("film", f"file:{film}"), {**push, "backoff": [0.1, 0.5]}]
        one = await stack.enter_async_context(edge(tmp_path / "one", rules, server__id="one"))
        origin = (f"rtmp://127.0.0.1:{one.services['rtmp'].port}", f"http://127.0.0.1:{one.services['http'].port}")
        pulls: list[dict[str, object]] = [
            static("rtmp", f"{origin[0]}/live/film"),
            static("flv", f"{origin[1]}/live/film.flv"),
        ]
        three = await stack.enter_async_context(edge(tmp_path / "three", pulls, server__id="three"))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        relays = three.services["relay"]
        assert isinstance(relays, RelayService)
        await eventually(lambda: two.hub.find("live", "film") is not None)
        await eventually(lambda: len([pull for pull in relays.pulls.values() if pull.active]) == 2, 30)
        for server, name in ((one, "film"), (two, "film"), (three, "rtmp"), (three, "flv")):
            answer = await client.get(f"http://127.0.0.1:{server.services['http'].port}/live/{name}.m3u8")
            assert answer.status_code == 200, (name, answer.text)
            assert 'CODECS="av01.0.00M.08,mp4a.40.2"' in answer.text, name


def test_of_two_pictures_and_two_sounds_the_first_ones_are_carried(films: Path, tmp_path: Path) -> None:
    # ffmpeg 9 sends the first of each in the old form, and the others as OneTrack with id 1.
    first, second = Film(seconds=6, gop=25), Film(seconds=6, gop=25, width=160, height=90, bitrate=100_000)
    paths = first.make(films), second.make(films)
    with HlsdServer(tmp_path, env=GRACE) as server:
        inputs = [word for path in paths for word in ("-re", "-i", str(path))]
        tracks = [word for number in ("0", "1") for word in ("-map", f"{number}:v", "-map", f"{number}:a")]
        command = [current_ffmpeg(), "-v", "warning", "-nostdin", *inputs, *tracks, "-c", "copy", "-f", "flv"]
        # It says at connect what it would send, and reads what is answered.
        command += ["-flvflags", "no_duration_filesize", "-rtmp_enhanced_codecs", "hvc1,av01", server.rtmp("cam")]

        def told() -> list[str]:
            url = f"http://127.0.0.1:{server.http_port}/api/v1/streams/live/cam"
            answer = httpx.get(url, headers=server.bearer)
            found = answer.json()["data"]["publisher"] if answer.status_code == httpx.codes.OK else None
            return found["tracks_left_out"] if found else []

        with Publishing(command, tmp_path / "encoder.log") as encoder:
            eventually_here(lambda: len(told()) == 2, what="the tracks that are left out")
            assert told() == ["video 1: avc1", "audio 1: mp4a"]
            recording = follow(server.hls("cam"), seconds=40)
            encoder.wait(30)
    assert recording.faults == []
    (played,) = recording.packets()
    assert compare(read_packets(paths[0]), played) == []
    assert check_recording(recording, set()) == []
