"""The table of rooms: every way in and every way out that `app` starts, one line each.

A room is made from the `House` and has a start and a stop; it reads its own settings section. Rooms start in this
order: HTTP last, so that `/healthz` answers when everything listens. They stop in it too, ways in before ways out, so
that viewers are served until the last publisher has been let go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from starlette.routing import Route

from hlsd.delivery.flv_road import FlvRoad
from hlsd.delivery.https import HttpsServer
from hlsd.delivery.server import HttpServer
from hlsd.delivery.web import create_app
from hlsd.flv.broadcasts import Broadcasts
from hlsd.flv.room import FlvRoom
from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.sessions.registry import Registry

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from hlsd.clock import Clock
    from hlsd.config import Settings
    from hlsd.hub import Hub


class Room(Protocol):
    """Something that listens."""

    @property
    def port(self) -> int:
        """The TCP port it listens on, once started; 0 if none."""
        ...

    async def start(self) -> None:
        """Begins to listen. Raises OSError when it cannot, with one line that says where and why."""
        ...

    async def stop(self, deadline: float) -> None:
        """Stops listening, lets what is under way finish for at most `deadline` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What every room may use."""

    settings: Settings
    clock: Clock
    hub: Hub
    sessions: Registry
    web: Starlette
    """What HTTP answers, on every port of it."""
    audience: Broadcasts
    """Feeds FLV tags to viewers of HTTP, WebSocket and RTMP."""


def house_of(settings: Settings, clock: Clock, hub: Hub, sessions: Registry) -> House:
    """The house around a hub."""
    web = create_app(hub, sessions, settings.http, clock, rtmp_port=settings.rtmp.port)
    audience = Broadcasts(settings.flv, hub, sessions)
    hub.on_stream(audience.begun)
    web.router.routes.insert(0, Route("/{app}/{name}.flv", FlvRoad(audience, web.state.judge)))
    return House(settings, clock, hub, sessions, web, audience)


def _http(house: House) -> Room:
    return HttpServer(house.settings.http, house.web, structlog.get_logger())


def _https(house: House) -> Room:
    return HttpsServer(house.settings.https, house.settings.http, house.web, structlog.get_logger())


def _rtmp(house: House) -> Room:
    log = structlog.get_logger()
    return RtmpServer(house.settings.rtmp, house.hub, Intake, house.clock, log, audience=house.audience)


def _flv(house: House) -> Room:
    return FlvRoom(house.audience, house.clock)


ROOMS: tuple[tuple[str, Callable[[House], Room]], ...] = (
    ("rtmp", _rtmp),
    ("flv", _flv),
    ("https", _https),
    ("http", _http),
)
