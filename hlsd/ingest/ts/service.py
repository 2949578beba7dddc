"""Is the service that lets publishers in by MPEG-TS over UDP, on the ports that the configuration names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hlsd.base.upkeep import end, sweep
from hlsd.ingest.ts.figures import TsFigures
from hlsd.ingest.ts.udp_sender import UdpSender
from hlsd.ports import Service

if TYPE_CHECKING:
    from hlsd.base.figures import Reporter
    from hlsd.ingest.packet_publisher import PacketHost
    from hlsd.ingest.ts.settings import TsSettings

SWEEP = 1.0
"""Seconds between two looks at deadlines."""


class TsUdpService(Service):
    """The ports of `settings`; none by default."""

    def __init__(self, settings: TsSettings, host: PacketHost) -> None:
        self.senders = [
            UdpSender(host, one, settings.idle_timeout, f"ts.udp[{n}].port") for n, one in enumerate(settings.udp)
        ]
        self._host = host
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens. Raises OSError when one of the ports cannot be had."""
        for sender in self.senders:
            sender.open()
            self._host.log.info("udp listens", port=sender.port.number, path=sender.settings.path)
        if self.senders:
            self._sweeping = sweep(SWEEP, self._sweep, "ts_udp_sweep", self._host.faults)

    async def stop(self, deadline: float) -> None:
        """Ends every publication."""
        await end(self._sweeping)
        self._sweeping = None
        async with asyncio.timeout(max(deadline, SWEEP)):
            for sender in self.senders:
                await sender.close()

    def figures(self) -> Sequence[Reporter]:
        """What the ports have heard."""
        return (TsFigures(self.senders),)

    def _sweep(self) -> None:
        now = self._host.clock.monotonic()
        for sender in self.senders:
            with self._host.faults.guard("ts_udp_sweep"):
                sender.sweep(now)
