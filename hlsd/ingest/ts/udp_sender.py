"""Is who sends a transport stream to one UDP port, bare or in RTP.

Law: a port has one sender at a time, the first that is allowed; another one is heard when nothing has come of it for
`SILENCE`. One who is refused, or whose publication ended while it goes on sending, is let try again after `RETRY`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from hlsd.base.remarks import Remarks
from hlsd.ingest.allowed import Allowed
from hlsd.ingest.datagram_port import DatagramPort
from hlsd.ingest.mpeg.rtp_payload import RtpPayload, is_rtp
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.ingest.packet_publisher import PacketHost, PacketOrigin, PacketPublisher, begins
from hlsd.ingest.publish_endings import QUIET
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.ingest.ts.settings import UdpPortSettings

SILENCE: Final = 2.0
"""Seconds after which another sender is heard."""
RETRY: Final = 5.0
"""Seconds after which a sender is let try again."""
_CLOSED: Final = PublishEnding("closed")


class UdpSender:
    """The port and whoever sends to it. `idle`: seconds without media after which it has left."""

    def __init__(self, host: PacketHost, settings: UdpPortSettings, idle: float, key: str) -> None:
        self.settings = settings
        self.port = DatagramPort(key, "ts_udp", self._take, host.faults)
        self.strays = 0
        """Datagrams of who is not allowed, or not now."""
        self.lost = 0
        """Packets that were missing, of all senders so far but the one now."""
        self._host = host
        self._idle = idle
        self._allowed = Allowed(settings.allow)
        self._sender: tuple[str, int] | None = None
        self._heard = 0.0
        self._not_before = 0.0
        self._rtp: RtpPayload | None = None
        self._demuxer = TsDemuxer()
        self._publisher: PacketPublisher | None = None
        self._entering: asyncio.Task[None] | None = None
        self._remarks = Remarks(self._remark)

    def open(self) -> None:
        """Listens. Raises OSError."""
        settings = self.settings
        self.port.open(settings.bind, settings.port, settings.group)

    async def close(self) -> None:
        """Ends."""
        self.port.close()
        if self._publisher is not None:
            self._publisher.end(_CLOSED)
        if self._entering is not None:
            await asyncio.wait((self._entering,))

    @property
    def losses(self) -> int:
        """Packets that were missing so far."""
        return self.lost + self._demuxer.lost

    def sweep(self, now: float) -> None:
        """Once a second."""
        if self._publisher is not None:
            self._publisher.sweep(now)

    def _take(self, datagram: bytes, address: tuple[str, int]) -> None:
        now = self._host.clock.monotonic()
        if address != self._sender and not self._hear(address, now):
            self.strays += 1
            return
        self._heard = now
        payload = datagram
        if is_rtp(datagram):  # 47 begins no packet of RTP
            if self._rtp is None:
                self._rtp = RtpPayload()
            payload = self._rtp.take(datagram)
        publisher = self._publisher
        if publisher is not None and publisher.share.exhausted:
            publisher.take([], len(datagram))  # what its part does not pay for is not taken apart: a gap, as on a line
            return
        items = self._demuxer.feed(payload)
        if publisher is None:
            entering = self._entering is not None and not self._entering.done()
            if entering or now < self._not_before or not begins(items):
                return
            publisher = self._begin(address)
        publisher.take(items, len(datagram))

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._host.log.warning(event, port=self.port.number, **facts)

    def _hear(self, address: tuple[str, int], now: float) -> bool:
        """Whether that one may send now."""
        if address[0] not in self._allowed:
            self._remarks.note("datagrams of an address that is not allowed", now, ip=address[0])
            return False
        if self._sender is not None and now - self._heard < SILENCE:
            self._remarks.note("datagrams of a second sender", now, ip=address[0])
            return False
        self._sender = address
        self.lost += self._demuxer.lost
        self._rtp, self._demuxer = None, TsDemuxer()
        return True

    def _begin(self, address: tuple[str, int]) -> PacketPublisher:
        app, name = self.settings.target
        query = dict(parse_qsl(self.settings.query.get_secret_value()))
        origin = PacketOrigin(app, name, "udp", address[0], address[1], self._idle, query)
        publisher = PacketPublisher(self._host, origin, self._over, lambda: self._demuxer.held)
        self._publisher = publisher
        self._entering = asyncio.create_task(publisher.enter())
        return publisher

    def _over(self, ending: PublishEnding) -> None:
        self._publisher = None
        self.lost += self._demuxer.lost
        self._demuxer = TsDemuxer()  # it begins anew with its tables
        if ending.reason not in QUIET and ending.reason != "idle":
            self._not_before = self._host.clock.monotonic() + RETRY
