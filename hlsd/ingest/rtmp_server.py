"""Lets publishers in by RTMP and RTMPS: the listening ports, all connections, and one sweep a second for deadlines.

What happens on a connection is `rtmp_peer`'s. Times in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import cast

import structlog
from structlog.typing import FilteringBoundLogger

from hlsd.audience import Audience
from hlsd.clock import Clock
from hlsd.errors import ConfigError
from hlsd.faults import Faults
from hlsd.ingest.rounds import ROUND, Rounds
from hlsd.ingest.rtmp.server import ServerLimits
from hlsd.ingest.rtmp_peer import LINGER, SHUTDOWN, IntakeFactory, RtmpPeer, TagSink
from hlsd.ingest.settings import RtmpSettings
from hlsd.listening import refusal
from hlsd.ports import Admission
from hlsd.upkeep import end, sweep

__all__ = ["IntakeFactory", "RtmpServer", "TagSink"]

_SWEEP = 1.0


class RtmpServer:
    """The RTMP room. `start` opens the ports, `stop` closes them and every connection.

    `round_period`: seconds between two readings of all publishers (`hlsd.ingest.rounds`).
    """

    def __init__(  # noqa: PLR0913 - what a room of the house is handed
        self,
        settings: RtmpSettings,
        admission: Admission,
        intake_factory: IntakeFactory,
        clock: Clock,
        log: FilteringBoundLogger | None = None,
        *,
        audience: Audience | None = None,
        round_period: float = ROUND,
        faults: Faults | None = None,
    ) -> None:
        self.settings = settings
        self.faults = faults or Faults()
        self.admission = admission
        self.audience = audience
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
        self.refused_connections = 0
        """Connections closed because there were max_connections already."""
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._told = 0  # of the refused connections
        self._admissions: set[asyncio.Task[None]] = set()
        self._emptied = asyncio.Event()
        self.rounds = Rounds(round_period, self.faults)

    @property
    def publishing(self) -> int:
        """How many connections publish now."""
        return sum(peer.publication is not None for peer in self.connections)

    async def start(self) -> None:
        """Opens the ports; ConfigError if one cannot be had or the certificate cannot be read."""
        settings = self.settings
        if not settings.enabled:
            return
        context = self._tls_context() if settings.tls_port else None
        try:
            self.port = await self._listen("rtmp.port", settings.port, None)
            if context is not None:
                self.tls_port = await self._listen("rtmp.tls_port", settings.tls_port, context)
        except ConfigError:
            await self.stop(0.0)
            raise
        self._sweeper = sweep(_SWEEP, self._sweep, "rtmp_sweep", self.faults)
        self.log.info("rtmp listening", bind=settings.bind, port=self.port, tls_port=self.tls_port)

    async def stop(self, deadline: float) -> None:
        """Closes the ports, tells the publishers and waits up to `deadline` seconds for them to go."""
        for server in self._servers:
            server.close()
        guard = self.faults.guard("rtmp_stop")
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
        self._servers.clear()

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = self.settings.cert, self.settings.key
        assert cert is not None
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"rtmp.cert {cert} and rtmp.key {key} cannot be used: {error}") from error
        return context

    async def _listen(self, key: str, port: int, context: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: RtmpPeer(self, secure=context is not None),
                self.settings.bind or None,
                port,
                backlog=1024,
                ssl=context,
                ssl_handshake_timeout=self.limits.handshake_timeout if context else None,
            )
        except OSError as error:
            raise ConfigError(refusal(key, self.settings.bind, port, error)) from error
        self._servers.append(server)
        return cast(int, server.sockets[0].getsockname()[1])

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
        self._emptied.set()

    def _sweep(self) -> None:
        if self.refused_connections != self._told:
            self.log.warning("too many rtmp connections", refused=self.refused_connections - self._told)
            self._told = self.refused_connections
        now = self.clock.monotonic()
        guard = self.faults.guard("rtmp_sweep")
        for peer in list(self.connections):
            with guard:
                peer.sweep(now)
