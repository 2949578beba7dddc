"""Is the FLV service: it hears of every stream, and looks after its viewers once a second.

It listens nowhere itself: viewers come by the HTTP and RTMP services, which are handed its `FlvStreams`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hlsd.base.upkeep import end, sweep

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.delivery.flv.streams import FlvStreams

SWEEP = 1.0
"""Seconds between two looks."""


class FlvService:
    """Runs the sweep of `streams`."""

    port = 0

    def __init__(self, streams: FlvStreams, clock: Clock) -> None:
        self.streams = streams
        self._clock = clock
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look after viewers."""
        streams = self.streams
        self._sweeping = sweep(SWEEP, lambda: streams.sweep(self._clock.monotonic()), "flv_sweep", streams.faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing here takes time
        """Ends every viewer."""
        self.streams.end("shutdown")
        await end(self._sweeping)
        self._sweeping = None
