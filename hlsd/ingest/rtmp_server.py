"""Lets publishers in by RTMP and RTMPS: the listening ports, all connections, and one sweep a second for deadlines.

What happens on a connection is `rtmp_peer`'s. Times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine, Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from hlsd.audience import Audience
from hlsd.base.clock import Clock
from hlsd.base.errors import ConfigError
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, sweep
from hlsd.ingest.connection_bounds import ConnectionBounds, Place, shut
from hlsd.ingest.figures import RtmpFigures
from hlsd.ingest.poll_reader import ROUND, PollReader
from hlsd.ingest.rtmp.server import ServerLimits
from hlsd.ingest.rtmp_peer import LINGER, RtmpPeer
from hlsd.ingest.rtmp_publisher import SHUTDOWN, IntakeFactory, TagSink
from hlsd.ingest.settings import RtmpSettings
from hlsd.net.congestion import Congestion
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity
from hlsd.net.kernel import file_limit
from hlsd.net.listener import Listener
from hlsd.net.listening import listen
from hlsd.net.tls import Certificates
from hlsd.ports import Admission, Commit, Reloadable, Service
from hlsd.ports.connecting import ConnectDesk

__all__ = ["IntakeFactory", "RtmpServer", "TagSink"]

_SWEEP = 1.0
_BACKLOG = 1024


class RtmpServer(Service):
    """The RTMP service. `start` opens the ports, `stop` closes them and every connection.

    `round_period`: seconds between two readings of all publishers (`hlsd.ingest.poll_reader`). `ended` counts the
    connections that the bounds turned away, by reason.
    """

    def __init__(  # noqa: PLR0913 - what a service is handed
        self,
        settings: RtmpSettings,
        admission: Admission,
        intake_factory: IntakeFactory,
        clock: Clock,
        log: FilteringBoundLogger | None = None,
        *,
        audience: Audience | None = None,
        connections: ConnectDesk | None = None,
        round_period: float = ROUND,
        faults: Faults | None = None,
        ended: Counter[str] | None = None,
        handshakes: Handshakes | None = None,
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self.admission = admission
        self.audience = audience
        self.connections_desk = connections
        self.intake_factory = intake_factory
        self.clock = clock
        self.log: FilteringBoundLogger = log or structlog.get_logger()
        self.limits = ServerLimits(
            handshake_timeout=settings.handshake_timeout,
            publish_timeout=settings.publish_timeout,
            idle_timeout=settings.idle_timeout,
            ping_interval=settings.ping_interval,
            max_message=settings.max_message,
            chunk_size=settings.chunk_size,
        )
        self.connections: set[RtmpPeer] = set()
        self.port = 0
        """The port that rtmp:// listens on, once started."""
        self.tls_port = 0
        """The port that rtmps:// listens on, once started; 0 without."""
        self.players = 0
        """How many connections play now."""
        self._hosted: dict[Place, RtmpPeer] = {}
        self.bounds = ConnectionBounds(settings, file_limit(), self.log, ended, self._displace)
        self._congestion = Congestion("rtmp.congestion", settings.congestion, self.log)
        self._handshakes = handshakes or Handshakes()
        self._certificates: Certificates | None = None
        self._listeners: list[Listener[Place]] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._told = 0  # of the refused connections
        self._admissions: set[asyncio.Task[None]] = set()
        self._emptied = asyncio.Event()
        self.rounds = PollReader(round_period, self.faults)

    def figures(self) -> tuple[RtmpFigures, ...]:
        """What the ports turned away."""
        return (RtmpFigures(self.bounds.ended),)

    @property
    def identities(self) -> Sequence[Identity]:
        """The certificates of rtmps://."""
        return self._certificates.identities if self._certificates is not None else ()

    def reloads(self) -> tuple[Reloadable, ...]:
        """Certificates, and how many connections there may be."""
        files = frozenset({"cert", "key", "certificates", "certificates_dir"})
        bounds = frozenset({"max_connections", "max_connections_per_ip", "max_handshakes", "max_handshakes_per_ip"})
        taken = Reloadable("rtmp", bounds, self._bound)
        if self._certificates is None:
            return (taken,)
        return (taken, Reloadable("rtmp", files, self._certify, always=True))

    def _certify(self, settings: RtmpSettings) -> Commit:
        assert self._certificates is not None
        return self._certificates.turn_to(settings.pairs, settings.certificates_dir, self.log, self.clock.monotonic())

    def _bound(self, settings: RtmpSettings) -> Commit:
        return lambda: self.bounds.bound(settings)

    @property
    def publishing(self) -> int:
        """How many connections publish now."""
        return sum(peer.publisher.publication is not None for peer in self.connections)

    async def start(self) -> None:
        """Opens the ports; ConfigError if one cannot be had or the certificate cannot be read."""
        settings = self.settings
        if not settings.enabled:
            return
        tls = self._load() if settings.tls_port else None
        try:
            self.port = self._listen("rtmp.port", settings.port, None)
            if tls is not None:
                self.tls_port = self._listen("rtmp.tls_port", settings.tls_port, tls)
        except OSError as error:
            await self.stop(0.0)
            raise ConfigError(str(error.strerror)) from error
        self._sweeper = sweep(_SWEEP, self._sweep, "rtmp_sweep", self.faults)
        self.log.info(
            "rtmp listening",
            bind=settings.bind,
            port=self.port,
            tls_port=self.tls_port,
            congestion=self.congestion,
        )

    async def stop(self, deadline: float) -> None:
        """Closes the ports, tells the publishers and waits up to `deadline` seconds for them to go."""
        guard = self.faults.guard("rtmp_stop")
        for listener in self._listeners:
            with guard:
                listener.close()
                await listener.cut()
        for peer in list(self.connections):
            with guard:
                peer.dismiss(SHUTDOWN, "shutdown", "the server is shutting down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(deadline, LINGER)):
                while self.connections or self._admissions:
                    self._emptied.clear()
                    await self._emptied.wait()
        for peer in list(self.connections):
            with guard:
                peer.abort()
        self.rounds.close()
        for task in self._admissions:
            task.cancel()
        await end(self._sweeper)
        self._sweeper = None
        await asyncio.gather(*self._admissions, return_exceptions=True)
        await asyncio.sleep(0)  # connection_lost of those that were aborted
        self._listeners.clear()

    def _load(self) -> ssl.SSLContext:
        self._certificates = Certificates(self.settings.pairs, self.settings.certificates_dir)
        try:
            return self._certificates.open(self.log, self.clock.monotonic())
        except OSError as error:
            raise ConfigError(f"the certificates of rtmp.tls_port: {error.strerror or error}") from error

    def _listen(self, key: str, port: int, context: ssl.SSLContext | None) -> int:
        # "" is every address of both families, which one socket of IPv6 takes where there is IPv6
        bind = self.settings.bind or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104
        sock = listen(key, bind, port, _BACKLOG, self._congestion)
        self.congestion = self._congestion.held
        door = _Door(self, secure=context is not None)
        self._listeners.append(Listener(sock, door, context, self.limits.handshake_timeout, self._handshakes))
        return int(sock.getsockname()[1])

    def admit(self, work: Coroutine[object, object, None]) -> None:
        """Runs the wait for an admission beside the connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._admissions.add(task)
        task.add_done_callback(self._admitted)

    def _admitted(self, task: asyncio.Task[None]) -> None:
        self._admissions.discard(task)
        self._emptied.set()

    def forget(self, peer: RtmpPeer) -> None:
        """The connection is lost."""
        self.connections.discard(peer)
        self._hosted.pop(peer.place, None)
        self.bounds.leave(peer.place)
        self._emptied.set()

    def host(self, transport: asyncio.Transport, place: Place, *, secure: bool) -> None:
        """Begins the conversation of a connection whose hand was shaken."""
        if place.state is None:  # it had to make room meanwhile
            transport.abort()
            return
        peer = self._hosted[place] = RtmpPeer(self, place, secure=secure)
        transport.set_protocol(peer)
        peer.connection_made(transport)

    def _displace(self, place: Place) -> None:
        """Ends the connection at once, be it before its handshake."""
        peer = self._hosted.get(place)
        if peer is not None:
            peer.abort()
        else:
            shut(place)

    def _sweep(self) -> None:
        now = self.clock.monotonic()
        guard = self.faults.guard("rtmp_sweep")
        with guard:
            self.bounds.tell(now)
        with guard:
            self._refresh(now)
        for peer in list(self.connections):
            with guard:
                peer.sweep(now)

    def _refresh(self, now: float) -> None:
        if self._certificates is not None:
            self._certificates.refresh(self.log, now)
            self._listeners[-1].listen_with(self._certificates.listening)


class _Door:
    """Lets in who comes to one of the ports."""

    def __init__(self, server: RtmpServer, *, secure: bool) -> None:
        self._server = server
        self._secure = secure

    def place(self, ip: str, sock: socket.socket) -> Place | None:
        """A place among all connections, from before the TLS handshake on."""
        return self._server.bounds.enter(ip, sock, self._server.clock.monotonic())

    def leave(self, place: Place) -> None:
        """No hands were shaken."""
        self._server.bounds.leave(place)

    def host(self, transport: asyncio.Transport, place: Place) -> None:
        """Begins the conversation."""
        self._server.host(transport, place, secure=self._secure)

    def shut_out(self) -> None:
        """There is no file left."""
        self._server.bounds.shut_out()
