"""Runs the HTTPS listener inside our event loop: TLS, then HTTP/2 or HTTP/1.1 as the client chose by ALPN.

Both ask the same judge, wait at the same holds and count in the same bounds as the plain listener. HTTP/1.1 is
uvicorn's protocol, HTTP/2 our own (docs/http2.md says why). A sweep once a second sets the Date header, looks for a
changed certificate and ends connections that have overstayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from email.utils import formatdate
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hlsd.delivery import http2_headers
from hlsd.delivery.certificate import Certificate
from hlsd.delivery.connections import Connections
from hlsd.delivery.http2_connection import Http2Connection, Road
from hlsd.delivery.https_settings import HttpsSettings
from hlsd.delivery.server import MAX_BACKLOG, Log
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls_protocol import TlsProtocol
from hlsd.listening import listen

FAREWELL = 0.5
"""Seconds that a draining HTTP/2 connection with requests under way waits before it says GOAWAY."""
SWEEP = 1.0
"""Seconds between two sweeps."""


class HttpsServer:
    """One HTTPS listener for `app`, which the plain listener serves too. Without a certificate it does nothing."""

    def __init__(
        self,
        settings: HttpsSettings,
        http: HttpSettings,
        app: Starlette,
        log: Log,
    ) -> None:
        self._settings = settings
        self._keep_alive = http.keep_alive
        self._app = app
        self._log = log
        self._state = ServerState()
        self._config = uvicorn.Config(
            app,
            http=TlsProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=http.keep_alive,  # type: ignore[arg-type]  # handed to call_later: a float does
        )
        self.road = Road(
            app,
            app.state.judge,
            app.state.errands,
            max_streams=settings.max_streams,
            max_header=settings.max_header,
            sessions=app.state.sessions,
            freed=app.state.connections.free,
        )
        self._bounds: Connections = app.state.connections
        self._certificate: Certificate | None = None
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._headless: dict[HttpToolsProtocol, float] = {}
        self.port = 0

    @property
    def connections(self) -> int:
        """Connections past their handshake."""
        return len(self.road.connections) + len(self._state.connections)

    async def start(self) -> None:
        """Binds and serves; `port` is the true one from here on, or 0 without a certificate.

        Raises:
            OSError: the address cannot be listened on, or the certificate not be used.
        """
        settings = self._settings
        if not settings.cert:
            return
        alpn = ["http/1.1"]
        if settings.http2 and http2_headers.AVAILABLE:
            alpn.insert(0, "h2")
        elif settings.http2:
            self._log.warning(
                "no HTTP/2: the package hpack is missing (pip install 'hlsd[h2]'); HTTPS has HTTP/1.1 only"
            )
        certificate = Certificate(settings.cert, settings.key, alpn)
        context = certificate.context()
        sock = listen("https.port", settings.bind, settings.port, MAX_BACKLOG)
        self._config.load()
        self._date()
        self._certificate = certificate
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Door(self),
            sock=sock,
            ssl=context,
            backlog=MAX_BACKLOG,
            ssl_handshake_timeout=settings.header_timeout,
            ssl_shutdown_timeout=2.0,  # a client that never says goodbye is not waited for
        )
        self.port = sock.getsockname()[1]
        self._sweeping = asyncio.create_task(self._sweep(), name="https sweep")
        self._log.info("https listening", bind=settings.bind, port=self.port, protocols=alpn)

    async def stop(self, deadline: float = 5.0) -> None:
        """Drains for at most `deadline` seconds; safe to call twice."""
        server, self._server = self._server, None
        if server is None or self._sweeping is None:
            return
        server.close()
        for h1 in list(self._state.connections):
            h1.shutdown()  # idle ones close; the others say `Connection: close` with their answer
        self._app.state.holds.drain()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        until = begun + deadline
        while self.connections and loop.time() < until:
            for h2 in list(self.road.connections):
                # some clients take no answer that comes after GOAWAY, so it waits a moment for the held ones
                if not h2.busy or loop.time() - begun > FAREWELL:
                    h2.shutdown()
            await asyncio.sleep(0.01)  # uvicorn's connections end without a word: they are looked at
        if self.connections:
            self._log.warning("https cut off", connections=self.connections)
        for h2 in list(self.road.connections):
            h2.abort()
        for h1 in list(self._state.connections):
            h1.transport.abort()
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping
        while self.connections and loop.time() < until + 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        self._log.info("https stopped", port=self.port)

    def admit(self, transport: asyncio.Transport) -> None:
        """Gives a connection past its handshake to the protocol it chose."""
        peer = transport.get_extra_info("peername")
        full = self._server is None or self.connections >= self._settings.max_connections
        address = None if full else self._bounds.enter(str(peer[0]) if peer else "", reserve=False)
        if address is None:
            transport.abort()
            return
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        protocol: asyncio.Protocol
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            protocol = Http2Connection(self.road, address)
        else:
            protocol = http1 = TlsProtocol(self._config, self._state, {})
            http1.address, http1.freed = address, self._bounds.free
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            self._date()
            self._refresh()
            now = loop.time()
            for connection in list(self.road.connections):
                connection.sweep(
                    now,
                    header=self._settings.header_timeout,
                    idle=self._keep_alive,
                    stall=self._settings.stall_timeout,
                )
            self._sweep_http1(now)

    def _sweep_http1(self, now: float) -> None:
        """Cuts connections whose next request's header does not come; uvicorn's own timer covers silent ones only."""
        waiting: dict[HttpToolsProtocol, float] = {}
        connections: set[Any] = self._state.connections
        for connection in list(connections):
            begun = connection.cycle is not None and not connection.cycle.response_complete
            if begun or connection.timeout_keep_alive_task is not None:
                continue
            waiting[connection] = since = self._headless.get(connection, now)
            if now - since >= self._settings.header_timeout:
                connection.transport.abort()
        self._headless = waiting

    def _date(self) -> None:
        self.road.common = self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def _refresh(self) -> None:
        if self._certificate is None:
            return
        try:
            if self._certificate.refresh():
                self._log.info("certificate loaded", cert=self._settings.cert)
        except OSError as error:
            self._log.warning("certificate refused", reason=error.strerror or str(error))


class _Door(asyncio.Protocol):
    """Stands in until the handshake has told the protocol."""

    def __init__(self, server: HttpsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.admit(cast("asyncio.Transport", transport))  # uvloop's is one in all but its bases
