"""Is one receiver: a port that one device sends one stream to, by UDP or TCP.

Law: it takes the packets of one sender, the first that has the right SSRC, where one was told; another is heard when
nothing has come of the first for `SILENCE`. It is over when nothing comes in time, when its publication is, or when it
is closed; then its port is free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from hlsd.base.errors import ProtocolError
from hlsd.ingest.datagram_port import DatagramPort, plain_ip
from hlsd.ingest.gb28181.framing import FramedPackets
from hlsd.ingest.mpeg.ps_demuxer import LOOKED, PsDemuxer
from hlsd.ingest.mpeg.rtp_payload import RtpPayload, is_rtp
from hlsd.ingest.packet_publisher import PacketOrigin, PacketPublisher, begins
from hlsd.net.listening import listen
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.ingest.allowed import Allowed
    from hlsd.ingest.gb28181.order import ReceiverOrder
    from hlsd.ingest.packet_publisher import PacketHost

SILENCE: Final = 2.0
"""Seconds after which another sender is heard."""
CONNECTIONS: Final = 4
"""TCP connections of one receiver: of one media is taken, the others wait for it to fall silent."""
PIECE: Final = 16 * 1024
"""Bytes that are worked on before others have their turn."""
_KEY: Final = "gb28181 port"


@dataclass
class ReceiverState:
    """How it stands."""

    packets: int = 0
    bytes: int = 0
    strays: int = 0
    """Packets of another SSRC, of another sender, of who is not allowed."""
    lost: int = 0


class CameraReceiver:
    """One receiver; `over(receiver, ending)` is called once."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        ident: str,
        order: ReceiverOrder,
        host: PacketHost,
        allowed: Allowed | None,
        over: Callable[[CameraReceiver, PublishEnding], None],
        created: float,
    ) -> None:
        self.ident = ident
        self.order = order
        self.created = created
        """Wall clock, seconds."""
        self.state = ReceiverState()
        self.port = 0
        self.sender = ""
        """Address and port of who sends; empty while nobody does."""
        self.live = False
        """Whether anything has come."""
        self._host = host
        self._allowed = allowed
        self._over = over
        self._udp = DatagramPort(_KEY, "gb28181", self._datagram, host.faults)
        self._server: asyncio.Server | None = None
        self._connections: set[ReceiverConnection] = set()
        self._source: object = None
        """The address or the connection whose packets are taken."""
        self._heard = host.clock.monotonic()
        self._rtp = RtpPayload()
        self._demuxer = PsDemuxer()
        self._publisher: PacketPublisher | None = None
        self._entering: asyncio.Task[None] | None = None
        self._ended = False

    async def open(self, bind: str, port: int) -> None:
        """Listens. Raises OSError."""
        self._udp.open(bind, port)
        try:
            sock = listen(_KEY, bind, port, CONNECTIONS)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: ReceiverConnection(self), sock=sock)
        except OSError:
            self._udp.close()
            raise
        self.port = port

    def end(self, ending: PublishEnding) -> None:
        """Closes it; nothing happens if it is over."""
        if self._ended:
            return
        self._ended = True
        self._udp.close()
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        if self._publisher is not None:
            self._publisher.end(ending)
        self._over(self, ending)

    async def settled(self) -> None:
        """Returns when the door has spoken."""
        if self._entering is not None:
            await asyncio.wait((self._entering,))

    def sweep(self, now: float) -> None:
        """Once a second."""
        if self._publisher is not None:
            self._publisher.sweep(now)
        for connection in list(self._connections):
            connection.sweep()
        if not self.live and now - self._heard >= self.order.timeout:
            self.end(PublishEnding("timeout", f"nothing came within {self.order.timeout:g} s"))
        elif self._publisher is None and now - self._heard >= self.order.timeout:
            self.end(PublishEnding("idle", f"no media for {self.order.timeout:g} s"))

    @property
    def exhausted(self) -> bool:
        """Whether its part of this second's processor is used up."""
        return self._publisher is not None and self._publisher.share.exhausted

    # -- what comes

    def enter(self, connection: ReceiverConnection) -> bool:
        """Whether a connection may stay."""
        if self._ended or len(self._connections) >= CONNECTIONS or not self._may_send(connection.ip):
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: ReceiverConnection) -> None:
        """It is gone: and with it its device, if it was whom we heard."""
        self._connections.discard(connection)
        if self._source is connection:
            self.end(PublishEnding("closed"))

    def packet(self, packet: bytes, source: object, ip: str, port: int) -> None:
        """A packet of RTP."""
        now = self._host.clock.monotonic()
        if self._ended or not is_rtp(packet) or not self._is_wanted(packet, source, now):
            self.state.strays += 1
            return
        if not self.live:
            self.live = True
            self.sender = f"{ip}:{port}"
        self._heard = now
        self.state.packets += 1
        self.state.bytes += len(packet)
        if self.exhausted and self._publisher is not None:
            self._publisher.take([], len(packet))
            return
        payload, items = self._rtp.take(packet), []
        if self._rtp.gap:
            items += self._demuxer.lose()
        items += self._demuxer.feed(payload)
        self.state.lost = self._demuxer.lost
        if self._demuxer.skipped > LOOKED:
            self.end(PublishEnding("media", f"no programme stream in {LOOKED} bytes"))
            return
        if self._publisher is None:
            if not begins(items):
                return
            order = self.order
            origin = PacketOrigin(order.app, order.name, "gb28181", ip, port, order.timeout)
            self._publisher = PacketPublisher(self._host, origin, self.end, lambda: self._demuxer.held)
            self._entering = asyncio.create_task(self._publisher.enter())
        self._publisher.take(items, len(packet))

    def _datagram(self, datagram: bytes, address: tuple[str, int]) -> None:
        if self._may_send(address[0]):
            self.packet(datagram, address, *address)
        else:
            self.state.strays += 1

    def _may_send(self, ip: str) -> bool:
        return self._allowed is None or ip in self._allowed

    def _is_wanted(self, packet: bytes, source: object, now: float) -> bool:
        """Whether it has the right SSRC, and comes of the right sender."""
        wanted = self.order.ssrc
        if wanted is not None and int.from_bytes(packet[8:12], "big") != wanted:
            return False
        if source != self._source:
            if self._source is not None and now - self._heard < SILENCE:
                return False
            self._source = source
        return True


