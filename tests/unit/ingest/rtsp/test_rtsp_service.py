"""The RTSP port of a whole server: what its clients may cost, and that a name is one name for all ways in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hlsd.app import Server
from hlsd.ingest.rtsp.connection import UNREAD
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.services import running

pytestmark = pytest.mark.thorough

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n"
)


@contextlib.asynccontextmanager
async def rtsp(folder: Path, **more: object) -> AsyncIterator[tuple[Server, int]]:
    port = free_port()
    settings = {"rtsp.bind": "127.0.0.1", "rtsp.port": port, "rtsp.udp_port": 0}
    settings |= {name.replace("__", "."): value for name, value in more.items()}
    async with running(folder, settings) as server:
        yield server, port


class Client:
    """One connection, a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._seq = 0

    async def ask(self, method: str, url: str, body: str = "", **headers: str) -> tuple[int, str]:
        self._seq += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._seq}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()
        return int(head.split()[1]), head

    async def announce(self, port: int, name: str) -> int:
        status, _ = await self.ask("ANNOUNCE", f"rtsp://127.0.0.1:{port}/live/{name}", SDP)
        return status


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_who_asks_and_asks_and_reads_nothing_is_hung_up_on(tmp_path: Path) -> None:
    """Else its answers would be kept for it without end."""
    async with rtsp(tmp_path) as (_, port):
        request = f"OPTIONS rtsp://127.0.0.1:{port}/live/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        client.setblocking(False)
        loop, sent = asyncio.get_running_loop(), 0
        with client, contextlib.suppress(ConnectionError):
            while sent < 400 * UNREAD:
                await asyncio.wait_for(loop.sock_sendall(client, request * 500), 60)
                sent += 500 * len(request)
        assert sent < 400 * UNREAD
        async with connected(port) as other:
            assert (await other.ask("OPTIONS", f"rtsp://127.0.0.1:{port}/live/cam"))[0] == 200


async def test_a_name_is_one_persons_whatever_way_he_comes_by(tmp_path: Path) -> None:
    async with rtsp(tmp_path, publish__takeover="never") as (server, port):
        async with connected(port) as first, connected(port) as second:
            assert await first.announce(port, "cam") == 200
            assert await second.announce(port, "cam") == 403
            assert await second.announce(port, "other") == 200, "it may go on with another name"
        await eventually(lambda: all(stream.claim is None for stream in server.hub.streams))
        async with connected(port) as third:
            assert await third.announce(port, "cam") == 200


async def test_a_stop_ends_its_clients(tmp_path: Path) -> None:
    async with rtsp(tmp_path) as (server, port), connected(port) as client:
        assert await client.announce(port, "cam") == 200
        await server.stop(1.0)
        assert await asyncio.wait_for(client.reader.read(), 20) == b""
