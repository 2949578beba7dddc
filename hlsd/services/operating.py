"""Who makes what the operator looks at, and the ports that answer HTTP for all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.api.masking import shown
from hlsd.api.service import ApiService
from hlsd.console.history import History, points_of
from hlsd.console.service import ConsoleService
from hlsd.delivery.http1.server import HttpServer
from hlsd.metrics.exporter import Exporter
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.reading import Reader
from hlsd.metrics.service import MetricsService
from hlsd.net.figures import TlsFigures
from hlsd.services.unused import Unused

if TYPE_CHECKING:
    from hlsd.ports import Service
    from hlsd.services.services import Services


def metrics(services: Services) -> Service:
    """What Prometheus reads, and who says it."""
    node = services.node
    reader = Reader(
        lambda: [*node.figures(), TlsFigures(services.handshakes, services.certificates), *services.figures()],
        node.hub.named,
        node.stats,
        max_streams=node.settings.metrics.max_streams,
    )
    exporter = Exporter(reader, node.settings.metrics, node.clock.wall, node.may_read)
    lag = LagMeter(node.stats.loop_lag, node.stats.faults)
    return MetricsService(node.settings.metrics, exporter, lag, node.log)


def console(services: Services) -> Service:
    """The operator's pages."""
    node = services.node
    api = node.settings.api.enabled
    history = History(lambda: points_of(node.hub.streams, node.sessions.of_stream), node.clock.wall)
    return ConsoleService(node.settings.console, history, node.stats.faults, api=api)


def api(services: Services) -> Service:
    """The API, with what all services add to it."""
    node = services.node
    return ApiService(
        node.settings.api,
        node.hub,
        node.sessions,
        node.notify.ring,
        node.clock,
        node.access,
        node.log,
        config=lambda: shown(node.settings),
        server_id=node.id,
        more=services.operations,
        reread=services.reread,
        webhooks=node.notify.webhooks,
        snapshots=node.settings.snapshot.on_demand,
        congestion=lambda: {name: one.congestion for name, one in services.by_name.items() if one.congestion},
    )


def https(services: Services) -> Service:
    """The port that answers by TLS."""
    settings = services.node.settings
    if not settings.https.secure:
        return Unused()
    from hlsd.delivery.tls.https import HttpsServer  # noqa: PLC0415 - what is turned off is not loaded

    return HttpsServer(settings.https, settings.http, services.web, services.node.log, services.handshakes)


def http(services: Services) -> Service:
    """The plain port."""
    return HttpServer(services.node.settings.http, services.web, services.node.log)
