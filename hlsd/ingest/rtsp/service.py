"""Is the RTSP service: a TCP port for publishers and players, and a pair of UDP ports for their media, if set."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from hlsd.base.household import household
from hlsd.base.remarks import Remarks
from hlsd.base.upkeep import end, ended, sweep
from hlsd.ingest.rtsp.connection import RtspConnection
from hlsd.ingest.rtsp.datagrams import RtspDatagrams
from hlsd.ingest.rtsp.figures import RtspCounts, RtspFigures
from hlsd.net.kernel import file_limit
from hlsd.net.listening import listen
from hlsd.ports import OutputFactory, Service

if TYPE_CHECKING:
    from hlsd.base.figures import Reporter
    from hlsd.ingest.packet_publisher import PacketHost
    from hlsd.ingest.rtsp.settings import RtspSettings
    from hlsd.ports.rtsp_play import RtspAudience

SWEEP: Final = 1.0
WRONG: Final = 30
"""Wrong passwords of one address within `WITHIN` seconds; then it is not listened to until they are over."""
WITHIN: Final = 60.0
_BACKLOG: Final = 128


class RtspService(Service):
    """Its connections. `audience` lets players in, `feeder` makes what they get; off where `settings.port` is 0."""

    def __init__(
        self, settings: RtspSettings, host: PacketHost, audience: RtspAudience, feeder: OutputFactory, bind: str
    ) -> None:
        self.settings = settings
        self.host = host
        self.audience = audience
        self.datagrams = RtspDatagrams(host.clock, host.faults)
        self.port = 0
        """Once started."""
        self.connections: dict[RtspConnection, None] = {}
        self._feeder = feeder
        self._bind = settings.bind or bind
        self._lost = 0
        self._refused = 0
        self._places: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._absolved = 0.0
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._most = min(settings.max_connections, file_limit() // 4)
        self._remarks = Remarks(self._remark)

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        settings = self.settings
        if not settings.port:
            return
        sock = listen("rtsp.port", self._bind, settings.port, _BACKLOG)
        self._server = await asyncio.get_running_loop().create_server(lambda: RtspConnection(self), sock=sock)
        self.port = sock.getsockname()[1]
        if settings.udp_port:
            try:
                self.datagrams.open(self._bind, settings.udp_port)
            except OSError:
                self._server.close()
                raise
        self._sweeping = sweep(SWEEP, self._sweep, "rtsp_sweep", self.host.faults)
        self.host.log.info("rtsp listening", bind=self._bind, port=self.port, udp_port=settings.udp_port)

    async def stop(self, deadline: float) -> None:
        """Ends every connection."""
        await end(self._sweeping)
        self._sweeping = None
        if self._server is not None:
            self._server.close()
            self._server = None
        connections = list(self.connections)
        for connection in connections:
            with self.host.faults.guard("rtsp"):
                connection.close("shutdown")
        await ended([one.task for one in connections if one.task is not None], deadline)
        self.datagrams.close()
        await asyncio.sleep(0)  # connection_lost of those that had nothing more to send
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    def outputs(self) -> tuple[OutputFactory, ...]:
        """What players are fed from; a server without the port pays nothing for it."""
        return (self._feeder,) if self.settings.port else ()

    def figures(self) -> Sequence[Reporter]:
        """What is counted."""
        return (RtspFigures(self._counts),)

    def _counts(self) -> RtspCounts:
        here = list(self.connections)
        lost = self._lost + sum([one.reception.lost for one in here if one.reception is not None])
        return RtspCounts([one.mode for one in here], lost, self.datagrams.strays, self._refused)

    # -- connections (`hlsd.ingest.rtsp.connection.RtspRoom`)

    def enter(self, connection: RtspConnection) -> bool:
        """Whether one that has come may stay."""
        place, per_ip = household(connection.ip), self.settings.max_connections_per_ip
        if self._wrong[place] >= WRONG:
            return self._refuse("too many wrong passwords", connection.ip)
        if len(self.connections) >= self._most or (per_ip and self._places[place] >= per_ip):
            return self._refuse("no room for another client", connection.ip)
        self.connections[connection] = None
        self._places[place] += 1
        return True

    def leave(self, connection: RtspConnection) -> None:
        """It is gone."""
        if connection not in self.connections:
            return
        del self.connections[connection]
        place = household(connection.ip)
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]
        if connection.conversation.wrong:
            self._wrong[place] += connection.conversation.wrong
        if connection.reception is not None:
            self._lost += connection.reception.lost

    def _refuse(self, why: str, ip: str) -> bool:
        self._refused += 1
        self._remarks.note(f"client turned away: {why}", self.host.clock.monotonic(), ip=ip)
        return False

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self.host.log.warning(event, protocol="rtsp", **facts)

    def _sweep(self) -> None:
        now = self.host.clock.monotonic()
        if now - self._absolved >= WITHIN:
            self._absolved = now
            self._wrong.clear()
        for connection in list(self.connections):
            with self.host.faults.guard("rtsp_sweep"):
                connection.sweep(now)
