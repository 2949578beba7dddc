"""Is the TCP connection of a terminal: one channel as a rule, never more than `CHANNELS`.

Law: nothing is sent. It is read as fast as its part of the processor allows; what is none of JT/T 1078 ends it, and so
does the end of its last publication: the terminal has no ear for more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from hlsd.base.errors import ProtocolError
from hlsd.ingest.datagram_port import plain_ip
from hlsd.ingest.jt1078.channel import JtChannel
from hlsd.ingest.jt1078.frames import JtFrames
from hlsd.ingest.jt1078.packets import JtReader
from hlsd.ingest.packet_publisher import PacketOrigin
from hlsd.ingest.share import Share
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.ingest.jt1078.names import JtNames
    from hlsd.ingest.jt1078.packets import JtPacket
    from hlsd.ingest.jt1078.settings import Jt1078Settings
    from hlsd.ingest.packet_publisher import PacketHost

CHANNELS: Final = 16
"""Channels of one connection."""
PIECE: Final = 16 * 1024
"""Bytes that are worked on before others have their turn."""
_HEAD: Final = 30


class JtRoom(Protocol):
    """Where connections are."""

    settings: Jt1078Settings
    host: PacketHost
    names: JtNames
    losses: int
    """Gaps of channels that are over."""

    def enter(self, connection: JtConnection) -> bool:
        """Whether one that has come may stay."""
        ...

    def leave(self, connection: JtConnection) -> None:
        """It is gone."""
        ...


class JtConnection(asyncio.Protocol):
    """One connection, among those of `room`."""

    def __init__(self, room: JtRoom) -> None:
        self.ip = ""
        self.port = 0
        self.share = Share()
        self._room = room
        self._reader = JtReader()
        self._channels: dict[tuple[str, int], JtChannel] = {}
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        """What came and is not worked on yet, while nothing more is read."""
        self._held_back = False
        self._heard = 0.0

    # -- as asyncio sees it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has come, and may have to go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        ip, self.port = transport.get_extra_info("peername")[:2]
        self.ip = plain_ip(ip)
        self._heard = self._room.host.clock.monotonic()
        if not self._room.enter(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Media has come."""
        self._waiting = self._waiting + data if self._waiting else data
        if not self._held_back:
            self._work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is gone."""
        self._transport, self._waiting = None, b""
        for channel in list(self._channels.values()):
            channel.publisher.end(PublishEnding("closed"))
        self._room.leave(self)

    # -- as its room sees it

    @property
    def channels(self) -> list[JtChannel]:
        """Those that publish, or would."""
        return list(self._channels.values())

    def sweep(self, now: float) -> None:
        """Once a second."""
        self.share.second()
        for channel in self.channels:
            channel.publisher.sweep(now)
        if not self._channels and now - self._heard >= self._room.settings.idle_timeout:
            self.close()
        elif self._held_back:
            self._work()

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    # -- how

    def _work(self) -> None:
        """Works on what waits, a piece in a turn of the loop."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        piece, self._waiting = self._waiting[:PIECE], self._waiting[PIECE:]
        self.share.start()
        try:
            for packet in self._reader.feed(piece):
                self._take(packet)
        except ProtocolError as error:
            self._room.host.log.info("publisher refused", ip=self.ip, protocol="jt1078", reason=str(error))
            self.close()
            return
        finally:
            self.share.stop()
        self._hold_back(transport)

    def _hold_back(self, transport: asyncio.Transport) -> None:
        """Reads no more while something waits: for a turn, or for the next second."""
        held = bool(self._waiting) or self.share.exhausted
        if held != self._held_back:
            self._held_back = held
            if held:
                transport.pause_reading()
            else:
                transport.resume_reading()
        if held and not self.share.exhausted:
            asyncio.get_running_loop().call_soon(self._work)

    def _take(self, packet: JtPacket) -> None:
        key = packet.sim, packet.channel
        channel = self._channels.get(key)
        if channel is None:
            channel = self._open(key)
            if channel is None:
                return
        channel.take(packet, len(packet.body) + _HEAD)

    def _open(self, key: tuple[str, int]) -> JtChannel | None:
        room = self._room
        if not room.names.may_send(key[0]):
            raise ProtocolError(f"SIM {key[0]} is not on the list")
        if len(self._channels) >= CHANNELS:
            raise ProtocolError(f"more than {CHANNELS} channels in a connection")
        app, name = room.names.path(*key)
        origin = PacketOrigin(app, name, "jt1078", self.ip, self.port, room.settings.idle_timeout)
        frames = JtFrames(lossy=False, left_justified=room.settings.g726 == "left")
        channel = self._channels[key] = JtChannel(room.host, origin, frames, lambda _: self._over(key))
        return channel

    def _over(self, key: tuple[str, int]) -> None:
        if (channel := self._channels.pop(key, None)) is not None:
            self._room.losses += channel.frames.lost
        if not self._channels:
            self.close()
