"""Runs the HTTPS listener inside our event loop: TLS, then HTTP/2 or HTTP/1.1 as the client chose by ALPN.

Both ask the same judge, wait in the same queues and count in the same bounds as the plain listener. HTTP/1.1 is spoken
by the protocol of that listener, with the same ready answers; HTTP/2 by our own (docs/http2.md says why). A sweep once
a second sets the Date header, looks for a changed certificate and ends connections that have overstayed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from email.utils import formatdate
from time import monotonic

import uvicorn
from uvicorn.server import ServerState

from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.base.pace import Pace
from hlsd.base.upkeep import end, sweep
from hlsd.delivery.http1.connections import ClientAddress, Connections, ListenerTerms
from hlsd.delivery.http1.fastpath import FastProtocol
from hlsd.delivery.http1.server import MAX_BACKLOG
from hlsd.delivery.http2 import headers as http2_headers
from hlsd.delivery.http2.connection import Http2Connection, Http2Context
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.protocol import PlainTlsProtocol
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.delivery.web import WebApp
from hlsd.net.congestion import Congestion
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity
from hlsd.net.listener import Listener
from hlsd.net.listening import listen
from hlsd.net.tls import Certificates
from hlsd.net.tls_transport import TlsTransport
from hlsd.net.uvicorn_fit import fits
from hlsd.ports import Commit, Reloadable, Service

FAREWELL = 0.5
"""Seconds that a draining HTTP/2 connection with requests under way waits before it says GOAWAY."""
SWEEP = 1.0
"""Seconds between two sweeps."""


class HttpsServer(Service):
    """One HTTPS listener for `web`, which the plain listener serves too. Without a certificate it does nothing."""

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        settings: HttpsSettings,
        http: HttpSettings,
        web: WebApp,
        log: Log,
        handshakes: Handshakes | None = None,
        *,
        given: socket.socket | None = None,
    ) -> None:
        self._settings = settings
        self._given = given
        wanted = http.congestion if settings.congestion is None else settings.congestion
        self._congestion = Congestion("https.congestion", wanted, log)
        self._pace = Pace(
            header=settings.header_timeout,
            idle=http.keep_alive,
            stall=settings.stall_timeout,
            body=http.body_timeout,
            whole=http.body_deadline,
        )
        self._web = web
        self._log = log
        self._state = ServerState()
        self._config = uvicorn.Config(
            web.app,
            http=FastProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=http.keep_alive,  # type: ignore[arg-type]  # handed to call_later: a float does
        )
        self.http2 = Http2Context(
            web.app,
            web.judge,
            web.runner,
            web.hot,
            max_streams=settings.max_streams,
            max_header=settings.max_header,
            freed=self.leave,
        )
        self._bounds: Connections = web.connections
        self._terms = ListenerTerms(settings.header_timeout, settings.stall_timeout, self.leave)
        self._faults: Faults = web.stats.faults
        self.handshakes = handshakes or Handshakes(settings.max_handshakes, settings.max_handshakes_per_ip)
        self._proxies = http.proxies
        self._certificates: Certificates | None = None
        self._listener: Listener[ClientAddress] | None = None
        self._taken = 0
        self._sweeping: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def connections(self) -> int:
        """Connections past their handshake."""
        awaited = self._listener.awaited if self._listener is not None else 0
        return len(self.http2.connections) + len(self._state.connections) + awaited

    def reloads(self) -> tuple[Reloadable, ...]:
        """Certificates."""
        files = frozenset({"cert", "key", "certificates", "certificates_dir"})
        return (Reloadable("https", files, self._certify, always=True),) if self._certificates is not None else ()

    def _certify(self, settings: HttpsSettings) -> Commit:
        assert self._certificates is not None
        now = asyncio.get_running_loop().time()
        return self._certificates.turn_to(settings.pairs, settings.certificates_dir, self._log, now)

    @property
    def identities(self) -> Sequence[Identity]:
        """The certificates that it shows."""
        return self._certificates.identities if self._certificates is not None else ()

    async def start(self) -> None:
        """Binds and serves; `port` is the true one from here on, or 0 without a certificate.

        Raises:
            OSError: the address cannot be listened on, or the certificate not be used.
        """
        settings = self._settings
        if not settings.secure:
            return
        alpn = ["http/1.1"]
        if settings.http2 and http2_headers.AVAILABLE:
            alpn.insert(0, "h2")
        elif settings.http2:
            self._log.warning(
                "no HTTP/2: the package hpack is missing (pip install 'hlsd[h2]'); HTTPS has HTTP/1.1 only"
            )
        certificates = Certificates(settings.pairs, settings.certificates_dir, alpn)
        context = certificates.open(self._log, asyncio.get_running_loop().time())
        sock = listen("https.port", settings.bind, settings.port, MAX_BACKLOG, self._congestion, self._given)
        self.congestion = self._congestion.held
        self._config.load()
        self._date()
        self._certificates = certificates
        self._listener = Listener(
            sock, self, context, settings.header_timeout, self.handshakes, self._proxies, _speaks_first
        )
        self.port = sock.getsockname()[1]
        self._sweeping = sweep(SWEEP, self._sweep, "https_sweep", self._faults)
        self._log.info(
            "https listening", bind=settings.bind, port=self.port, protocols=alpn, congestion=self.congestion
        )

    def yield_port(self) -> None:
        """As `HttpServer.yield_port`; connections of HTTP/2 end in their own order when it stops."""
        if self._listener is not None:
            self._listener.close()
            for h1 in list(self._state.connections):
                if isinstance(h1, FastProtocol):
                    h1.yields()

    async def stop(self, deadline: float = 5.0) -> None:
        """Drains for at most `deadline` seconds; safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        listener.dismiss()
        for h1 in list(self._state.connections):
            h1.shutdown()  # idle ones close; the others say `Connection: close` with their answer
        self._web.blocked.drain()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        until = begun + deadline
        while self.connections and loop.time() < until:
            for h2 in list(self.http2.connections):
                # some clients take no answer that comes after GOAWAY, so it waits a moment for the held ones
                if not h2.busy or loop.time() - begun > FAREWELL:
                    h2.shutdown()
            await asyncio.sleep(0.01)  # uvicorn's connections end without a word: they are looked at
        await listener.cut()
        await self._cut(until + 1.0)
        self._log.info("https stopped", port=self.port)

    async def _cut(self, until: float) -> None:
        """Ends what is left."""
        if self.connections:
            self._log.warning("https cut off", connections=self.connections)
        for h2 in list(self.http2.connections):
            h2.abort()
        for h1 in list(self._state.connections):
            h1.transport.abort()
        await end(self._sweeping)
        loop = asyncio.get_running_loop()
        while self.connections and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def place(self, ip: str, sock: socket.socket) -> ClientAddress | None:  # noqa: ARG002 - HTTP counts its own files
        """A place for a connection of `ip`, from before its handshake on."""
        if self._listener is None or self._taken >= self._settings.max_connections:
            return None
        address = self._bounds.enter(ip, reserve=False)
        self._taken += address is not None
        return address

    def shut_out(self) -> None:
        """There is no file left: the reserve of HTTP is there so that this does not happen."""
        self._bounds.refused += 1

    def leave(self, address: ClientAddress) -> None:
        """A connection is over, or its handshake came to nothing."""
        self._taken -= 1
        self._bounds.free(address)

    def host(self, transport: asyncio.Transport, address: ClientAddress) -> None:
        """Gives a connection past its handshake to the protocol it chose; that one frees its place."""
        if self._listener is None:
            self.leave(address)
            transport.abort()
            return
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        protocol: asyncio.Protocol
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            protocol = Http2Connection(self.http2, address)
        elif fits():
            protocol = PlainTlsProtocol(self._config, self._state, address, self.leave)
        else:
            protocol = FastProtocol(self._web.hot, self._config, self._state, {}, terms=self._terms, address=address)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if isinstance(protocol, FastProtocol) and isinstance(transport, TlsTransport) and transport.since:
            protocol.begun = transport.since  # its time runs since the handshake
            self._bounds.expect(protocol, protocol.begun + protocol.head)

    def _sweep(self) -> None:
        guard = self._faults.guard("https_sweep")
        with guard:
            self._date()
        with guard:
            self._refresh()
        now = asyncio.get_running_loop().time()
        for connection in list(self.http2.connections):
            with guard:
                connection.sweep(now, self._pace)
        with guard:
            self._bounds.sweep(monotonic())

    def _date(self) -> None:
        """One list for all listeners (`HotPath.dates`): the plain one's, if there is one."""
        dates = self._web.hot.dates
        if dates is self._state or not dates.default_headers:
            self._web.hot.dates = dates = self._state
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self.http2.common = self._state.default_headers = dates.default_headers

    def _refresh(self) -> None:
        if self._certificates is not None and self._listener is not None:
            self._certificates.refresh(self._log, asyncio.get_running_loop().time())
            self._listener.listen_with(self._certificates.listening)
            self._bounds.timed_out += self._listener.silent
            self._listener.silent = 0


def _speaks_first(tls: ssl.SSLObject) -> bool:
    """A client of HTTP/1.1: nothing is made for it before. The first frame of HTTP/2 is the server's to send."""
    return tls.selected_alpn_protocol() != "h2"
