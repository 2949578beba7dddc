"""Processes that share a store of sessions: a registry for each, one clock moved by hand, one place for events."""

from __future__ import annotations

import asyncio
from typing import Self

from hlsd.cluster.local_store import LocalStore
from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.signing import Key, Signer
from hlsd.sessions.store import SLACK, LifeEvent, SessionStore
from tests.support.clock import FakeClock
from tests.support.eventually import eventually
from tests.support.playable import MemoryPlayable

KEY = Key(b"0123456789abcdef")


class SharedSessions:
    """`count` processes; `stores`: what each asks, one local store for all if None."""

    def __init__(
        self, count: int = 2, stores: list[SessionStore] | None = None, *, closed: bool = False, **settings: object
    ) -> None:
        self.clock = FakeClock()
        self.settings = SessionSettings.model_validate(settings)
        self.told: list[LifeEvent] = []
        if stores is None:
            signer = Signer([KEY], self.clock.wall)
            directory = LocalDirectory(self.settings, self.clock, signer.who, lease_time=SLACK)
            stores = [LocalStore(directory, self.clock)] * count
        self.stores = stores
        self.processes = [self._process(store, closed) for store in stores]

    def _process(self, store: SessionStore, closed: bool) -> Registry:
        stream = MemoryPlayable()
        return Registry(
            Signer([KEY], self.clock.wall, "node"),
            self.clock,
            lambda _app, _name: 10.0,
            max_sessions=1000,
            settings=self.settings,
            stream=lambda _app, _name: stream,
            about=lambda _app, _name: ("run1", "avc1.64001f"),
            store=store,
            closed=lambda _app: closed,
        )

    async def __aenter__(self) -> Self:
        for process in self.processes:
            await process.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            await process.stop()

    async def enter(self, at: int, grant: Grant | None = None, **request: object) -> Session | Denial:
        asked = {"app": "live", "name": "cam", "protocol": "hls", "ip": "192.0.2.1", "user_agent": "p/1", **request}
        return await self.processes[at].open(PlayRequest(**asked), grant or Grant())  # type: ignore[arg-type]

    async def watch(self, at: int, grant: Grant | None = None, *, media: int = 1000, **request: object) -> Session:
        session = await self.enter(at, grant, **request)
        assert isinstance(session, Session), session
        self.processes[at].charge(session, media, 1)
        return session

    def admit(self, at: int, session: Session, ip: str = "192.0.2.1") -> Session | Denial:
        return self.processes[at].admit(session.sid.decode(), "live", "cam", ip, "p/1")

    async def after(self, seconds: float) -> None:
        """Time goes by, everybody is looked at, and what is to be said is said."""
        for _ in range(max(1, int(seconds / 0.5))):
            self.clock.advance(seconds / max(1, int(seconds / 0.5)))
            for process in self.processes:
                process.sweep()
                await asyncio.sleep(0)
            await self.said()
        await self.hear()

    async def said(self) -> None:
        """All processes have said what is due."""
        for process in self.processes:
            assert process.common is not None
            process.common._news.set()
        for _ in range(20):
            await asyncio.sleep(0)

    async def hear(self) -> list[str]:
        """Ids of the events so far."""
        store = self.stores[0]
        assert isinstance(store, LocalStore)
        while store._events:
            some = await store.events(100)
            self.told += some
            await store.settle(some)
        return [event.id for event in self.told]

    async def heard(self, ident: str) -> LifeEvent:
        """Waits for an event."""

        async def there() -> bool:
            await self.said()
            return ident in await self.hear()

        await eventually(there, what=f"the event {ident}")
        return next(event for event in self.told if event.id == ident)
