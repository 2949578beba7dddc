"""The way in of pages that record, on a real socket, with an admission that notes what its publications get."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from hlsd.base.clock import SystemClock
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.judge import Judge
from hlsd.delivery.recorder.service import RecorderService
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import create_app
from hlsd.ingest.recorder.publisher import RecorderHost
from hlsd.ingest.recorder.room import RecorderRoom
from hlsd.media.unit import Kind
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.stats import Stats
from tests.support.playable import MemoryDirectory
from tests.support.rtmp_room import NotedAdmission, NotedPublication
from tests.support.viewers import viewers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Publication, PublishRequest, Refuse


@dataclass
class NotedUnits(NotedPublication):
    """A publication that notes what it gets."""

    units: list[AccessUnit] = field(default_factory=list)
    told: list[Tracks] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    """How many units had come."""

    def tracks(self, tracks: Tracks) -> None:
        self.told.append(tracks)

    def unit(self, unit: AccessUnit) -> None:
        self.units.append(unit)

    def jump(self) -> None:
        self.jumps.append(len(self.units))

    def pictures(self) -> list[AccessUnit]:
        """The pictures of it."""
        return [unit for unit in self.units if unit.kind is Kind.VIDEO]


class UnitAdmission(NotedAdmission):
    """An admission of such."""

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        self.requests.append(request)
        await self.gate.wait()
        if self.verdict is not None:
            return self.verdict
        self.publications.append(NotedUnits(request.name))
        return self.publications[-1]


@dataclass
class Recorders:
    """What listens, and what it told its neighbours."""

    http: HttpServer
    room: RecorderRoom
    admission: UnitAdmission
    stats: Stats

    @property
    def publication(self) -> NotedUnits:
        """The one that there is."""
        (one,) = self.admission.publications
        assert isinstance(one, NotedUnits)
        return one

    def connect(self, path: str = "/live/show/publish?sign=1", origin: str | None = None, *offered: str) -> connect:
        """A page's connection."""
        return connect(
            f"ws://127.0.0.1:{self.http.port}{path}",
            compression=None,
            subprotocols=[Subprotocol(one) for one in offered] or None,
            origin=origin,  # type: ignore[arg-type]
            proxy=None,
        )


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next text of that type; others are passed over."""
    while True:
        told: dict[str, Any] = json.loads(await socket.recv())
        if told["type"] == kind:
            return told


async def start(socket: ClientConnection, mime: str = "video/x-matroska;codecs=avc1,opus", **more: Any) -> str:
    """Sends a start; the id in the answer."""
    await socket.send(json.dumps({"type": "start", "mime": mime, **more}))
    ident: str = (await hear(socket, "ready"))["id"]
    return ident


@contextlib.asynccontextmanager
async def recorder_room(
    *,
    verdict: Refuse | None = None,
    on: bool = True,
    grace: float = 10.0,
    idle: float = 30.0,
    most: int = 4 << 20,
    origins: Sequence[str] = ("*",),
) -> AsyncIterator[Recorders]:
    """On a free loopback port, without a sound desk."""
    stats = Stats()
    admission = UnitAdmission(verdict)
    http = HttpSettings(bind="127.0.0.1", port=0, allow_origin=list(origins))
    directory, sessions = MemoryDirectory(), viewers()
    judge = Judge(directory, sessions, http)
    clock = SystemClock()
    host = RecorderHost(admission, clock, structlog.get_logger(), stats.faults, None, 15.0, idle, grace)
    room = RecorderRoom(host)
    service = RecorderService(room, judge, stats.faults, most, on=on)
    entrance = ViewerEntrance(sessions, directory, stats)
    web = create_app(
        directory, sessions, http, clock, entrance=entrance, judge=judge, routes=service.routes(), stats=stats
    )
    server = HttpServer(http, web, structlog.get_logger())
    await service.start()
    await server.start()
    try:
        yield Recorders(server, room, admission, stats)
    finally:
        admission.gate.set()
        for publisher in room.publishers:
            publisher.drop("shutdown")
        await service.stop(1.0)
        await server.stop(1.0)
    assert not stats.faults.tasks.total()
