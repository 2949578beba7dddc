"""Is one channel of one terminal: its packets become a publication, which begins with its first media."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from hlsd.ingest.jt1078.frames import JtFrames
from hlsd.ingest.packet_publisher import PacketOrigin, PacketPublisher, begins

if TYPE_CHECKING:
    from hlsd.ingest.jt1078.packets import JtPacket
    from hlsd.ingest.packet_publisher import PacketHost
    from hlsd.ports.flv_body import PublishEnding


class JtChannel:
    """`over(ending)` is called when its publication is over."""

    def __init__(
        self, host: PacketHost, origin: PacketOrigin, frames: JtFrames, over: Callable[[PublishEnding], None]
    ) -> None:
        self.frames = frames
        self.publisher = PacketPublisher(host, origin, over, lambda: frames.held)
        self._entering: asyncio.Task[None] | None = None

    def take(self, packet: JtPacket, size: int) -> None:
        """Takes a packet that has `size` bytes with its head."""
        items = self.frames.take(packet)
        if self._entering is None and begins(items):
            self._entering = asyncio.create_task(self.publisher.enter())
        self.publisher.take(items, size)

    async def settled(self) -> None:
        """Returns when the door has spoken."""
        if self._entering is not None:
            await asyncio.wait((self._entering,))
