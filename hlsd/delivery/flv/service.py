"""Is the FLV room of the house: it hears of every stream, and looks after its viewers once a second.

It listens nowhere itself: viewers come by the HTTP and RTMP rooms, which are handed its `FlvStreams`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hlsd.base.upkeep import end, sweep

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.delivery.flv.broadcasts import FlvStreams

SWEEP = 1.0
"""Seconds between two looks."""


class FlvService:
    """Runs the sweep of `broadcasts`."""

    port = 0

    def __init__(self, broadcasts: FlvStreams, clock: Clock) -> None:
        self.broadcasts = broadcasts
        self._clock = clock
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look after viewers."""
        broadcasts = self.broadcasts
        self._sweeping = sweep(SWEEP, lambda: broadcasts.sweep(self._clock.monotonic()), "flv_sweep", broadcasts.faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing here takes time
        """Ends every viewer."""
        self.broadcasts.end("shutdown")
        await end(self._sweeping)
        self._sweeping = None
