"""Is the service that lets publishers in by WebSocket from a browser. It listens nowhere itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.routing import Match, Route

from hlsd.base.upkeep import end, sweep
from hlsd.delivery.flv_publish.client_socket import LINGER
from hlsd.delivery.recorder.endpoint import RecorderEndpoint, publishes
from hlsd.ports import Service
from hlsd.ports.recorder import ACK_EVERY, RecorderDesk

if TYPE_CHECKING:
    from starlette.types import Scope

    from hlsd.base.faults import Faults
    from hlsd.base.figures import Reporter
    from hlsd.delivery.judge import Judge


class RecorderReceiver(RecorderDesk, Protocol):
    """Who publishes: the desk, with its figures."""

    def figures(self) -> Sequence[Reporter]:
        """Who reports its figures."""
        ...


class RecorderService(Service):
    """`receiver` publishes what comes; `judge` knows whose a request is. Not `on`, everybody is refused."""

    def __init__(self, receiver: RecorderReceiver, judge: Judge, faults: Faults, most: int, *, on: bool) -> None:
        self._receiver = receiver
        self._endpoint = RecorderEndpoint(receiver, judge, most, on=on)
        self._faults = faults
        self._sweeping: asyncio.Task[None] | None = None

    def whose(self, app: str, ident: str) -> str:
        """The public name of the stream that a session publishes; "" where there is none."""
        return self._receiver.whose(app, ident)

    async def start(self) -> None:
        """Begins to look after deadlines."""
        self._sweeping = sweep(ACK_EVERY, self._receiver.sweep, "recorder_sweep", self._faults)

    async def stop(self, deadline: float) -> None:
        """Waits for those whom the hub has sent away."""
        await self._receiver.gone(min(deadline, LINGER))
        await end(self._sweeping)
        self._sweeping = None

    def routes(self) -> tuple[Route, ...]:
        """Handshakes alone: the page at the same address is another route's."""
        return (_HandshakeRoute("/{app}/{name}/publish", self._endpoint),)

    def figures(self) -> Sequence[Reporter]:
        """What pages do."""
        return self._receiver.figures()


class _HandshakeRoute(Route):
    """A route that takes handshakes only."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is one."""
        return super().matches(scope) if publishes(scope) else (Match.NONE, {})
