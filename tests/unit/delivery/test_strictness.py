"""Every port: a request names its host, and a body comes in time or the connection ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx
import pytest
import structlog

from hlsd.base.figures import Histogram
from hlsd.base.pace import BODY_RATE, Pace
from hlsd.metrics import service as metrics_room
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.service import MetricsService
from hlsd.stats import LAG
from tests.support.http2client import Http2Client, trusting
from tests.support.ports import free_port
from tests.support.transports import Connection, settle
from tests.unit.delivery.test_fastpath import PLAYLIST, Scene, closed, counted, get, statuses
from tests.unit.delivery.test_https import Both, serve
from tests.unit.metrics.test_exporter import exporter

BAD_HEADS = {
    "none": b"GET %s HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "two": b"GET %s HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "twice the same": b"GET %s HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "two of 1.0": b"GET %s HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET %s HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a user": b"GET %s HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "a list": b"GET %s HTTP/1.1\r\nHost: a, b\r\n\r\n",
}
GOOD_HEADS = {
    "one": b"GET %s HTTP/1.1\r\nHost: a:8000\r\n\r\n",
    "an empty one": b"GET %s HTTP/1.1\r\nHost:\r\n\r\n",
    "none of 1.0": b"GET %s HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("path", [PLAYLIST, "/healthz"])
@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
async def test_the_plain_port_refuses_a_request_without_its_host(path: str, head: bytes) -> None:
    """On the fast path as on the way to ASGI; what is pipelined behind it is not read."""
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    client.feed(head % path.encode() + get("/healthz"))
    await settle(client)
    assert statuses(client) == [400]
    assert closed(client)
    assert counted(client) == 0


@pytest.mark.parametrize("path", [PLAYLIST, "/healthz"])
@pytest.mark.parametrize("head", GOOD_HEADS.values(), ids=GOOD_HEADS)
async def test_the_plain_port_answers_a_request_with_its_host(path: str, head: bytes) -> None:
    scene = Scene()
    scene.watch("cam")
    client = scene.listener.connect()
    client.feed(head % path.encode())
    await settle(client)
    assert statuses(client) == [200]


async def test_a_refusal_never_falls_into_an_answer_under_way() -> None:
    """It would be read as part of it."""
    scene = Scene()
    scene.watch("ll")
    client = scene.listener.connect()
    client.feed(get(f"/live/ll/~{'A' * 28}/index.m3u8?_HLS_msn=103&_HLS_part=0") + BAD_HEADS["none"] % b"/healthz")
    await settle(client)
    assert statuses(client) == []
    assert closed(client)
    client.hang_up()
    await settle(client)


async def test_the_host_of_an_absolute_target_counts() -> None:
    """RFC 9112 §3.2.2: whatever the line says, which is to be ignored."""
    scene = Scene()
    client = scene.listener.connect()
    client.feed(b"GET http://a.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await settle(client)
    assert statuses(client) == [200]
    assert list(client.protocol.scope["headers"]) == [(b"host", b"a.example")]


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async for servers in serve(tmp_path, {}, {}):
        yield servers


async def _says(port: int, words: bytes, tls: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting("http/1.1") if tls else None)
    writer.write(words)
    async with asyncio.timeout(20):
        said = await reader.read(20)
    writer.transport.abort()
    return said


@pytest.mark.thorough
async def test_https_refuses_and_answers_alike(both: Both) -> None:
    """HTTP/1.1 over TLS is another protocol class."""
    for head in BAD_HEADS.values():
        assert (await _says(both.https.port, head % b"/healthz")).startswith(b"HTTP/1.1 400"), head
    for head in GOOD_HEADS.values():
        assert (await _says(both.https.port, head % b"/healthz")).startswith(b"HTTP/1.1 200"), head


async def test_the_port_of_figures_refuses_and_answers_alike() -> None:
    shown = exporter(port=free_port())
    room = MetricsService(shown._settings, shown, LagMeter(Histogram(LAG)), structlog.get_logger())
    await room.start()
    try:
        for head in BAD_HEADS.values():
            assert (await _says(room.port, head % b"/metrics", tls=False)).startswith(b"HTTP/1.1 400"), head
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{room.port}/metrics")).status_code == 200
    finally:
        await room.stop()


def test_a_body_has_a_rate_and_an_end() -> None:
    """A silence alone is no bound: a byte now and then ends it."""
    pace = Pace(header=10, idle=75, stall=60, body=30, whole=120)
    assert pace.body_by(1000.0, 0) == 1030
    assert pace.body_by(1000.0, 40) == pytest.approx(1030, abs=0.1)
    assert pace.body_by(1000.0, 60 * BODY_RATE) == 1090
    assert pace.body_by(1000.0, 10**9) == 1120


def drip(scene: Scene, client: Connection, pieces: int, size: int) -> float:
    """A piece each two seconds of a clock that is turned; after how long the connection is closed."""
    begun = monotonic()
    for n in range(1, pieces + 1):
        client.protocol.now = now = begun + 2 * n  # type: ignore[attr-defined]
        client.protocol.on_body(b"x" * size)
        scene.hot.connections.sweep(now)
        scene.hot.connections.sweep(now + 1)
        if closed(client):
            return 2 * n
    return 0.0


@pytest.mark.parametrize(("size", "least", "most"), [(1, 28, 36), (3000, 118, 126)])
async def test_a_dripped_body_is_cut_on_the_plain_port(size: int, least: float, most: float) -> None:
    """A byte each two seconds within `body_timeout`, and what comes fast enough at `body_deadline`."""
    scene = Scene()
    client = scene.listener.connect()
    client.feed(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
    assert least <= drip(scene, client, 100, size) <= most
    client.hang_up()
    await settle(client)


POST = b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
async def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    monkeypatch.setattr("hlsd.delivery.tls.https.SWEEP", 0.02)
    async for servers in serve(tmp_path, {}, {}):
        servers.https._pace = replace(servers.https._pace, body=0.5, whole=3.0)
        yield servers


async def test_a_dripped_body_is_cut_over_tls(quick: Both) -> None:
    """HTTP/1.1: the connection ends although bytes go on coming."""
    reader, writer = await asyncio.open_connection("127.0.0.1", quick.https.port, ssl=trusting("http/1.1"))
    writer.write(POST)
    async with asyncio.timeout(20):
        while not reader.at_eof():
            writer.write(b"x")
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(reader.read(100), 0.05)
            if reader.exception() is not None:
                break
    writer.transport.abort()


async def calm(client: Http2Client) -> None:
    """Reads until nothing more comes for a moment."""
    with contextlib.suppress(TimeoutError):
        while not client.eof:
            await asyncio.wait_for(client.read(), 0.1)


async def test_a_dripped_body_costs_its_stream_over_http2(quick: Both) -> None:
    """The other requests of the connection are answered."""
    client = await Http2Client.connect(quick.https.port)
    stream = client.ask("/api/echo", "POST", end=False)
    client.flush()
    async with asyncio.timeout(20):
        while client.responses[stream].reset is None:
            client.h2.send_data(stream, b"x")
            client.flush()
            await calm(client)
    assert (await client.get("/healthz")).status == 200
    client.cut()


async def test_a_dripped_body_is_cut_on_the_port_of_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_room, "SWEEP", 0.02)
    monkeypatch.setattr(metrics_room, "PACE", Pace(header=1, idle=5, stall=5, body=0.5, whole=3))
    shown = exporter(port=free_port())
    room = MetricsService(shown._settings, shown, LagMeter(Histogram(LAG)), structlog.get_logger())
    await room.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", room.port)
    writer.write(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
    try:
        async with asyncio.timeout(20):
            with contextlib.suppress(OSError):
                while not reader.at_eof():
                    writer.write(b"x")
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(999), 0.05)
    finally:
        writer.transport.abort()
        await room.stop()


async def test_a_client_that_takes_next_to_nothing_is_cut_over_http2(quick: Both) -> None:
    """A window opened by a few octets now and then kept a connection for ever: every frame was progress."""
    quick.https._pace = replace(quick.https._pace, stall=0.5)
    client = await Http2Client.connect(quick.https.port)
    client.h2.update_settings({4: 0})
    client.flush()
    stream = client.ask(f"/live/cam/~{'A' * 22}/r1/a.ts")
    client.responses.clear()  # whose windows the client would open by itself
    async with asyncio.timeout(20):
        while not client.eof:
            client.h2.increment_flow_control_window(300, stream)
            client.flush()
            await calm(client)
    assert client.farewell is None  # not for the frames, but for the pace
    client.cut()
