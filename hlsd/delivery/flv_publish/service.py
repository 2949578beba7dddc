"""Is the service that lets publishers in by HTTP: FLV by request and by WebSocket, and MPEG-TS by request.

It listens nowhere itself: they come by the HTTP ports, at the address that the same stream is played from.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.routing import Match, Route

from hlsd.base.upkeep import end, sweep
from hlsd.delivery.flv_publish.endpoint import FLV, FilePublishEndpoint, SentForm, publishes
from hlsd.delivery.flv_publish.message_body import LINGER
from hlsd.ports import Service

if TYPE_CHECKING:
    from starlette.types import Scope

    from hlsd.base.faults import Faults
    from hlsd.delivery.judge import Judge
    from hlsd.ports.flv_body import BodyPublishers

SWEEP = 1.0
"""Seconds between two looks at deadlines."""


class FilePublishService(Service):
    """`publishers` publish what comes in `form`; `judge` knows whose a request is. Not `on`, everybody is refused."""

    def __init__(
        self, publishers: BodyPublishers, judge: Judge, faults: Faults, *, on: bool, form: SentForm = FLV
    ) -> None:
        self._publishers = publishers
        self._form = form
        self._endpoint = FilePublishEndpoint(publishers, judge, on=on, form=form)
        self._faults = faults
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look after deadlines."""
        self._sweeping = sweep(SWEEP, self._publishers.sweep, f"{self._form.protocol}_publish_sweep", self._faults)

    async def stop(self, deadline: float) -> None:
        """Waits for those whom the hub has sent away."""
        await self._publishers.gone(min(deadline, LINGER))
        await end(self._sweeping)
        self._sweeping = None

    def routes(self) -> tuple[Route, ...]:
        """Those of publishers alone: who plays the same address goes on to its viewers' route."""
        return (_PublishRoute(self._form, self._endpoint),)


class _PublishRoute(Route):
    """A route that takes publishers only."""

    def __init__(self, form: SentForm, endpoint: FilePublishEndpoint) -> None:
        super().__init__("/{app}/{name}" + form.suffix, endpoint)
        self._form = form

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is one."""
        return super().matches(scope) if publishes(scope, self._form) else (Match.NONE, {})
