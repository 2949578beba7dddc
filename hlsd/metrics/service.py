"""Runs what figures need of a server: the meter of the event loop, and a port of their own where settings name one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from time import monotonic
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from hlsd.base.logger import Log
from hlsd.base.pace import Pace
from hlsd.base.upkeep import end, keep, sweep
from hlsd.metrics.exporter import Exporter
from hlsd.metrics.lag import LagMeter
from hlsd.metrics.settings import MetricsSettings
from hlsd.net.listening import listen
from hlsd.net.strict_http import StrictProtocol, hush
from hlsd.ports import Service

SWEEP: Final = 1.0
"""Seconds between two looks at the connections."""
PACE: Final = Pace(header=10.0, idle=5.0, stall=30.0, body=10.0, whole=30.0)
"""Of whoever asks for figures; the silence between two requests is uvicorn's to end."""


class MetricsService(Service):
    """The service `metrics`. `port` is its own one once started, 0 if it has none."""

    def __init__(self, settings: MetricsSettings, exporter: Exporter, lag: LagMeter, log: Log) -> None:
        self._settings = settings
        self._exporter = exporter
        self._lag = lag
        self._log = log
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.port = 0

    def routes(self) -> list[Route]:
        """The figures on the HTTP ports, where they have no port of their own."""
        return self._exporter.routes()

    async def start(self) -> None:
        """Begins.

        Raises:
            OSError: the port is taken, or the address not this machine's.
        """
        settings = self._settings
        routes = self._exporter.routes(own_port=True)
        if routes:
            self._socket = listen("metrics.port", settings.bind, settings.port, 16)
            self.port = self._socket.getsockname()[1]
            config = uvicorn.Config(
                Starlette(routes=routes),
                http=StrictProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=64,
            )
            config.load()
            hush()
            server = uvicorn.Server(config)
            server.lifespan = config.lifespan_class(config)
            await server.startup(sockets=[self._socket])
            self._server = server
            faults = self._lag.faults
            self._ticking = keep(server.main_loop, "metrics_tick", faults, lambda: server.should_exit)
            self._sweeping = sweep(SWEEP, lambda: self._look(server), "metrics_sweep", faults)
            who = "whoever has metrics.token" if settings.token is not None else "whoever reaches the port"
            self._log.info("metrics listening", bind=settings.bind, port=self.port, read_by=who)
        self._lag.start()

    async def stop(self, deadline: float = 1.0) -> None:
        """Ends; safe to call twice."""
        await self._lag.stop()
        server, self._server = self._server, None
        if server is None or self._ticking is None:
            return
        server.should_exit = True
        await self._ticking
        await end(self._sweeping)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.shutdown(sockets=[self._socket] if self._socket else None), deadline)

    @staticmethod
    def _look(server: uvicorn.Server) -> None:
        now = monotonic()
        connections: set[Any] = server.server_state.connections
        for connection in list(connections):
            connection.sweep(now, PACE)
