"""Is the service that lets vehicles' terminals in: JT/T 1078 on a TCP and a UDP port of one number."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from hlsd.base.household import household
from hlsd.base.remarks import Remarks
from hlsd.base.upkeep import end, sweep
from hlsd.ingest.allowed import Allowed
from hlsd.ingest.datagram_port import DatagramPort
from hlsd.ingest.jt1078.channel import JtChannel
from hlsd.ingest.jt1078.connection import JtConnection
from hlsd.ingest.jt1078.figures import JtCounts, JtFigures
from hlsd.ingest.jt1078.frames import JtFrames
from hlsd.ingest.jt1078.packets import read_datagram
from hlsd.ingest.packet_publisher import PacketOrigin
from hlsd.net.kernel import file_limit
from hlsd.net.listening import listen
from hlsd.ports import Service
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.base.figures import Reporter
    from hlsd.ingest.jt1078.names import JtNames
    from hlsd.ingest.jt1078.settings import Jt1078Settings
    from hlsd.ingest.jt1078.wishes import JtWishes
    from hlsd.ingest.packet_publisher import PacketHost

SWEEP: Final = 1.0
SILENCE: Final = 2.0
"""Seconds after which a channel that comes by UDP may come from another address: a mobile network gives new ones."""
RETRY: Final = 5.0
"""Seconds after which who was refused is asked for anew."""
_BACKLOG: Final = 512


class UdpChannel:
    """A channel that comes by UDP: from where, and when the last of it came."""

    __slots__ = ("address", "channel", "heard", "over")

    def __init__(self, address: tuple[str, int], now: float) -> None:
        self.address = address
        self.heard = now
        self.channel: JtChannel | None = None
        self.over = 0.0
        """When it was over (monotonic); 0: it is not."""

    def begin(self, channel: JtChannel) -> None:
        """It publishes, or would."""
        self.channel, self.over = channel, 0.0

    def end(self, now: float) -> int:
        """It does no more; the gaps that it had."""
        lost = self.channel.frames.lost if self.channel is not None else 0
        self.channel, self.over = None, now
        return lost


class Jt1078Service(Service):
    """Its connections, and its channels by UDP. Off where `settings.port` is 0."""

    def __init__(self, settings: Jt1078Settings, host: PacketHost, names: JtNames, wishes: JtWishes) -> None:
        self.settings = settings
        self.host = host
        self.names = names
        self._wishes = wishes
        self.losses = 0
        """Gaps of channels that are over."""
        self.strays = 0
        """Connections and datagrams of who may not send, or for whom there is no room."""
        self.connections: set[JtConnection] = set()
        self.by_udp: dict[tuple[str, int], UdpChannel] = {}
        self._allowed = Allowed(settings.allow) if settings.allow else None
        self._places: Counter[str] = Counter()
        self._udp = DatagramPort("jt1078.port", "jt1078", self._take, host.faults)
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._most = min(settings.max_terminals, file_limit() // 4)
        self._remarks = Remarks(self._remark)

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        settings = self.settings
        if not settings.port:
            return
        bind = settings.bind or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - as rtmp.bind
        sock = listen("jt1078.port", bind, settings.port, _BACKLOG)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: JtConnection(self), sock=sock)
        self.port = sock.getsockname()[1]
        try:
            self._udp.open(bind, self.port)
        except OSError:
            self._server.close()
            raise
        self._sweeping = sweep(SWEEP, self._sweep, "jt1078_sweep", self.host.faults)
        self.host.log.info("jt1078 listening", bind=settings.bind, port=self.port)

    async def stop(self, deadline: float) -> None:
        """Ends every connection."""
        await end(self._sweeping)
        self._sweeping = None
        self._udp.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        channels = self.channels
        for channel in channels:
            channel.publisher.end(PublishEnding("shutdown"))
        for connection in list(self.connections):
            connection.close()
        async with asyncio.timeout(max(deadline, SWEEP)):
            for channel in channels:
                await channel.settled()
        self.by_udp.clear()
        await asyncio.sleep(0)  # connection_lost of those that were aborted

    @property
    def channels(self) -> list[JtChannel]:
        """All that publish, or would."""
        by_tcp = [channel for connection in self.connections for channel in connection.channels]
        return by_tcp + [one.channel for one in self.by_udp.values() if one.channel is not None]

    def figures(self) -> Sequence[Reporter]:
        """What they have sent."""
        return (JtFigures(self._counts),)

    def _counts(self) -> JtCounts:
        by_udp = sum(one.channel is not None for one in self.by_udp.values())
        by_tcp = sum(len(one.channels) for one in self.connections)
        return JtCounts(by_tcp, by_udp, self.losses + sum(one.frames.lost for one in self.channels), self.strays)

    # -- connections

    def enter(self, connection: JtConnection) -> bool:
        """Whether a connection that has come may stay."""
        place = household(connection.ip)
        per_ip = self.settings.max_terminals_per_ip
        if self._allowed is not None and connection.ip not in self._allowed:
            return self._refuse("address not allowed", connection.ip)
        if len(self.connections) >= self._most or (per_ip and self._places[place] >= per_ip):
            return self._refuse("no room for another terminal", connection.ip)
        self.connections.add(connection)
        self._places[place] += 1
        return True

    def leave(self, connection: JtConnection) -> None:
        """It is gone."""
        if connection in self.connections:
            self.connections.discard(connection)
            self._leave(household(connection.ip))

    def _leave(self, place: str) -> None:
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    def _refuse(self, why: str, ip: str) -> bool:
        self.strays += 1
        self._remarks.note(f"terminal turned away: {why}", self.host.clock.monotonic(), ip=ip)
        return False

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self.host.log.warning(event, protocol="jt1078", **facts)

    # -- datagrams

    def _take(self, datagram: bytes, address: tuple[str, int]) -> None:
        packet = read_datagram(datagram)
        if packet is None:
            self.strays += 1
            return
        key, now = (packet.sim, packet.channel), self.host.clock.monotonic()
        known = self.by_udp.get(key)
        if known is None:
            if not self._may_come(packet.sim, address[0]):
                return
            known = self.by_udp[key] = UdpChannel(address, now)
        elif known.address != address:
            if now - known.heard < SILENCE or not self._may_come(packet.sim, address[0], again=True):
                self.strays += 1
                return
            known.address = address
        known.heard = now
        if known.over and now - known.over < RETRY:
            return
        channel = known.channel
        if channel is None:
            channel = self._open(key, known)
        if channel.publisher.share.exhausted:
            channel.publisher.take([], len(datagram))
        else:
            channel.take(packet, len(datagram))

    def _may_come(self, sim: str, ip: str, *, again: bool = False) -> bool:
        if self._allowed is not None and ip not in self._allowed:
            return self._refuse("address not allowed", ip)
        if not self.names.may_send(sim):
            return self._refuse("its SIM is not on the list", ip)
        if not again and len(self.by_udp) >= self._most:
            return self._refuse("no room for another terminal", ip)
        return True

    def _open(self, key: tuple[str, int], known: UdpChannel) -> JtChannel:
        app, name = self.names.path(*key)
        origin = PacketOrigin(app, name, "jt1078", *known.address, self.settings.idle_timeout)
        frames = JtFrames(lossy=True, left_justified=self.settings.g726 == "left")

        def over(_: PublishEnding) -> None:
            self.losses += known.end(self.host.clock.monotonic())

        channel = JtChannel(self.host, origin, frames, over)
        known.begin(channel)
        return channel

    # -- time

    def _sweep(self) -> None:
        now = self.host.clock.monotonic()
        for connection in list(self.connections):
            with self.host.faults.guard("jt1078_sweep"):
                connection.sweep(now)
        for key, known in list(self.by_udp.items()):
            if known.channel is not None:
                with self.host.faults.guard("jt1078_sweep"):
                    known.channel.publisher.sweep(now)
            elif now - known.heard >= self.settings.idle_timeout:
                del self.by_udp[key]
        with self.host.faults.guard("jt1078_sweep"):
            publishers = [channel.publisher for channel in self.channels]
            self._wishes.sweep({(one.origin.app, one.name) for one in publishers if one.live})
