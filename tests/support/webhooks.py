"""Receivers inside the test: what they are sent and what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from hlsd.base.clock import Clock, SystemClock
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import Facts
from hlsd.notify.notify import Notify
from hlsd.notify.settings import NotifySettings
from hlsd.ports import Denial
from hlsd.stats import NotifyStats

URL = "http://receiver.test/hook"
SECOND = "http://second.test/hook"


def happened(owner: str, seq: int, action: Action = Action.UPDATE_PLAY, **facts: object) -> Event:
    """An event of `owner`."""
    known: Facts = {"app": "live", "name": "a", "path": "/live/a", "ip": "192.0.2.1:4000"}
    return Event(action, owner, seq, SystemClock().wall(), cast(Facts, {**known, **facts}))


class Person:
    """An event's subject that only notes what is done to it."""

    app, name, path, protocol, ip = "live", "film", "/live/film", "hls", "192.0.2.7"

    def __init__(self, ident: str = "v") -> None:
        self.id = ident
        self.query: dict[str, str] = {}
        self.rejections: list[str] = []

    def reject(self, reason: str = "kicked") -> None:
        self.rejections.append(reason)

    def denial(self) -> Denial | None:
        return Denial(403, "no", "rejected") if self.rejections else None


class Wire(httpx.AsyncByteStream):
    """A body as it comes by network: `httpx.Response(content=…)` counts as read already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def unread(response: httpx.Response) -> httpx.Response:
    """The same response as a network would bring it."""
    return httpx.Response(response.status_code, headers=response.headers, stream=Wire(response.content))


class World:
    """Everything outside: receivers by host, each request noted; `answer` decides."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.taken: list[dict[str, Any]] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200)
        self.under_way = 0
        self.most_at_once = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(0)
            response = self.answer(request)
        finally:
            self.under_way -= 1
        if response.is_success:
            body = json.loads(request.content)
            self.taken += body if isinstance(body, list) else [body]
        return unread(response)

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def of(self, owner: str) -> list[int]:
        """The numbers of the owner's events that were taken, in order."""
        return [event["seq"] for event in self.taken if event["id"] == owner]


class Running:
    """A `Notify` at work."""

    def __init__(self, bus: Bus, notify: Notify, stats: NotifyStats, refused: list[tuple[str, str]]) -> None:
        self.bus = bus
        self.notify = notify
        self.stats = stats
        self.refused = refused

    def emit(self, event: Event) -> None:
        self.bus.emit(event, Person(event.id))


@asynccontextmanager
async def running(
    state: Path, world: World | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Listens to a bus with these settings; waits are a hundredth of the default's unless given."""
    given = {"url": URL, "backoff_first": 0.01, "backoff_max": 0.05, **settings}
    bus, stats, refused = Bus(), NotifyStats(), list[tuple[str, str]]()
    notify = Notify(
        NotifySettings(**given),
        bus,
        clock or SystemClock(),
        stats,
        state=state,
        server_id="n1",
        refused=lambda action, ident: refused.append((action, ident)),
        transport=world.transport() if world is not None else None,
    )
    await notify.start()
    try:
        yield Running(bus, notify, stats, refused)
    finally:
        await notify.stop()
