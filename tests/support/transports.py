"""The transports to one set of streams, without sockets: bytes in, bytes out, at the parser.

`MemoryListener(fast=True)` has the listener's protocol as it runs, with `secure` over TLS; with `fast=False` it has
uvicorn's own, over the same ASGI app. A connection takes the bytes of its client in any pieces and keeps what it is
sent; over TLS it encrypts the ones and decrypts the others, both for real.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import ssl
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hlsd.delivery.http1.connections import ListenerTerms
from hlsd.delivery.http1.fastpath import FastProtocol
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.net.strict_http import StrictProtocol
from hlsd.net.tls import Certificates
from hlsd.net.tls_transport import Tls, TlsTransport
from hlsd.ports import Directory, ViewerSession
from hlsd.sessions.registry import Registry
from hlsd.sessions.signing import OPEN, Terms
from tests.support.viewers import TrustingSigner, viewers
from tests.support.web import web_app

DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")


class Pipe:
    """A transport that takes everything, or as much as `room` says."""

    def __init__(self, ip: str = "192.0.2.1") -> None:
        self.ip = ip
        self.sent = bytearray()
        self.closed = False
        self.aborted = False
        self.protocol: Any = None
        self.room: int | None = None
        self.waiting = 0
        self.reading = True

    def write(self, chunk: bytes | memoryview) -> None:
        if self.closed:
            return
        self.arrive(chunk)
        if self.room is not None:
            taken = min(self.room, len(chunk))
            self.room -= taken
            paused = self.waiting > 0
            self.waiting += len(chunk) - taken
            if self.waiting and not paused:
                self.protocol.pause_writing()

    def arrive(self, chunk: bytes | memoryview) -> None:
        """The client will read `chunk`."""
        self.sent += chunk

    def writelines(self, chunks: tuple[bytes | memoryview, ...]) -> None:
        for chunk in chunks:
            self.write(chunk)

    def drain(self) -> None:
        """The client reads everything."""
        self.room = None
        if self.waiting:
            self.waiting = 0
            self.protocol.resume_writing()

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": (self.ip, 50000), "sockname": ("192.0.2.9", 8000)}.get(name, default)


class TlsPipe(Pipe):
    """The TCP transport under TLS; `sent` is what the client has decrypted."""

    def __init__(self, ip: str, *alpn: str) -> None:
        super().__init__(ip)
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = _client(*alpn).wrap_bio(self._come, self._go, server_hostname="localhost")

    def shake(self, transport: TlsTransport) -> None:
        """Shakes hands."""
        self.protocol = transport
        transport.connection_made(cast("asyncio.Transport", self))
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                transport.data_received(self._go.read())
            else:
                transport.data_received(self._go.read())
                return

    def encrypted(self, chunk: bytes) -> bytes:
        """What the client sends for `chunk`."""
        self.tls.write(chunk)
        return self._go.read()

    def arrive(self, chunk: bytes | memoryview) -> None:
        """Decrypts it, or notes the end."""
        self._come.write(chunk)
        if self.tls.version() is None:
            return  # the handshake is under way
        try:
            while octets := self.tls.read(1 << 20):
                self.sent += octets
            self.closed = True  # a goodbye: the client's follows
        except ssl.SSLWantReadError:
            pass


class Connection:
    """One client's connection."""

    def __init__(self, protocol: HttpToolsProtocol, ip: str) -> None:
        self.protocol = protocol
        self.pipe = Pipe(ip)
        self.pipe.protocol = protocol
        self.kept: list[bytes] = []
        protocol.connection_made(cast("asyncio.Transport", self.pipe))

    def feed(self, chunk: bytes) -> None:
        """The client sends `chunk`; while reading is paused it stays in the kernel."""
        self.kept.append(chunk)
        self.push()

    def push(self) -> None:
        """Delivers what the kernel has, as far as it is wanted."""
        while self.kept and self.pipe.reading and not self.pipe.closed:
            self.protocol.data_received(self.kept.pop(0))

    def hang_up(self) -> None:
        """The client is gone."""
        self.pipe.protocol.connection_lost(None)


