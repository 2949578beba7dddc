"""Is the FLV room of the house: it hears of every stream, and looks after its viewers once a second.

It listens nowhere itself: viewers come by the HTTP and RTMP rooms, which are handed its `Broadcasts`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hlsd.clock import Clock
    from hlsd.flv.broadcasts import Broadcasts

SWEEP = 1.0
"""Seconds between two looks."""


class FlvRoom:
    """Runs the sweep of `broadcasts`."""

    port = 0

    def __init__(self, broadcasts: Broadcasts, clock: Clock) -> None:
        self.broadcasts = broadcasts
        self._clock = clock
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look after viewers."""
        self._sweeping = asyncio.create_task(self._sweep(), name="flv sweep")

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing here takes time
        """Ends every viewer."""
        self.broadcasts.end("shutdown")
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
            self._sweeping = None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.broadcasts.sweep(self._clock.monotonic())
