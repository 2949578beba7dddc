"""Is the service that lets viewers in by WHEP: offers come by the HTTP ports, media goes by the UDP port of WebRTC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.routing import Route

from hlsd.base.upkeep import end, sweep
from hlsd.delivery.sdp_endpoint import WHEP, SdpEndpoint
from hlsd.delivery.whep.figures import WhepFigures
from hlsd.ports import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.base.faults import Faults
    from hlsd.delivery.judge import Judge
    from hlsd.delivery.whep.room import WhepRoom

SWEEP = 1.0
"""Seconds between two looks for streams that are over."""


class WhepService(Service):
    """`room` sends; `judge` knows whose a request is. `ice_servers` and `open_servers`: as `SdpEndpoint`."""

    def __init__(
        self,
        room: WhepRoom,
        judge: Judge,
        faults: Faults,
        ice_servers: Sequence[str] = (),
        open_servers: Sequence[str] = (),
    ) -> None:
        self.room = room
        self._faults = faults
        self._endpoint = SdpEndpoint(WHEP, room, judge, ice_servers, open_servers)
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the UDP port, if nobody has. Raises OSError when it cannot."""
        await self.room.start()
        self._sweeping = sweep(SWEEP, self.room.sweep, "whep_sweep", self._faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nobody has to be waited for
        """Ends every viewer."""
        await self.room.stop()
        await end(self._sweeping)
        self._sweeping = None

    def routes(self) -> tuple[Route, ...]:
        """The endpoint of a stream, and the sessions that it opens."""
        return (Route("/{app}/{name}/whep", self._endpoint), Route("/{app}/{name}/whep/{ident}", self._endpoint))

    def outputs(self) -> tuple[WhepRoom, ...]:
        """What viewers by WebRTC get of every stream."""
        return (self.room,)

    def figures(self) -> tuple[WhepFigures, ...]:
        """What its viewers are sent."""
        return (WhepFigures(self.room.stats, self.room.viewers),)
