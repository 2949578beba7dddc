"""The way in of FLV by HTTP on real sockets, plain and TLS, with an admission and an intake that only write down."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hlsd.base.clock import SystemClock
from hlsd.delivery.flv_publish.service import FilePublishService
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.judge import Judge
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.delivery.web import create_app
from hlsd.ingest.file_form import flv_form
from hlsd.ingest.file_publisher import FilePublishers
from hlsd.media import flv
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.stats import Stats
from tests.support.playable import MemoryDirectory
from tests.support.rtmp_room import NotedAdmission, NotedTags
from tests.support.viewers import viewers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from hlsd.ports import Publication
    from tests.support.rtmp_room import NotedPublication

HEADER = flv.file_header(video=True, audio=True)


def tag(number: int, size: int = 100) -> bytes:
    """A picture of `size` bytes, its time `number`."""
    return flv.file_tag(flv.VIDEO, number, b"\x27\x01" + bytes([number & 0xFF]) * (size - 2))


FILE = HEADER + b"".join(tag(number) for number in range(20))
"""A file of twenty tags."""


@dataclass
class FlvPublishRoom:
    """What listens, and what it told its neighbours."""

    http: HttpServer
    https: HttpsServer
    publishers: FilePublishers
    admission: NotedAdmission
    stats: Stats
    sinks: list[NotedTags] = field(default_factory=list)
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def publication(self) -> NotedPublication:
        """The one that there is."""
        (one,) = self.admission.publications
        return one

    @property
    def tags(self) -> list[int]:
        """The times of the tags that the only publisher's intake got."""
        (sink,) = self.sinks
        return [time for _, time, _ in sink.tags]

    async def send(self, head: str, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Sends a head's lines, and what follows, on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http.port)
        self.open.append(writer)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + b"".join(pieces))
        return reader, writer


@contextlib.asynccontextmanager
async def flv_publish_room(
    folder: Path | None = None,
    *,
    admission: NotedAdmission | None = None,
    raises: Exception | None = None,
    first: float = 15.0,
    idle: float = 30.0,
    on: bool = True,
    origins: Sequence[str] = ("*",),
) -> AsyncIterator[FlvPublishRoom]:
    """On free loopback ports; `folder` is for the certificate, without it there is no TLS."""
    clock, stats = SystemClock(), Stats()
    doorman = admission or NotedAdmission()
    sinks: list[NotedTags] = []

    def intake(_publication: Publication, _now: float) -> NotedTags:
        sinks.append(NotedTags(raises))
        return sinks[-1]

    http = HttpSettings(bind="127.0.0.1", port=0, allow_origin=list(origins))
    directory, sessions = MemoryDirectory(), viewers()
    judge = Judge(directory, sessions, http)
    publishers = FilePublishers(doorman, flv_form(intake), clock, structlog.get_logger(), stats.faults, first, idle)
    service = FilePublishService(publishers, judge, stats.faults, on=on)
    entrance = ViewerEntrance(sessions, directory, stats)
    routes = service.routes()
    web = create_app(directory, sessions, http, clock, entrance=entrance, judge=judge, routes=routes, stats=stats)
    tls = HttpsSettings()
    if folder is not None:
        cert, key = folder / "cert.pem", folder / "key.pem"
        write_self_signed(cert, key, ["localhost", "127.0.0.1"])
        tls = HttpsSettings(bind="127.0.0.1", port=0, cert=str(cert), key=str(key))
    room = FlvPublishRoom(
        HttpServer(http, web, structlog.get_logger()),
        HttpsServer(tls, http, web, structlog.get_logger()),
        publishers,
        doorman,
        stats,
        sinks,
    )
    await service.start()
    await room.https.start()
    await room.http.start()
    try:
        yield room
    finally:
        doorman.gate.set()
        for writer in room.open:
            writer.transport.abort()
        await service.stop(1.0)
        await room.https.stop(1.0)
        await room.http.stop(1.0)
    assert not stats.faults.tasks.total()
