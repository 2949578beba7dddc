"""The listener: binding, draining, and the names of uvicorn that it leans on."""

from __future__ import annotations

import asyncio
import errno
import signal

import pytest
import structlog

from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from tests.support.eventually import eventually
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app
from tests.unit.delivery.conftest import Running

SID = "A" * 22


def server(port: int, bind: str = "127.0.0.1") -> HttpServer:
    settings = HttpSettings(bind=bind, port=port)
    return HttpServer(settings, web_app(MemoryDirectory(), viewers(), settings), structlog.get_logger())


async def test_a_taken_port_is_one_clear_error(running: Running) -> None:
    """The caller prints it: no traceback, no exit from inside."""
    with pytest.raises(OSError, match=f"127.0.0.1:{running.server.port}") as caught:
        await server(running.server.port).start()
    assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("bind", ["192.0.2.1", "no-such-address", "300.1.1.1"])
async def test_an_address_that_is_not_ours_is_one_clear_error(bind: str) -> None:
    """A typing error in the configuration is told by its place."""
    with pytest.raises(OSError, match=bind):
        await server(0, bind).start()


async def test_signal_handlers_stay_the_callers(running: Running) -> None:
    """Uvicorn's own would end the process without draining the rest."""
    assert (await running.client.get("/healthz")).text == "ok\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_r5_draining_answers_who_waits_and_closes_who_idles(running: Running) -> None:
    """Held reloads get 503 and `Connection: close` at once, idle connections end, and new ones are refused."""
    low = running.directory.find("live", "ll")
    assert isinstance(low, MemoryPlayable)
    reader, writer = await running.connect()
    idle, _ = await running.connect()
    writer.write(f"GET /live/ll/~{SID}/index.m3u8?_HLS_msn=103 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await eventually(lambda: running.holds.waiting == 1)
    stopping = asyncio.create_task(running.server.stop(5))
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"connection: close" in answer
    assert await idle.read() == b""
    await stopping
    assert running.holds.waiting == 0
    with pytest.raises(ConnectionRefusedError):
        await running.connect()
    await running.server.stop(5)


async def test_r5_a_viewer_who_does_not_read_is_cut_at_the_deadline(running: Running) -> None:
    """One slow viewer must not hold the process."""
    cam = running.directory.find("live", "cam")
    assert isinstance(cam, MemoryPlayable)
    cam.add_media("r1", "big.ts", bytes(30_000_000))
    reader, writer = await running.connect()
    writer.write(f"GET /live/cam/~{SID}/r1/big.ts HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readline()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await running.server.stop(0.3)
    assert loop.time() - began < 3