class TlsConnection(Connection):
    """One client's connection over TLS."""

    def __init__(self, protocol: HttpToolsProtocol, ip: str) -> None:
        self.protocol = protocol
        self.pipe: TlsPipe = TlsPipe(ip, "http/1.1")
        self.kept = []
        self.pipe.shake(TlsTransport(_TLS, _context(), protocol, asyncio.get_running_loop()))

    def feed(self, chunk: bytes) -> None:
        """The client sends `chunk`, as one record or more."""
        super().feed(self.pipe.encrypted(chunk))

    def push(self) -> None:
        """Delivers what the kernel has, as far as it is wanted."""
        while self.kept and self.pipe.reading and not self.pipe.closed:
            self.pipe.protocol.data_received(self.kept.pop(0))


@functools.cache
def _client(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the machine's certificates, which take a while to load
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


_TLS = Tls()


@functools.cache
def _context() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder) / "cert.pem", Path(folder) / "key.pem"
        write_self_signed(cert, key, ["localhost"])
        return Certificates([(cert, key)], None, ["h2", "http/1.1"]).open(structlog.get_logger(), 0.0)


class CountedProtocol(FastProtocol):
    """As it runs, and it tells how often it answered or held by itself."""

    answered = 0

    def _serve(self, session: ViewerSession, rest: bytes) -> bool:
        served = super()._serve(session, rest)
        self.answered += served
        return served


class MemoryListener:
    """A listener without a socket."""

    def __init__(
        self, directory: Directory, settings: HttpSettings | None = None, *, fast: bool = True, secure: bool = False
    ) -> None:
        self.settings = settings or HttpSettings(max_requests=0)
        self.sessions: Registry = viewers(signer=_IdsInOrder())
        self.app = web_app(directory, self.sessions, self.settings)
        self.server = HttpServer(self.settings, self.app, structlog.get_logger())
        self.hot: HotPath = self.app.hot
        self.state = ServerState()
        self.state.default_headers = [DATE]
        self.hot.dates = self.state
        self._config = uvicorn.Config(
            self.app, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False
        )
        self._config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._make = partial(CountedProtocol, self.hot) if fast else StrictProtocol
        self._terms: ListenerTerms | None = None
        if secure:
            bounds = self.hot.connections
            self._terms = ListenerTerms(bounds.terms.head, bounds.terms.stall, bounds.free)

    def connect(self, ip: str = "192.0.2.1") -> Connection:
        """A new client."""
        loop = asyncio.get_running_loop()
        if self._terms is None:
            return Connection(self._make(self._config, self.state, {}, loop), ip)
        address = self.hot.connections.enter(ip, reserve=False)
        assert address is not None, "who is turned away before his handshake has no connection"
        protocol = CountedProtocol(self.hot, self._config, self.state, {}, loop, terms=self._terms, address=address)
        return TlsConnection(protocol, ip)


class _IdsInOrder(TrustingSigner):
    """Two transports must not differ by chance."""

    def mint(self, path: str, terms: Terms = OPEN, like: bytes = b"") -> bytes:
        super().mint(path, terms, like)
        return b"B" * 20 + b"%08d" % len(self.minted)


async def settle(*connections: Connection) -> None:
    """Turns the event loop until nothing more happens."""
    calm = 0
    while calm < 4:
        before = [len(one.pipe.sent) for one in connections]
        for _ in range(3):
            await asyncio.sleep(0)
        for one in connections:
            one.push()
        calm = 0 if before != [len(one.pipe.sent) for one in connections] else calm + 1


def undated(sent: bytes | bytearray) -> bytes:
    """Without what may differ from one second to the next."""
    return re.sub(rb"date: [^\r]*\r\n", b"", bytes(sent))
