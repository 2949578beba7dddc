"""A viewer who hangs up in the middle is charged for what its kernel has confirmed, by every transport.

The client reads some of an answer that its kernel cannot hold, looks at all that has come to its kernel without taking
it, works out how many bytes of body that is, and resets the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from hlsd.net.tls_transport import RECORD
from tests.support.eventually import eventually
from tests.support.http2client import trusting
from tests.unit.delivery.test_https import SID, Both, serve

SIZE = 30_000_000
PATH = f"/live/cam/~{SID}/r1/long.ts"


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async for servers in serve(tmp_path, {}, {}):
        servers.cam.add_media("r1", "long.ts", bytes(SIZE))
        yield servers


class Cutter:
    """A client by hand: over TLS if it has a protocol's name for ALPN, or bare."""

    def __init__(self, alpn: str) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        self.loop = asyncio.get_running_loop()
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._framed = alpn == "h2"
        self._tls = trusting(alpn).wrap_bio(self._come, self._go, server_hostname="localhost") if alpn else None
        self.got = bytearray()

    async def ask(self, port: int, request: bytes) -> None:
        await self.loop.sock_connect(self.sock, ("127.0.0.1", port))
        if self._tls is not None:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self.loop.sock_sendall(self.sock, self._go.read())
                    self._come.write(await self.loop.sock_recv(self.sock, 65536))
                else:
                    break
            self._tls.write(request)
            request = self._go.read()
        await self.loop.sock_sendall(self.sock, request)

    def take(self, octets: bytes) -> None:
        """Reads what can be read of what came: whole records."""
        if self._tls is None:
            self.got += octets
            return
        self._come.write(octets)
        with contextlib.suppress(ssl.SSLWantReadError):
            while octets := self._tls.read(1 << 20):
                self.got += octets

    async def read(self, size: int) -> None:
        while len(self.got) < size:
            self.take(await self.loop.sock_recv(self.sock, 65536))

    async def cut(self) -> int:
        """Resets the connection; how many bytes of body had come to the kernel."""
        before = -1
        while (now := self._received()) != before:  # until its buffer is full and all of it confirmed
            before = now
            await asyncio.sleep(0.3)
        self.take(self.sock.recv(1 << 26, socket.MSG_PEEK))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()
        return body_in_frames(self.got) if self._framed else len(self.got) - self.got.index(b"\r\n\r\n") - 4

    def _received(self) -> int:
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        return int.from_bytes(info[128:136], sys.byteorder)  # tcpi_bytes_received, linux/tcp.h


def body_in_frames(octets: bytes | bytearray) -> int:
    """Bytes of body in what came of an HTTP/2 connection, those of a frame that is not whole too (RFC 9113 §4.1)."""
    at = size = 0
    while at + 9 <= len(octets):
        length = int.from_bytes(octets[at : at + 3], "big")
        if octets[at + 3] == 0:  # DATA; ours are never padded
            size += min(length, len(octets) - at - 9)
        at += 9 + length
    return size


def request(alpn: str, *, ranged: bool) -> bytes:
    """A GET, with windows that take all of the answer where there are windows."""
    if alpn != "h2":
        return f"GET {PATH} HTTP/1.1\r\nHost: x\r\n{'Range: bytes=0-' if ranged else 'Accept: */*'}\r\n\r\n".encode()
    client = H2Connection(H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2 * SIZE})
    client.increment_flow_control_window(2 * SIZE)
    head = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", PATH)]
    client.send_headers(1, [*head, *([("range", "bytes=0-")] if ranged else [])], end_stream=True)
    return client.data_to_send()


@pytest.mark.thorough
@pytest.mark.parametrize("ranged", [False, True], ids=["fast path", "ASGI"])
@pytest.mark.parametrize("alpn", ["", "http/1.1", "h2"])
@pytest.mark.parametrize("size", [1, 3_000_000])
async def test_a_cut_answer_is_charged_for_what_the_client_has(
    both: Both, size: int, alpn: str, *, ranged: bool
) -> None:
    """Over plain TCP to the byte, over TLS to a record: a client can read nothing of half a one."""
    await both.plain.get(f"/live/cam/~{SID}/index.m3u8")
    session = next(iter(both.app.hot.sessions))  # type: ignore[call-overload]
    before = both.app.connections.open
    client = Cutter(alpn)
    await client.ask(both.https.port if alpn else both.http.port, request(alpn, ranged=ranged))
    await client.read(size)
    got = await client.cut()
    await eventually(lambda: both.app.connections.open == before)
    assert size <= got < SIZE // 2
    assert session.media_bytes == (pytest.approx(got, abs=RECORD) if alpn else got)
    assert both.app.hot.sessions.ledger.total == session.media_bytes + session.playlist_bytes  # type: ignore[attr-defined]
    assert session.flows == 0
