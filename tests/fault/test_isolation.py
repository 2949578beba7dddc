"""Raises at random places under load, with viewers of every way attached: what each costs, and that it costs no more.

Two publishers (H.264 as MPEG-TS, H.265 as fMP4), a relay that pulls and one that pushes, viewers by HLS, low-latency
HLS, HTTP-FLV, WebSocket-FLV and RTMP, all in one loop with one server. For a while something raises several times a
second: in an output, at a part, at a rendering, in a callback, in a sweep, at what a relay reads. What each may cost
stands in docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from hlsd.app import Server
from hlsd.base import upkeep
from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.flv import variant as form
from hlsd.delivery.flv.output import FlvOutput
from hlsd.delivery.flv.streams import FlvStreams
from hlsd.delivery.flv.variant import FlvVariant
from hlsd.delivery.http1.connections import Connections
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.media.flv import AUDIO, VIDEO, FileReader
from hlsd.relay.fan import Fan
from hlsd.relay.pull import Pull
from hlsd.relay.push import Push
from hlsd.relay.service import RelayService
from hlsd.segmenter.fmp4 import Fmp4Muxer
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.listing import Listing
from hlsd.segmenter.live import Live
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.window import Window
from hlsd.sessions.registry import Registry
from hlsd.sessions.sweep import Sweep
from hlsd.stats import Stats
from hlsd.streams import outlet
from hlsd.streams.hub import Hub
from tests.support.eventually import eventually
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.mischief import Imp, rarely
from tests.support.playlistcheck import Snapshot, Violation, check_playlist, parse_media
from tests.support.relay_peers import FlvOrigin, edge
from tests.support.rtmp_player import RtmpViewer
from tests.support.rtmp_room import Room, rtmp_room

PLACES = 18
"""Places at which something has raised before it is calm again."""

# By how often a place is called a second: so that each of them is met a few times.
OFTEN: list[tuple[type, str]] = [
    (Segmenter, "unit"), (FlvOutput, "unit"), (Fan, "unit"), (Push, "put"), (Pull, "tag"), (FileReader, "feed"),
]  # fmt: skip
SELDOM: list[tuple[type, str]] = [
    (Listing, "take"), (Listing, "_finish_segment"), (Window, "append"), (Window, "_slide"),
    (TsMuxer, "part"), (Fmp4Muxer, "part"), (Live, "_render"), (Live, "changed"), (SequenceJournal, "reached"),
    (FlvVariant, "add"), (FlvVariant, "_turn"), (BlockedRequests, "_changed"),
]  # fmt: skip
SWEEPS: list[tuple[type, str]] = [
    (Hub, "sweep"), (Hub, "_look"), (Stats, "forget"), (Sweep, "_look"), (Registry, "sweep_some"),
    (FlvStreams, "sweep"), (FlvVariant, "sweep"), (Connections, "sweep"), (BlockedRequests, "sweep"), (RelayService,
    "_sweep"), (RelayService, "_look"),
]  # fmt: skip


@dataclass
class Viewers:
    """What everybody got: `news` counts by way, `bad` is what nobody may get."""

    server: Server
    news: Counter[str] = field(default_factory=Counter)
    bad: list[object] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.services['http'].port}{path}"

    async def hls(self, http: httpx.AsyncClient, name: str, *, low: bool) -> None:
        """Reloads and fetches as a player does; `low` holds its reloads."""
        way = f"{name} {'low latency' if low else 'hls'}"
        first = await http.get(self.url(f"/live/{name}.m3u8"))
        while first.status_code == 503:
            await asyncio.sleep(0.1)
            first = await http.get(self.url(f"/live/{name}.m3u8"))
        if first.status_code != 200:
            self.bad.append((way, first.status_code))
            return
        playlist = httpx.URL(self.url("/live/")).join(first.text.strip().splitlines()[-1])
        history: list[Snapshot] = []
        seen: set[str] = set()
        directives: dict[str, str] = {}
        while True:
            answer = await http.get(playlist, params=directives)
            if answer.status_code != 200:
                if answer.status_code != 503:
                    self.bad.append((way, answer.status_code, answer.text[:80]))
                await asyncio.sleep(0.1)
                directives = {}
                continue
            text = answer.text
            if not history or history[-1].text != text:
                self.violations += check_playlist(text, history[-1:])
                history.append(Snapshot(0.0, text))
            found = parse_media(text)
            for segment in found.segments:
                if segment.uri in seen:
                    continue
                seen.add(segment.uri)
                media = await http.get(playlist.join(segment.uri))
                if media.status_code == 200:
                    self.news[way] += 1
                elif not segment.gap and media.status_code not in {404, 503}:
                    self.bad.append((way, segment.uri, media.status_code))
            if low:
                parts = text.rpartition("#EXTINF")[2].count("#EXT-X-PART:")  # of the open segment
                directives = {"_HLS_msn": str(found.first + len(found.segments)), "_HLS_part": str(parts)}
            else:
                await asyncio.sleep(0.3)

    async def flv(self, name: str, *, websocket: bool) -> None:
        """Reads on, and comes again when the server ends it."""
        way = f"{name} {'wsflv' if websocket else 'flv'}"
        request = f"GET /live/{name}.flv HTTP/1.1\r\nHost: localhost\r\n"
        if websocket:
            request += (
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            )
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.services["http"].port)
            try:
                writer.write(request.encode() + b"\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 500 " in head[:20]:
                    self.bad.append((way, head[:20]))
                while await reader.read(65536):
                    self.news[way] += 1
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.transport.abort()
            await asyncio.sleep(0.1)

    async def rtmp(self, name: str) -> None:
        """Plays on, and comes again when the server ends it."""
        while True:
            player = await RtmpViewer.connect(self.server.services["rtmp"].port)
            try:
                player.play(name)
                got = 0
                while not player.over:
                    await player.until(_more(player, got), 30.0)
                    self.news[f"{name} rtmp"] += len(player.media) - got
                    got = len(player.media)
            except (TimeoutError, AssertionError, OSError):
                pass  # it comes again
            finally:
                player.writer.transport.abort()
            await asyncio.sleep(0.1)


async def publish(push: RtmpPush, codec: str) -> None:
    """An encoder: a film again and again, at its own pace, until it is cancelled."""
    loop = asyncio.get_running_loop()
    begun, shift = loop.time(), 0
    tags = flv_tags(make_flv(codec, seconds=2.0, fps=25, gop=25, size=(96, 64)))
    while True:
        for kind, at, body in tags:
            await asyncio.sleep(max(0.0, begun + (shift + at) / 1000 - loop.time()))
            if kind in {AUDIO, VIDEO}:
                await push.send(kind, shift + at, body)
        shift += 2000


@contextlib.asynccontextmanager
async def running(*works: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Runs the coroutines beside the test."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[tuple[Server, Room]]:
    """A server with a relay in and one out, and the target of that one."""
    async with FlvOrigin() as origin, rtmp_room() as target:
        rules = [
            {"mode": "static", "match": "live/pulled", "urls": [origin.url], "backoff": [0.05, 0.2]},
            {"mode": "push", "match": "live/ts", "url": target.url, "backoff": [0.05, 0.2]},
        ]
        more = {"hls__low_latency": True, "flv__gather": 0, "publish__takeover": "never"}
        async with edge(tmp_path, rules, **more) as server:
            yield server, target


@pytest.mark.parametrize("seed", [1])
async def test_what_raises_anywhere_costs_its_own_part_and_no_more(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "MOST", 10_000)  # what stays off is another test's matter
    monkeypatch.setattr(form, "FAULTS", 10_000)
    monkeypatch.setattr(upkeep, "PAUSE", 0.05)
    raising = False
    async with house(tmp_path) as (server, target), httpx.AsyncClient(timeout=30, trust_env=False) as http:
        port = server.services["rtmp"].port
        pushes = {name: await RtmpPush.connect(f"rtmp://127.0.0.1:{port}/live/{name}") for name in ("ts", "mp4")}
        viewers = Viewers(server)
        names = ("ts", "mp4")
        watching = [viewers.hls(http, name, low=low) for name in (*names, "pulled") for low in (False, True)]
        watching += [viewers.flv(name, websocket=websocket) for name in names for websocket in (False, True)]
        watching += [viewers.rtmp("ts")]
        encoders = [publish(pushes["ts"], "h264"), publish(pushes["mp4"], "h265")]
        async with running(*encoders, *watching) as tasks:
            ways = len(watching)
            await eventually(lambda: len(viewers.news) == ways and _sent(target), 60.0)
            imps = [
                Imp(monkeypatch, places, _while(lambda: raising, rarely(seed * 7 + one_in, one_in)), seed=seed)
                for places, one_in in ((OFTEN, 80), (SELDOM, 8), (SWEEPS, 2))
            ]
            raising = True
            await eventually(lambda: len({where for imp in imps for where in imp.done}) >= PLACES, 60.0)
            raising = False
            done = [where for imp in imps for where in imp.done]
            # Whatever it was: everybody gets on, by every way, from here on.
            before, sent = Counter(viewers.news), _sent(target)
            await eventually(lambda: all(viewers.news[way] > before[way] + 2 for way in before), 60.0)
            await eventually(lambda: _sent(target) > sent + 20, 60.0)
            assert not any(task.done() for task in tasks[:2]), "no encoder was sent away"
            assert not any(push.closed for push in pushes.values())
        for name in names:
            stream = server.hub.get("live", name)
            assert stream is not None
            assert stream.stats.publishes == 1
        assert viewers.bad == [], Counter(done)
        assert Counter(viewers.violations) == {}, done
        faults = server.stats.faults
        assert faults.outputs.total() + faults.tasks.total() == len(done), (faults.outputs, faults.tasks, Counter(done))
        assert not +faults.off
        for push in pushes.values():
            await push.close(1.0)


def _while(on: Callable[[], bool], due: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: on() and due()


def _more(player: RtmpViewer, got: int) -> Callable[[], bool]:
    return lambda: len(player.media) > got


def _sent(target: Room) -> int:
    return sum(len(sink.tags) for sink in target.sinks)
