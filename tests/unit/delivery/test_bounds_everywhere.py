"""Every bound of a connection holds on the plain port, for HTTP/1.1 over TLS, and for HTTP/2: the same tests for all.

Servers and sockets are real, the clock is not: the sweeps are told a later time. What `max_requests` and pipelining
bound there is not over HTTP/2; both are tested over TLS by `test_fastpath`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest

from tests.support.eventually import eventually
from tests.support.http2client import Http2Client, trusting
from tests.unit.delivery.test_https import SID, Both, serving

WAYS = ["plain", "tls", "h2"]
PLAYLIST = f"/live/cam/~{SID}/index.m3u8"
HELD = PLAYLIST + "?_HLS_msn=103&_HLS_part=0"
LONG = f"/live/cam/~{SID}/r1/long.ts"


class ByHttp1:
    """A client of HTTP/1.1, over TLS or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def half_a_head(self) -> None:
        self.writer.write(b"GET / HTTP/1.1\r\nX: ")

    async def half_a_body(self) -> None:
        self.writer.write(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab")

    async def ask(self, path: str, *headers: tuple[str, str]) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.writer.write("\r\n".join(lines).encode())

    async def status(self) -> int:
        """Of the next answer, read whole."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        size = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        await self.reader.readexactly(size)
        return int(head[9:12])

    async def is_over(self) -> bool:
        """Whether the server has ended what was begun; only asked when it should have."""
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(self.reader.read(), 20)
        return True

    def stop_reading(self) -> None:
        cast("Any", self.writer.transport).pause_reading()

    def cut(self) -> None:
        self.writer.transport.abort()


class ByHttp2:
    """A client of HTTP/2."""

    def __init__(self, client: Http2Client) -> None:
        self.client = client
        self.stream = 0

    async def half_a_head(self) -> None:
        self.client.writer.write(b"\0\0\x20\1\5\0\0\0\1\x82")

    async def half_a_body(self) -> None:
        self.stream = self.client.ask("/api/echo", "POST", end=False)
        self.client.flush()

    async def ask(self, path: str, *headers: tuple[str, str]) -> None:
        self.stream = self.client.ask(path, headers=headers)

    async def status(self) -> int:
        return (await self.client.whole(self.stream)).status

    async def is_over(self) -> bool:
        async with asyncio.timeout(20):
            while not self.client.eof:
                response = self.client.responses.get(self.stream)
                if response is not None and response.reset is not None:
                    break  # the other requests of the connection are none of its business
                await self.client.read()
        return True

    def stop_reading(self) -> None:
        self.client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        self.client.h2.update_settings({4: 2**31 - 1})
        self.client.flush()
        cast("Any", self.client.writer.transport).pause_reading()

    def cut(self) -> None:
        self.client.cut()


async def connect(both: Both, way: str) -> ByHttp1 | ByHttp2:
    before = count(both)
    client: ByHttp1 | ByHttp2
    if way == "h2":
        client = ByHttp2(await Http2Client.connect(both.https.port))
    else:
        port, tls = (both.https.port, trusting("http/1.1")) if way == "tls" else (both.http.port, None)
        client = ByHttp1(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
    await eventually(lambda: count(both) == before + 1)
    return client


def count(both: Both) -> int:
    """Connections past their handshake."""
    server = both.http._server
    return both.https.connections + (len(server.server_state.connections) if server is not None else 0)


def later(both: Both, seconds: float) -> None:
    """The sweeps of that time."""
    for more in (0.0, 1.0):
        both.app.connections.sweep(monotonic() + seconds + more)
        for connection in list(both.https.http2.connections):
            connection.sweep(asyncio.get_running_loop().time() + seconds + more, both.https._pace)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    http = {"first_playlist_wait": 0, "max_waiters_per_ip": 2, "trusted_proxies": [], "send_timeout": 60}
    async with serving(tmp_path, {}, http) as servers:
        servers.cam.add_media("r1", "long.ts", bytes(30_000_000))
        yield servers


@pytest.mark.parametrize("said", ["nothing", "half a head"])
async def test_a_head_has_its_deadline(both: Both, way: str, said: str) -> None:
    client = await connect(both, way)
    if said != "nothing":
        await client.half_a_head()
        await asyncio.sleep(0.1)  # it arrives
    later(both, 7.5)
    await asyncio.sleep(0.1)
    assert count(both) == 1
    later(both, 11)
    assert await client.is_over()
    client.cut()
    await eventually(lambda: count(both) == 0)


async def test_an_idle_connection_is_ended_and_one_that_waits_is_not(both: Both, way: str) -> None:
    idle, waits = await connect(both, way), await connect(both, way)
    for client in (idle, waits):
        await client.ask(PLAYLIST)
        assert await client.status() == 200
    await waits.ask(HELD)
    await eventually(lambda: both.app.blocked.waiting == 1)
    later(both, 72)
    await asyncio.sleep(0.1)
    assert count(both) == 2
    later(both, 77)
    assert await idle.is_over()
    idle.cut()
    both.cam.add_part()
    assert await waits.status() == 200
    waits.cut()


async def test_a_body_must_go_on(both: Both, way: str) -> None:
    client = await connect(both, way)
    await client.half_a_body()
    await asyncio.sleep(0.1)  # it arrives
    later(both, 27)
    await asyncio.sleep(0.1)
    assert count(both) == 1
    later(both, 31)
    assert await client.is_over()
    client.cut()


async def test_a_header_has_a_size(both: Both, way: str) -> None:
    """431, or the end: 16 KiB over HTTP/1.1, 32 KiB over HTTP/2."""
    client = await connect(both, way)
    lines = [(f"x{n}", "y" * 3000) for n in range(12)]
    try:
        await client.ask(PLAYLIST, *lines)
        assert await client.status() == 431
    except (ConnectionError, AssertionError, asyncio.IncompleteReadError):
        assert await client.is_over()
    client.cut()


async def test_who_does_not_read_is_cut_and_pays_for_what_it_took(both: Both, way: str) -> None:
    """One object in memory, encrypted only as far as the kernel has asked for it; cut after a minute of nothing."""
    client = await connect(both, way)
    await client.ask(PLAYLIST)
    assert await client.status() == 200
    session = next(iter(both.app.hot.sessions))  # type: ignore[call-overload]
    client.stop_reading()
    await client.ask(LONG)
    await eventually(lambda: session.flows == 1)
    later(both, 0)
    later(both, 57)
    await asyncio.sleep(0.1)
    assert count(both) == 1
    for minutes in range(1, 60):  # what its kernel goes on taking for a moment is progress
        later(both, 63 * minutes)
        await asyncio.sleep(0.1)
        if not count(both):
            break
    await eventually(lambda: count(both) == 0)
    assert session.flows == 0
    assert session.media_bytes < 20_000_000
    client.cut()


async def test_the_waiters_of_an_address_are_counted_over_all_its_connections(both: Both, way: str) -> None:
    clients = [await connect(both, way) for _ in range(3)]
    for number, client in enumerate(clients[:2]):
        await client.ask(HELD)
        await eventually(lambda number=number: both.app.blocked.waiting == number + 1)  # type: ignore[misc]
    await clients[2].ask(HELD)
    assert await clients[2].status() == 503
    clients[0].cut()
    await eventually(lambda: both.app.blocked.waiting == 1)
    await clients[2].ask(HELD)
    await eventually(lambda: both.app.blocked.waiting == 2)
    both.cam.add_part()
    for client in clients[1:]:
        assert await client.status() == 200
        client.cut()


async def test_a_drain_answers_who_waits_and_ends(both: Both, way: str) -> None:
    idle, waits = await connect(both, way), await connect(both, way)
    for client in (idle, waits):
        await client.ask(PLAYLIST)
        assert await client.status() == 200
    await waits.ask(HELD)
    await eventually(lambda: both.app.blocked.waiting == 1)
    stopping = asyncio.create_task((both.http if way == "plain" else both.https).stop(5))
    assert await waits.status() == 503
    for client in (idle, waits):
        assert await client.is_over()
        client.cut()
    await stopping
    assert count(both) == 0
