"""Runs uvicorn inside our event loop: binds first, serves, drains.

uvicorn's own `serve` would install signal handlers and end the process when a port is taken; here the caller decides.
Its inner steps (`startup`, `main_loop`, `shutdown`) are called one by one, so `hlsd.net.uvicorn_fit` looks first
whether they are there, and whether our protocol can stand on uvicorn's. Draining: listeners close, idle connections
close, held requests get what is there, and answers under way may finish until the deadline; then their connections are
cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from time import monotonic
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.base.figures import Reporter
from hlsd.base.logger import Log
from hlsd.base.upkeep import end, keep
from hlsd.delivery.http1.fastpath import FastProtocol
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import WebApp
from hlsd.net.congestion import Congestion
from hlsd.net.listening import listen
from hlsd.net.strict_http import hush
from hlsd.net.uvicorn_fit import LOST, fits, steps
from hlsd.ports import Commit, Reloadable, Service

MAX_BACKLOG = 2048
"""Connections that may wait to be accepted."""
SWEEP = 0.25
"""Seconds between two looks at held requests; connections are looked at once a second."""
PERIOD = 60.0
"""Seconds between two lines about connections that were turned away."""


class HttpServer(Service):
    """One HTTP listener for `web`: on the port of its settings, on a socket that is `given`, or on a Unix `path`."""

    def __init__(
        self, settings: HttpSettings, web: WebApp, log: Log, *, given: socket.socket | None = None, path: str = ""
    ) -> None:
        self._given = given
        self._path = path
        self._settings = settings
        self._web = web
        self._log = log
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.protocol: type[FastProtocol] = FastProtocol
        """What its connections are; another one is for measurements."""
        self.port = settings.port

    def reloads(self) -> tuple[Reloadable, ...]:
        """How many connections there may be, of HTTPS too."""
        bounds = frozenset({"max_connections", "max_connections_per_ip"})

        def change(settings: HttpSettings) -> Commit:
            return lambda: self._web.connections.bound(settings)

        return (Reloadable("http", bounds, change),)

    async def start(self) -> None:
        """Binds and serves; `port` is the true one from here on.

        Raises:
            OSError: the address cannot be listened on.
            HlsdError: the uvicorn that is installed cannot be used.
        """
        steps()
        if misfit := fits():
            self._log.warning("uvicorn does not fit: plain ASGI", version=uvicorn.__version__, reason=misfit, lost=LOST)
        settings = self._settings
        congestion = Congestion("http.congestion", settings.congestion, self._log)
        if not self._path:
            self._socket = listen("http.port", settings.bind, settings.port, MAX_BACKLOG, congestion, self._given)
            self.congestion = congestion.held
        self.port = self._socket.getsockname()[1] if self._socket is not None else 0
        hot = self._web.hot
        fast = cast("type[asyncio.Protocol]", partial(self.protocol, hot))
        config = uvicorn.Config(
            self._web.app,
            http=HttpToolsProtocol if misfit else fast,
            limit_concurrency=self._settings.max_connections if misfit else None,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self._settings.keep_alive,  # type: ignore[arg-type]  # handed to call_later: a float does
            backlog=MAX_BACKLOG,
            uds=self._path or None,
        )
        config.load()
        hush()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.on_tick(0)  # the Date header must be there for the first answer
        hot.dates = server.server_state
        await server.startup(sockets=[self._socket] if self._socket is not None else None)
        self._server = server
        faults = hot.blocked.faults
        self._ticking = keep(server.main_loop, "http_tick", faults, lambda: server.should_exit)
        self._sweeping = keep(partial(self._sweep, hot), "http_sweep", faults)
        bind = self._path or settings.bind
        self._log.info("http listening", bind=bind, port=self.port, congestion=self.congestion)

    @property
    def hot(self) -> HotPath:
        """What its connections share."""
        return self._web.hot

    def yield_port(self) -> None:
        """Takes no more connections; those that are there may ask on, and each answer is the connection's last.

        An idle one is left alone: its client may be about to ask, and would meet a closed door.
        """
        server = self._server
        if server is not None:
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                if isinstance(connection, FastProtocol):
                    connection.yields()

    async def stop(self, deadline: float = 5.0) -> None:
        """Drains for at most `deadline` seconds; safe to call twice."""
        server, self._server = self._server, None
        if server is None or self._ticking is None:
            return
        server.should_exit = True
        await end(self._ticking)
        await end(self._sweeping)
        closing = asyncio.create_task(server.shutdown(sockets=[self._socket] if self._socket else None))
        await asyncio.sleep(0)  # every connection under way now answers with `Connection: close`
        self._web.blocked.drain()
        done, _ = await asyncio.wait([closing], timeout=deadline)
        if not done:
            self._log.warning("http cut", connections=len(server.server_state.connections))
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait([closing], timeout=1.0)
            closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        self._log.info("http stopped", port=self.port)

    def figures(self) -> tuple[Reporter, ...]:
        """Of all HTTP ports together."""
        return (self._web.figures(),)

    async def _sweep(self, hot: HotPath) -> None:
        turn = refused = 0
        told = -PERIOD
        guard = hot.blocked.faults.guard("http_sweep")
        while True:
            await asyncio.sleep(SWEEP)
            now = monotonic()
            with guard:
                hot.blocked.sweep(now)
            turn += 1
            if turn * SWEEP >= 1.0:
                turn = 0
                with guard:
                    hot.connections.sweep(now)
                    if hot.connections.refused != refused and now - told >= PERIOD:
                        self._log.warning("http connections turned away", count=hot.connections.refused - refused)
                        refused, told = hot.connections.refused, now
                with guard:
                    hot.caches.forget(hot.directory)
