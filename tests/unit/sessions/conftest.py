"""A registry whose clock is moved by hand, whose gate says what it is told, and whose events are kept."""

from __future__ import annotations

import asyncio

import pytest

from hlsd.events import Event
from hlsd.ports import Denial, Gate, Grant, PlayRequest, PublishRequest
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.directory import SessionDirectory
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.signing import Key, Signer
from tests.support.at_once import at_once
from tests.support.playable import MemoryPlayable

KEY = Key(b"0123456789abcdef")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000 + self.now


class ToldGate:
    """Answers `renew` with what it was told, and remembers who was asked about."""

    def __init__(self) -> None:
        self.says: Grant | Denial = Grant()
        self.renewed: Grant | None = None
        self.asked: list[PlayRequest] = []

    async def play(self, request: PlayRequest) -> Grant | Denial:
        return self.says

    async def publish(self, request: PublishRequest) -> Grant | Denial:
        return self.says

    async def renew(self, request: PlayRequest, grant: Grant) -> Grant | Denial:
        self.asked.append(request)
        return self.says if isinstance(self.says, Denial) else self.renewed or grant

    def hides_names(self, app: str) -> bool:
        return False


class Scene:
    """A registry and what is around it."""

    def __init__(self, *, rules: Gate | None = None, **settings: object) -> None:
        self.clock = Hands()
        self.gate = ToldGate()
        self._rules = rules or self.gate
        self.stream: MemoryPlayable | None = MemoryPlayable()
        self.idle = 10.0
        self.told: list[Event] = []
        self.settings = SessionSettings.model_validate(settings)
        self.sessions = self.registry()
        self.sessions.bus.listen(self.told.append)

    def registry(self, store: BanStore | None = None, directory: SessionDirectory | None = None) -> Registry:
        """As after a restart; or of another node, by the same directory."""
        self.signer = Signer([KEY], self.clock.wall)
        self.local = LocalDirectory(self.settings, self.clock, self.signer.who, store=store)
        sessions = Registry(
            self.signer,
            self.clock,
            lambda _app, _name: self.idle,
            max_sessions=self.settings.max_sessions,
            gate=self._rules,
            settings=self.settings,
            stream=lambda _app, _name: self.stream,
            grace=10.0,
            about=lambda _app, _name: ("run1", "avc1.64001f"),
            directory=directory or self.local,
        )
        at_once(sessions.start())
        return sessions

    async def enter(self, grant: Grant | None = None, **request: object) -> Session | Denial:
        asked = {
            "app": "live",
            "name": "cam",
            "protocol": "hls",
            "ip": "192.0.2.1",
            "user_agent": "player/1",
            **request,
        }
        return await self.sessions.open(PlayRequest(**asked), grant or Grant())  # type: ignore[arg-type]

    async def watch(self, grant: Grant | None = None, *, media: int = 1000, **request: object) -> Session:
        """A viewer is let in and gets some media."""
        session = await self.enter(grant, **request)
        assert isinstance(session, Session), session
        self.sessions.charge(session, 200, 0)
        if media:
            self.sessions.charge(session, media, 1)
        return session

    async def after(self, seconds: float) -> None:
        """Time goes by, looked at as the app does; whoever is being asked answers."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + 0.25)
            self.sessions.sweep()
            await asyncio.sleep(0)
        for _ in range(4):
            await asyncio.sleep(0)

    def actions(self, session_id: str | None = None) -> list[str]:
        return [event.action.value for event in self.told if session_id in (None, event.id)]

    def admit(self, sid: str, ip: str = "192.0.2.1") -> Session | Denial:
        return self.sessions.admit(sid, "live", "cam", ip, "player/1")


@pytest.fixture
def scene() -> Scene:
    return Scene()
