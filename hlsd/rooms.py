"""The table of rooms: every way in and every way out that `app` starts, one line each.

A room is made from the `House` and has a start and a stop; it reads its own settings section. Rooms start in this
order: HTTP last, so that `/healthz` answers when everything listens. They stop in it too, ways in before ways out, so
that viewers are served until the last publisher has been let go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from hlsd.delivery.https import HttpsServer
from hlsd.delivery.server import HttpServer
from hlsd.delivery.web import create_app
from hlsd.ingest.intake import Intake
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.relay.relays import Relays
from hlsd.relay.room import RelayRoom
from hlsd.relay.tasks import TaskStore
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
    relay: RelayRoom
    """Its `relays` are what the API asks."""


def house_of(settings: Settings, clock: Clock, hub: Hub, sessions: Registry) -> House:
    """The house around a hub."""
    web = create_app(hub, sessions, settings.http, clock, rtmp_port=settings.rtmp.port)
    return House(settings, clock, hub, sessions, web, relay_of(settings, clock, hub, sessions))


def relay_of(settings: Settings, clock: Clock, hub: Hub, sessions: Registry) -> RelayRoom:
    """The relay room; it is behind the hub's door for absent streams from then on."""
    ports = {settings.rtmp.port, settings.rtmp.tls_port, settings.http.port, settings.https.port} - {0}
    room = RelayRoom(
        settings.relay,
        hub,
        hub.find,
        lambda: sessions,
        clock,
        sessions.bus,
        structlog.get_logger(),
        server_id=settings.server.id or socket.gethostname(),
        own_ports=lambda: ports,
        on_air=lambda: [stream for stream in hub.streams if stream.hold is not None],
    )
    room.relays = Relays(room, TaskStore(Path(settings.server.state_dir) / "hlsd.sqlite"))
    hub.on_demand = room
    hub.published.append(room.published)
    return room


def _http(house: House) -> Room:
    return HttpServer(house.settings.http, house.web, structlog.get_logger())


def _https(house: House) -> Room:
    return HttpsServer(house.settings.https, house.settings.http, house.web, structlog.get_logger())


def _rtmp(house: House) -> Room:
    return RtmpServer(house.settings.rtmp, house.hub, Intake, house.clock, structlog.get_logger())


def _relay(house: House) -> Room:
    return house.relay


ROOMS: tuple[tuple[str, Callable[[House], Room]], ...] = (
    ("rtmp", _rtmp),
    ("relay", _relay),
    ("https", _https),
    ("http", _http),
)
