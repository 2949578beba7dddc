"""A server on a free port of loopback, over streams in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import structlog

from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app


@dataclass
class Running:
    """A started server and a client of it."""

    directory: MemoryDirectory
    holds: BlockedRequests
    server: HttpServer
    client: httpx.AsyncClient
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, cut when the test is over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        self.writers.append(writer)
        return reader, writer

    async def cut(self) -> None:
        """Ends every bare connection."""
        for writer in self.writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def run(settings: HttpSettings) -> AsyncIterator[Running]:
    directory = MemoryDirectory(
        cam=MemoryPlayable(), ll=MemoryPlayable(low_latency=True), new=MemoryPlayable(begun=False)
    )
    app = web_app(directory, viewers(), settings, rtmp_port=1936)
    server = HttpServer(settings, app, structlog.get_logger())
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        running = Running(directory, app.blocked, server, client)
        yield running
        await running.cut()
    await server.stop(2)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async for server in run(HttpSettings(bind="127.0.0.1", port=0, max_waiters=3)):
        yield server
