"""Is the core of a server with workers: all that there is of a server but its HTTP ports, which the workers have.

It takes publishers in, cuts, keeps sessions, tells events, answers the API: what workers hand on comes by a Unix
socket (`hlsd.workers.tunnel`), from a peer without an address whose word on the viewer is good.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hlsd import app, config
from hlsd.base.upkeep import end, sweep
from hlsd.cluster.store_server import StoreServer
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import TunnelSettings
from hlsd.ports import Service
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.workers.beat import Beat
from hlsd.workers.counts_line import CountsService
from hlsd.workers.feed_source import FeedSources
from hlsd.workers.orders import SHARE, counts_path, feed_path, key_path, store_path, tunnel_path
from hlsd.workers.session_store import RegistryStore

if TYPE_CHECKING:
    import asyncio

    from hlsd.config import Settings
    from hlsd.node import Node
    from hlsd.services import Services
    from hlsd.workers.orders import Orders


class StoreService(Service):
    """The service `store`: the sessions of this server, for its workers."""

    def __init__(self, node: Node, folder: str) -> None:
        directory = node.sessions.directory
        assert isinstance(directory, LocalDirectory)
        self._store = RegistryStore(node.sessions, directory, node.session_idle, node.clock)
        self._server = StoreServer(self._store, Path(store_path(folder)), node.stats.faults)
        self._node = node
        self._folder = folder
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Leaves the key for the workers, and listens. Raises OSError."""
        await self._server.start()
        path = Path(key_path(self._folder))
        new = path.with_suffix(".new")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, self._node.key.secret)
        finally:
            os.close(file)
        new.replace(path)  # whole, or not there
        self._sweeping = sweep(1.0, self._store.sweep, "store_sweep", self._node.stats.faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002
        """Hangs up."""
        await end(self._sweeping)
        await self._server.stop()


def _feed(services: Services, folder: str) -> Service:
    node = services.node
    return FeedSources(feed_path(folder), node.hub.find, node.stats.faults)


def _store(services: Services, folder: str) -> Service:
    return StoreService(services.node, folder)


def _counts(services: Services, folder: str) -> Service:
    return CountsService(counts_path(folder), services.web, services.node.stats.faults)


def _tunnel(services: Services, folder: str) -> Service:
    node = services.node
    return HttpServer(node.settings.http, services.web, node.log, path=tunnel_path(folder))


def settings_of(settings: Settings) -> Settings:
    """The core's part of a server's settings."""
    http = TunnelSettings.model_validate(settings.http.model_dump())
    drain = settings.server.drain_timeout * (1 - SHARE)
    return settings.model_copy(
        update={"http": http, "server": settings.server.model_copy(update={"drain_timeout": drain})}
    )


def _of_workers(key: tuple[str, str]) -> bool:
    """What the workers have of it that take the place of the ones before: all of HTTP but its sockets."""
    section, name = key
    return section in {"http", "https"} and name not in {"bind", "port", "congestion"}


async def run(settings: Settings, orders: Orders) -> int:
    """Runs it until it is told to stop. Returns the exit status; raises HlsdError as `hlsd.app.serve`."""
    folder = orders.folder
    fronts = tuple((name, partial(make, folder=folder)) for name, make in _FRONTS)
    beat = Beat(orders.line)
    path = Path(orders.config) if orders.config else None
    source = app.ConfigSource(
        lambda: settings_of(config.load(path, os.environ, orders.overrides)), _of_workers, beat.changed
    )

    def ready(server: app.Server) -> None:
        beat.ready({name: service.port for name, service in server.services.items() if service.port})

    try:
        return await app.serve(settings_of(settings), ready=ready, fronts=fronts, source=source)
    finally:
        await beat.stop()


_FRONTS = (("feed", _feed), ("store", _store), ("counts", _counts), ("tunnel", _tunnel))
