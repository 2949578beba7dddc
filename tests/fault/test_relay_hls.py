"""Relays by HLS from one of our own servers, and from one that does what such servers do on bad days."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.relay.pull import Pull
from hlsd.relay.service import RelayService
from tests.support.eventually import eventually
from tests.support.hls_upstream import Upstream, media, muxed
from tests.support.hlscheck import check_recording
from tests.support.players import Recording, follow
from tests.support.relay_peers import FlvOrigin, children, edge
from tests.support.signals import send


def room_of(server: Server) -> RelayService:
    room = server.services["relay"]
    assert isinstance(room, RelayService)
    return room


async def first_pull(server: Server) -> Pull:
    await eventually(lambda: bool(room_of(server).pulls))
    return next(iter(room_of(server).pulls.values()))


def play(url: str, seconds: float) -> Recording:
    recording = Recording()
    follow(url, seconds=seconds, recording=recording)
    return recording


@pytest.mark.parametrize("container", ["auto", "fmp4"])
async def test_a_second_server_of_ours_carries_on_by_hls(tmp_path: Path, container: str) -> None:
    """MPEG-TS and fMP4: it plays clean there, the first server has one viewer, and nothing is left behind."""
    before = children()
    async with FlvOrigin() as origin:
        first = [{"mode": "static", "match": "live/film", "url": origin.url}]
        async with edge(tmp_path / "one", first, server__id="one", hls__container=container) as one:
            await eventually(lambda: one.hub.find("live", "film") is not None)
            url = f"http://127.0.0.1:{one.services['http'].port}/{{path}}.m3u8"
            rules = [{"mode": "pull", "match": "live/*", "url": url}]
            async with edge(tmp_path / "two", rules, server__id="two") as two:
                address = f"http://127.0.0.1:{two.services['http'].port}/live/film.m3u8"
                recording = await asyncio.to_thread(play, address, 8.0)
                assert not recording.faults
                assert len(recording.segments) >= 4
                assert not any(segment.discontinuity for segment in recording.segments)
                assert not check_recording(recording, {"TS16"})  # how the source interleaves sound and picture
                viewers = [one_of for one_of in one.sessions if one_of.name == "film"]
                assert len(viewers) == 1
                assert viewers[0].user_agent.startswith("hlsd/")
                assert viewers[0].media_bytes > 0
                pull = next(iter(room_of(two).pulls.values()))
                # What is sent is charged before it has come.
                await eventually(lambda: pull.received_bytes > viewers[0].media_bytes)
    await eventually(lambda: children() <= before)


async def test_discontinuities_gaps_and_ranges_of_a_foreign_server_play_on(tmp_path: Path) -> None:
    """A day of a channel: an advertisement in another container, a hole, segments that are ranges of one file."""
    ts, mp4 = muxed("mpegts"), muxed("mp4")
    head = mp4.index(b"moof") - 4
    async with Upstream() as upstream:
        upstream.files |= {"/a.ts": ts, "/all.ts": ts + ts, "/ad.mp4": mp4[head:], "/init.mp4": mp4[:head]}
        names = [
            "a.ts",
            f"#EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:{len(ts)}@0\nall.ts",
            f"#EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:{len(ts)}@{len(ts)}\nall.ts",
            "#EXT-X-GAP\ngap.ts",
            '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="init.mp4"\nad.mp4',
        ]
        upstream.playlist("/x.m3u8", media(1, names, target=1, ended=True))
        upstream.redirects["/start.m3u8"] = "/x.m3u8"
        rule = {"mode": "static", "match": "live/film", "url": f"{upstream.url}/start.m3u8", "backoff": [30, 30]}
        async with edge(tmp_path, [rule], publish__grace=5) as server:
            pull = await first_pull(server)
            await eventually(lambda: "has ended" in pull.error)
            (stream,) = server.hub.streams
            assert stream.stats.video_frames >= 95, "four films of 25 pictures, but for those that a start may cost"
        assert "/gap.ts" not in upstream.asked
        assert upstream.asked.count("/all.ts") == 2


async def test_a_segment_without_an_end_costs_a_try_and_no_memory(tmp_path: Path) -> None:
    """The relay says why; the server goes on."""
    async with Upstream() as upstream:
        upstream.endless.add("/1.ts")
        upstream.playlist("/x.m3u8", media(1, ["1.ts"]))
        rule = {"mode": "static", "match": "live/film", "url": f"{upstream.url}/x.m3u8"}
        async with edge(tmp_path, [rule]) as server, httpx.AsyncClient() as client:
            pull = await first_pull(server)
            await eventually(lambda: "sends more than" in pull.error)
            health = await client.get(f"http://127.0.0.1:{server.services['http'].port}/healthz")
            assert health.status_code == 200


async def test_a_reader_that_is_killed_takes_the_fetches_with_it(tmp_path: Path) -> None:
    """Nothing of a try outlives it: neither a process nor a task that goes on fetching."""
    before = children()
    async with Upstream() as upstream:
        upstream.files["/a.ts"] = muxed("mpegts")
        names = [f"#EXT-X-DISCONTINUITY\na.ts?{n}" for n in range(100)]
        upstream.playlist("/x.m3u8", media(1, names, target=1, ended=True))
        rule = {"mode": "static", "match": "live/film", "url": f"{upstream.url}/x.m3u8", "backoff": [0.1, 0.2]}
        async with edge(tmp_path, [rule]) as server:
            pull = await first_pull(server)
            await eventually(lambda: pull.active)
            (child,) = children() - before
            send(child, signal.SIGKILL)
            await eventually(lambda: upstream.asked.count("/x.m3u8") >= 2)
            assert len([task for task in asyncio.all_tasks() if task.get_name() == "relay hls"]) <= 1
            await eventually(lambda: pull.active)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("relay")]
    await eventually(lambda: children() <= before)
