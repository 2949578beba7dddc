"""Floods against a running HTTPS listener: they end their own connection, and a good viewer beside them plays on."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog

from hlsd.delivery.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from tests.support.http2client import Http2Client, trusting
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app

SID = "A" * 22
GET = b"\x82\x87\x84\x41\x01h"
CANCEL = b"\0\0\0\x08"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[HttpsServer]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    http = HttpSettings(bind="127.0.0.1", port=0)
    cam = MemoryPlayable(low_latency=True)
    cam.add_media("r1", "a.ts", bytes(300_000))
    app = web_app(MemoryDirectory(cam=cam), viewers(), http)
    https = HttpsServer(
        HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key)), http, app, structlog.get_logger()
    )
    await https.start()
    yield https
    await https.stop(1)


def rapid_reset(n: int) -> bytes:
    """CVE-2023-44487: a request and its cancellation, a hundred at a time."""
    ids = [2 * (100 * n + k) + 1 for k in range(100)]
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, i, GET) + frame(RST_STREAM, 0, i, CANCEL) for i in ids)


def made_you_reset(n: int) -> bytes:
    """CVE-2025-8671: a request, and then what is an error of its stream, so that the server resets it."""
    ids = [2 * (100 * n + k) + 1 for k in range(100)]
    return b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, i, GET) + frame(WINDOW_UPDATE, 0, i, bytes(4)) for i in ids
    )


def continuation(n: int) -> bytes:
    """CVE-2024-27316: a header block without end."""
    first = frame(HEADERS, END_STREAM, 1, GET) if n == 0 else b""
    return first + frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 3000)


def empty_data(n: int) -> bytes:
    """CVE-2019-9518: DATA frames with nothing in them."""
    first = frame(HEADERS, END_HEADERS, 1, GET.replace(b"\x82", b"\x83")) if n == 0 else b""
    return first + frame(DATA, 0, 1) * 1000


def pings(_: int) -> bytes:
    """CVE-2019-9512."""
    return frame(PING, 0, 0, bytes(8)) * 1000


def settings(_: int) -> bytes:
    """CVE-2019-9515."""
    return frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1") * 1000


def bomb(n: int) -> bytes:
    """A kilobyte that names a long line of the table a thousand times."""
    line = b"\x40\x01a\x7f\x81\x1e" + b"x" * (127 + 0x81 - 0x80 + (0x1E << 7))
    return frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, GET + line + b"\xbe" * 1000)


@pytest.mark.parametrize("flood", [rapid_reset, made_you_reset, continuation, empty_data, pings, settings, bomb])
async def test_a_flood_ends_its_own_connection_only(server: HttpsServer, flood: Callable[[int], bytes]) -> None:
    """The flooder is cut within a megabyte; a viewer on another connection is answered all the while."""
    viewer = await Http2Client.connect(server.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting("h2"))
    writer.write(PREFACE + frame(SETTINGS, 0, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = n = 0
    reading = asyncio.create_task(reader.read())
    try:
        while not reading.done():
            octets = flood(n)
            writer.write(octets)
            await writer.drain()
            sent, n = sent + len(octets), n + 1
            assert (await viewer.get(f"/live/cam/~{SID}/index.m3u8")).status == 200
            assert sent < 1_000_000
    except OSError:
        pass
    writer.transport.abort()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await viewer.get(f"/live/cam/~{SID}/r1/a.ts")).ended
    viewer.cut()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_ten_thousand_requests_on_one_connection(server: HttpsServer) -> None:
    """Uvicorn's own HTTP/2 ends a connection after 4,096; a viewer asks six times a second for hours."""
    viewer = await Http2Client.connect(server.port)
    for _ in range(200):
        streams = [viewer.ask(f"/live/cam/~{SID}/index.m3u8", "HEAD") for _ in range(50)]
        for stream in streams:
            assert (await viewer.whole(stream)).status == 200
        viewer.responses.clear()
        viewer.events.clear()
    assert viewer.farewell is None
    viewer.cut()
