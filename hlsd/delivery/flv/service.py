"""Is the FLV service: it hears of every stream, and looks after its viewers once a second.

It listens nowhere itself: viewers come by the HTTP and RTMP services, which are handed its `FlvStreams`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.routing import Route

from hlsd.base.upkeep import end, sweep
from hlsd.delivery.flv.endpoint import FlvEndpoint
from hlsd.ports import Service

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.delivery.flv.streams import FlvStreams
    from hlsd.delivery.judge import Judge

SWEEP = 1.0
"""Seconds between two looks."""


class FlvService(Service):
    """Runs the sweep of `streams`; `judge` knows whose a request is."""

    def __init__(self, streams: FlvStreams, judge: Judge, clock: Clock) -> None:
        self.streams = streams
        self._judge = judge
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

    def routes(self) -> tuple[Route, ...]:
        """HTTP-FLV and WebSocket-FLV."""
        return (Route("/{app}/{name}.flv", FlvEndpoint(self.streams, self._judge)),)

    def outputs(self) -> tuple[FlvStreams, ...]:
        """The FLV of every stream."""
        return (self.streams,)
