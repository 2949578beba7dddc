"""The ways out of FLV on real sockets: HTTP and RTMP listeners over one feed, with sessions and a gate of their own."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from hlsd.base.clock import SystemClock
from hlsd.delivery.flv.service import FlvService
from hlsd.delivery.flv.settings import FlvSettings
from hlsd.delivery.flv.streams import FlvStreams
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.judge import Judge
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import create_app
from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.ingest.settings import RtmpSettings
from hlsd.ports import Denial, Grant, PlayRequest, PublishRequest
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.stats import Stats
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.rtmp_room import NotedAdmission
from tests.support.viewers import TrustingSigner
from tests.support.watchers import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class NotedGate:
    """Lets in whoever asks, unless `denial` is set, and notes who asked."""

    def __init__(self) -> None:
        self.denial: Denial | None = None
        self.grant = Grant()
        self.asked: list[PlayRequest] = []
        self.open = asyncio.Event()
        self.open.set()

    async def play(self, request: PlayRequest) -> Grant | Denial:
        self.asked.append(request)
        await self.open.wait()
        return self.denial or self.grant

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        return self.grant

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        return grant

    def hides_names(self, app: str) -> bool:
        return False


@dataclass
class FlvServices:
    """What runs, and the feed `live/cam`."""

    http: HttpServer
    rtmp: RtmpServer
    streams: FlvStreams
    sessions: Registry
    gate: NotedGate
    stats: Stats
    feed: Feed = field(default_factory=Feed)

    async def ask(self, request: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Sends a request's lines on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http.port)
        writer.write(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        return reader, writer

    async def answer(self, request: str) -> bytes:
        """Sends a request and returns all that comes until the server closes."""
        reader, writer = await self.ask(request)
        async with asyncio.timeout(10):
            said = await reader.read()
        writer.close()
        return said


@contextlib.asynccontextmanager
async def flv_services(origins: Sequence[str] = ("*",), **settings: object) -> AsyncIterator[FlvServices]:
    """Both listeners on free loopback ports; `settings` are those of section flv, `origins` are `http.allow_origin`."""
    clock, gate, stats = SystemClock(), NotedGate(), Stats()
    sessions = Registry(TrustingSigner(), clock, lambda _app, _name: 60.0, max_sessions=100, gate=gate, stats=stats)
    http = HttpSettings(bind="127.0.0.1", port=0, allow_origin=list(origins))
    directory = MemoryDirectory(cam=MemoryPlayable())
    entrance = ViewerEntrance(sessions, directory, stats)
    streams = FlvStreams(FlvSettings.model_validate({"gather": 0, **settings}), entrance, sessions)
    judge = Judge(directory, sessions, http)
    routes = FlvService(streams, judge, clock).routes()
    web = create_app(directory, sessions, http, clock, entrance=entrance, judge=judge, routes=routes, stats=stats)
    server = HttpServer(http, web, structlog.get_logger())
    rtmp = RtmpServer(RtmpSettings(bind="127.0.0.1", port=0), NotedAdmission(), Intake, clock, audience=streams)
    services = FlvServices(server, rtmp, streams, sessions, gate, stats)
    await server.start()
    await rtmp.start()
    streams.output(services.feed, PublishRequest("live", "cam", "test", "", 0, lambda _: None))
    try:
        yield services
    finally:
        gate.open.set()
        streams.end("shutdown")
        await rtmp.stop(1.0)
        await server.stop(2.0)
