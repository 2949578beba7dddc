"""The table of rooms: every way in and every way out that `app` starts, one line each.

A room is made from the `Services` and has a start and a stop; it reads its own settings section. Rooms start in this
order: HTTP last, so that `/healthz` answers when everything listens. They stop in it too, ways in before ways out, so
that viewers are served until the last publisher has been let go.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from starlette.routing import Route

from hlsd.api.access import Access
from hlsd.api.handlers import ApiContext
from hlsd.api.masking import shown
from hlsd.api.middleware import asked, create_api
from hlsd.api.readiness import ready_route
from hlsd.auth.figures import AuthFigures
from hlsd.delivery.figures import DeliveryFigures
from hlsd.delivery.flv.endpoint import FlvEndpoint
from hlsd.delivery.flv.service import FlvService
from hlsd.delivery.flv.streams import FlvStreams
from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.web import blocked_requests_of, create_app
from hlsd.ingest.figures import RtmpFigures
from hlsd.ingest.intake import Intake
from hlsd.ingest.poll_reader import LONG_ROUND, ROUND
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.metrics.exporter import Exporter
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.node import NodeFigures
from hlsd.metrics.reading import Reader
from hlsd.metrics.service import MetricsService
from hlsd.net.kernel import file_limit
from hlsd.notify.event_ring import EventRing
from hlsd.notify.figures import NotifyFigures
from hlsd.relay.figures import RelayFigures
from hlsd.relay.routes import routes as relay_routes
from hlsd.relay.service import RelayService
from hlsd.relay.tasks import TaskStore
from hlsd.segmenter.figures import SegmentFigures
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.figures import SessionFigures
from hlsd.sessions.registry import Registry
from hlsd.stats import Stats
from hlsd.streams.directory import StreamDirectory
from hlsd.streams.figures import StreamFigures

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from hlsd.base.clock import Clock
    from hlsd.config import Settings
    from hlsd.streams.hub import Hub


class Service(Protocol):
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
class Services:
    """What every room may use."""

    settings: Settings
    clock: Clock
    hub: Hub
    sessions: Registry
    web: Starlette
    """What HTTP answers, on every port of it."""
    stats: Stats
    """Where every room counts."""
    exporter: Exporter
    """Who shows it."""
    events: EventRing
    """The last events."""
    relay: RelayService
    """What fetches streams from other servers and sends them on."""
    audience: FlvStreams
    """Feeds FLV tags to viewers of HTTP, WebSocket and RTMP."""


def services_of(  # noqa: PLR0913 - what a house stands on
    settings: Settings,
    clock: Clock,
    hub: Hub,
    sessions: Registry,
    stats: Stats,
    *,
    ring: EventRing,
    unready: Callable[[], Sequence[str]],
    local_token: str,
    impaired: Callable[[], Sequence[str]] = tuple,
) -> Services:
    """The house around a hub. `unready()` says why no viewer should be sent here, nothing if one may be.

    `impaired()` says what viewers of some streams do not get; `local_token` is how this machine's operator is known.
    """
    blocked = blocked_requests_of(settings.http, stats)
    connections = Connections(settings.http, time.monotonic(), file_limit(), stats.faults)
    reporters = (
        NodeFigures(stats),
        StreamFigures(hub, stats, settings.limits.max_memory),
        SegmentFigures(hub.run, stats),
        SessionFigures(sessions.ledger, stats),
        AuthFigures(stats),
        DeliveryFigures(blocked, connections, stats, hub.playables),
        NotifyFigures(stats.notify),
        RelayFigures(stats.relays),
        RtmpFigures(stats.rtmp_ended),
    )
    reader = Reader(reporters, hub.named, stats, max_streams=settings.metrics.max_streams)
    access = Access(settings.api, os.environ, settings.http.proxies, local_token)
    exporter = Exporter(
        reader, settings.metrics, clock.wall, lambda scope: access.reads(asked(scope), time.monotonic())
    )
    routes: list[BaseRoute] = [ready_route(unready, impaired), *exporter.routes()]
    relay = relay_of(settings, clock, hub, sessions, stats)
    if settings.api.enabled:
        premises = ApiContext(hub, sessions, ring, clock, lambda: shown(settings), server_id(settings))
        routes.append(create_api(premises, access, structlog.get_logger(), more=relay_routes(relay.relays)))
    directory = StreamDirectory(hub, relay)
    entrance = ViewerEntrance(sessions, directory, stats)
    web = create_app(
        directory,
        sessions,
        settings.http,
        clock,
        entrance=entrance,
        rtmp_port=settings.rtmp.port,
        routes=routes,
        stats=stats,
        blocked=blocked,
        connections=connections,
        listed=lambda app: not settings.auth.rules(app).play,
    )
    audience = FlvStreams(settings.flv, entrance, sessions, stats.faults)
    hub.outputs += [audience, relay]
    web.router.routes.insert(0, Route("/{app}/{name}.flv", FlvEndpoint(audience, web.state.judge)))
    return Services(settings, clock, hub, sessions, web, stats, exporter, ring, relay, audience)


def server_id(settings: Settings) -> str:
    """The name of this node."""
    return settings.server.id or socket.gethostname()


def relay_of(settings: Settings, clock: Clock, hub: Hub, sessions: Registry, stats: Stats) -> RelayService:
    """The relay room: it makes absent streams come, and pushes those that are here."""
    ports = {settings.rtmp.port, settings.rtmp.tls_port, settings.http.port, settings.https.port} - {0}
    return RelayService(
        settings.relay,
        hub,
        hub.find,
        lambda: sessions,
        clock,
        sessions.bus,
        structlog.get_logger(),
        tasks=TaskStore(Path(settings.server.state_dir) / "hlsd.sqlite"),
        server_id=server_id(settings),
        own_ports=lambda: ports,
        on_air=lambda: [stream for stream in hub.streams if stream.claim is not None],
        figures=stats.relay,
        abandon=hub.abandon,
        faults=stats.faults,
    )


def _http(house: Services) -> Service:
    return HttpServer(house.settings.http, house.web, structlog.get_logger())


def _https(house: Services) -> Service:
    return HttpsServer(house.settings.https, house.settings.http, house.web, structlog.get_logger())


def _rtmp(house: Services) -> Service:
    log = structlog.get_logger()
    period = ROUND if house.settings.hls.low_latency else LONG_ROUND
    return RtmpServer(
        house.settings.rtmp,
        house.hub,
        Intake,
        house.clock,
        log,
        audience=house.audience,
        round_period=period,
        faults=house.stats.faults,
        ended=house.stats.rtmp_ended,
    )


def _flv(house: Services) -> Service:
    return FlvService(house.audience, house.clock)


def _metrics(house: Services) -> Service:
    lag = LagMeter(house.stats.loop_lag, house.stats.faults)
    return MetricsService(house.settings.metrics, house.exporter, lag, structlog.get_logger())


def _relay(house: Services) -> Service:
    return house.relay


SERVICES: tuple[tuple[str, Callable[[Services], Service]], ...] = (
    ("rtmp", _rtmp),
    ("metrics", _metrics),
    ("relay", _relay),
    ("flv", _flv),
    ("https", _https),
    ("http", _http),
)