class ReceiverConnection(asyncio.Protocol):
    """A TCP connection of a device."""

    def __init__(self, receiver: CameraReceiver) -> None:
        self.ip = ""
        self.port = 0
        self._receiver = receiver
        self._framed = FramedPackets()
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        self._held_back = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has come, and may have to go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        ip, self.port = transport.get_extra_info("peername")[:2]
        self.ip = plain_ip(ip)
        if not self._receiver.enter(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Media has come."""
        self._waiting = self._waiting + data if self._waiting else data
        if not self._held_back:
            self._work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is gone."""
        self._transport, self._waiting = None, b""
        self._receiver.leave(self)

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    def sweep(self) -> None:
        """Once a second."""
        if self._held_back:
            self._work()

    def _work(self) -> None:
        """Works on what waits, a piece in a turn of the loop."""
        transport, receiver = self._transport, self._receiver
        if transport is None or transport.is_closing():
            return
        piece, self._waiting = self._waiting[:PIECE], self._waiting[PIECE:]
        try:
            for packet in self._framed.feed(piece):
                receiver.packet(packet, self, self.ip, self.port)
        except ProtocolError:
            self.close()
            return
        held = bool(self._waiting) or receiver.exhausted
        if held != self._held_back:
            self._held_back = held
            if held:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if held and not receiver.exhausted:
            asyncio.get_running_loop().call_soon(self._work)
