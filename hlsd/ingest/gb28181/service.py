"""Is the service that opens receivers for a SIP platform. SIP itself is spoken elsewhere."""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hlsd.base.upkeep import end, sweep
from hlsd.events import Action, Event
from hlsd.events.facts import receiver_facts
from hlsd.ingest.allowed import Allowed
from hlsd.ingest.gb28181.figures import ReceiverCounts, ReceiverFigures
from hlsd.ingest.gb28181.operations import ReceiverRefused, ReceiverView, operations
from hlsd.ingest.gb28181.subject import ReceiverSubject
from hlsd.ports import Service
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from starlette.routing import Route

    from hlsd.base.figures import Reporter
    from hlsd.events import Bus
    from hlsd.ingest.gb28181.order import ReceiverOrder
    from hlsd.ingest.gb28181.receiver import CameraReceiver
    from hlsd.ingest.gb28181.settings import Gb28181Settings
    from hlsd.ingest.packet_publisher import PacketHost

SWEEP: Final = 1.0
TRIES: Final = 64
"""Ports that are tried for a receiver: others of this machine may have some."""


class Gb28181Service(Service):
    """The receivers. Off where `settings.max_receivers` is 0."""

    def __init__(self, settings: Gb28181Settings, host: PacketHost, bus: Bus) -> None:
        self._settings = settings
        self._host = host
        self._bus = bus
        self._allowed = Allowed(settings.allow) if settings.allow else None
        self._receivers: dict[str, CameraReceiver] = {}
        self._opening = 0
        self._next = settings.first_port
        self._counts = ReceiverCounts()
        self._sweeping: asyncio.Task[None] | None = None
        self._open = False

    async def start(self) -> None:
        """Begins to look after deadlines."""
        self._open = self._settings.max_receivers > 0
        if self._open:
            self._sweeping = sweep(SWEEP, self._sweep, "gb28181_sweep", self._host.faults)

    async def stop(self, deadline: float) -> None:
        """Closes every receiver."""
        self._open = False
        await end(self._sweeping)
        self._sweeping = None
        receivers = list(self._receivers.values())
        for receiver in receivers:
            receiver.end(PublishEnding("shutdown"))
        async with asyncio.timeout(max(deadline, SWEEP)):
            for receiver in receivers:
                await receiver.settled()
        await asyncio.sleep(0)  # connection_lost of those that were aborted

    def operations(self) -> Sequence[Route]:
        """What a platform asks for."""
        return operations(self)

    def figures(self) -> Sequence[Reporter]:
        """What receivers have had."""
        return (ReceiverFigures(self._counts, lambda: [one.state for one in self._receivers.values()]),)

    # -- as the operations see it

    @property
    def views(self) -> list[ReceiverView]:
        """All receivers, the oldest first."""
        return [view_of(one) for one in self._receivers.values()]

    def view(self, ident: str) -> ReceiverView:
        """One of them. Raises ReceiverRefused."""
        return view_of(self._find(ident))

    async def open(self, order: ReceiverOrder) -> ReceiverView:
        """Opens one. Raises ReceiverRefused."""
        settings = self._settings
        if not self._open:
            raise ReceiverRefused(409, "off", "gb28181.max_receivers is 0, or the server is about to stop")
        if len(self._receivers) + self._opening >= settings.max_receivers:
            raise ReceiverRefused(409, "too_many", f"there are {settings.max_receivers} receivers (max_receivers)")
        if any((one.order.app, one.order.name) == (order.app, order.name) for one in self._receivers.values()):
            raise ReceiverRefused(409, "busy", "there is a receiver for that stream")
        order = order if order.timeout else order._replace(timeout=settings.timeout)
        from hlsd.ingest.gb28181.receiver import CameraReceiver  # noqa: PLC0415 - what nobody uses is not loaded

        ident = secrets.token_hex(8)
        receiver = CameraReceiver(ident, order, self._host, self._allowed, self._over, self._host.clock.wall())
        self._opening += 1
        try:
            await self._listen(receiver)
        finally:
            self._opening -= 1
        self._receivers[ident] = receiver
        self._counts.opened += 1
        self._host.log.info("receiver opened", app=order.app, name=order.name, port=receiver.port)
        return view_of(receiver)

    def close(self, ident: str) -> None:
        """Closes one. Raises ReceiverRefused."""
        self._find(ident).end(PublishEnding("closed"))

    # -- how

    def _find(self, ident: str) -> CameraReceiver:
        found = self._receivers.get(ident)
        if found is None:
            raise ReceiverRefused(404, "no_such_receiver", "there is no receiver of that id")
        return found

    async def _listen(self, receiver: CameraReceiver) -> None:
        settings, used = self._settings, {one.port for one in self._receivers.values()}
        span = settings.last_port - settings.first_port + 1
        for _ in range(min(TRIES + len(used), span)):
            port = self._next
            self._next = port + 1 if port < settings.last_port else settings.first_port
            if port in used:
                continue
            try:
                await receiver.open(settings.bind, port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise ReceiverRefused(503, "no_port", str(error.strerror or error)) from error
            return
        raise ReceiverRefused(503, "no_port", "no port is free from first_port to last_port")

    def _over(self, receiver: CameraReceiver, ending: PublishEnding) -> None:
        if self._receivers.pop(receiver.ident, None) is None:
            return
        self._counts.end(receiver.state, ending.reason)
        self._host.log.info(
            "receiver closed",
            app=receiver.order.app,
            name=receiver.order.name,
            port=receiver.port,
            reason=ending.reason,
        )
        self._tell(receiver, ending)

    def _tell(self, receiver: CameraReceiver, ending: PublishEnding) -> None:
        """What a platform must know of a receiver that is over."""
        if not self._bus.heard(Action.RECEIVER_DONE):
            return
        at = self._host.clock.wall()
        subject = ReceiverSubject(receiver, ending.reason)
        order, state = receiver.order, receiver.state
        facts = receiver_facts(
            ip=receiver.sender, app=order.app, name=order.name, since=receiver.created, at=at,
            received=state.bytes, reason=ending.reason, detail=ending.words,
        )  # fmt: skip
        self._bus.emit(Event(Action.RECEIVER_DONE, receiver.ident, 1, at, facts), subject)

    def _sweep(self) -> None:
        now = self._host.clock.monotonic()
        for receiver in list(self._receivers.values()):
            with self._host.faults.guard("gb28181_sweep"):
                receiver.sweep(now)


def view_of(receiver: CameraReceiver) -> ReceiverView:
    """What is told of one."""
    order, state = receiver.order, receiver.state
    return ReceiverView(
        id=receiver.ident,
        app=order.app,
        stream=order.name,
        port=receiver.port,
        ssrc=order.ssrc,
        sender=receiver.sender,
        packets=state.packets,
        bytes=state.bytes,
        lost=state.lost,
        strays=state.strays,
        created=int(receiver.created * 1000),
    )
