"""Is the store of sessions that workers ask: the core's own registry, so that what it knows stays the one truth.

Whoever watches was let in by the core, has its session there and its events from there; workers serve it and say what
they sent (`hlsd.sessions.store.SessionStore`, over `hlsd.cluster`). Law: reports are totals of a token, and only what
a token has not told yet is charged, so that saying it twice changes nothing. What is reported of an id that the core
does not know (it began again a moment ago) is kept until the worker has claimed it, then charged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hlsd.base.clock import Clock
from hlsd.ports import MEDIA, MORE, WORDS, Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.lifecycle import BY_SERVER
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import MAX_AGENT, Session
from hlsd.sessions.signing import PUBLIC
from hlsd.sessions.store import NOTHING, RENEW_NEAR, Counts, LifeEvent, LifeReport, ReportAnswer

KEEP: Final = 120.0
"""Seconds for which an id is remembered that nobody reports: for what is said again."""
LATE: Final = 2.0
"""Seconds in which all workers have said what they sent to somebody who was sent away."""
MOST: Final = 1_000_000
"""Ids at once."""
SLICE: Final = 2000
"""Ids that are looked at in one sweep."""


@dataclass(slots=True)
class _Place:
    """What workers have said of one public id."""

    session: Session | None = None
    sid: bytes = b""
    """The whole id, once a worker has claimed it."""
    path: str = ""
    ip: str = ""
    agent: str = ""
    heard: float = 0.0
    told: dict[str, Counts] = field(default_factory=dict)
    """By token, what was charged or is owed."""
    owed: Counts = NOTHING

    def at(self, session: Session) -> Session:
        """The session that the registry has by that id."""
        self.session = session
        return session


class RegistryStore:
    """`registry` is the core's; `idle(app, name)` as it has it; `directory` where it keeps bans."""

    def __init__(
        self, registry: Registry, directory: LocalDirectory, idle: Callable[[str, str], float], clock: Clock
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._idle = idle
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._late: dict[Session, float] = {}
        """Sessions that had ended before anybody said that they had got media, and when that was said."""

    @property
    def period(self) -> float:
        """Seconds."""
        return RENEW_NEAR

    async def start(self) -> None:
        """The registry's owner begins it."""

    async def stop(self) -> None:
        """And ends it."""

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """A viewer with an id that is good is at a worker: the registry has it, takes it up again, or says why not."""
        place = self._place(claim.id[:PUBLIC])
        place.sid, place.path, place.ip = claim.sid, claim.path, claim.ip
        session = self._admit(place)
        if isinstance(session, Denial):
            return session
        self._settle(place, session)
        return Lease(life=1, on=True)

    def amend(self, claim: PlaceClaim) -> None:
        """It is at another address: whether it may is the registry's to judge, which ends it if not."""
        place = self._places.get(claim.id[:PUBLIC])
        if place is not None and claim.sid:
            place.sid, place.path, place.ip = claim.sid, claim.path, claim.ip
            denial = self._admit(place)
            if isinstance(denial, Denial):
                self._directory.revoke(Revocation(claim.id[:PUBLIC], "auth_denied"))

    def release(self, place: str) -> None:
        """A worker has it no more: the registry sees by itself when nobody asks."""

    async def report(self, reports: Sequence[LifeReport]) -> Sequence[ReportAnswer]:
        """Charges what is new of each."""
        return [self._report(report) for report in reports]

    def revoke(self, revocation: Revocation) -> None:
        """A worker sends somebody away."""
        what = revocation.what
        if isinstance(what, bytes) and (self._directory.banned(what) or self._directory.is_dead(what)):
            return  # it heard so from here
        self._directory.revoke(revocation._replace(dead=min(revocation.dead, self._registry.settings.adopt_window)))

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Tells what holds, and each that comes; sessions by their public ids, as workers know them."""

        def tell(revocation: Revocation) -> None:
            what = revocation.what
            revoked(revocation._replace(what=what[:PUBLIC]) if isinstance(what, str) else revocation)

        for revocation in self._directory.standing():
            tell(revocation)
        return self._directory.watch(tell)

    async def events(self, most: int) -> Sequence[LifeEvent]:  # noqa: ARG002
        """None: the registry tells its own."""
        await asyncio.sleep(1.0)
        return ()

    async def settle(self, events: Sequence[LifeEvent]) -> None:
        """There are none."""

    def sweep(self) -> None:
        """Forgets some of whom nobody has reported for a while; tells of plays that were known too late."""
        now = self._clock.monotonic()
        for session, since in list(self._late.items()):
            if now - since < LATE:
                break
            del self._late[session]
            self._registry.played(session)
        for number, (public, place) in enumerate(list(self._places.items())):
            if number == SLICE or now - place.heard < KEEP:
                break
            del self._places[public]

    # -- one viewer

    def _place(self, public: str) -> _Place:
        """What is known of an id, as the one that was heard of last."""
        place = self._places.pop(public, None)
        if place is None:
            if len(self._places) >= MOST:
                del self._places[next(iter(self._places))]
            place = _Place()
        self._places[public] = place
        place.heard = self._clock.monotonic()
        return place

    def _admit(self, place: _Place) -> Session | Denial:
        _, app, name = place.path.split("/", 2)
        found = self._registry.admit(place.sid.decode("latin-1"), app, name, place.ip, place.agent)
        if isinstance(found, Session):
            place.at(found)
        return found

    def _report(self, report: LifeReport) -> ReportAnswer:
        place, life = self._place(report.sid), max(1, report.life)
        if report.about and not place.agent:
            place.agent = _agent(report.about)
        before = place.told.get(report.token, NOTHING)
        if report.counts[0] >= before[0]:
            place.told[report.token] = report.counts
            place.owed = _plus(place.owed, _minus(report.counts, before))
        session = self._current(report.sid, place)
        if report.active and place.sid and (session is None or session.over):
            found = self._admit(place)  # it has ended here, and goes on there: in another life, unless it may not
            if isinstance(found, Denial):
                return ReportAnswer(on=False, life=life, barred=True)
            session = found
        if session is None:
            return ReportAnswer(on=True, life=life)  # what it owes is charged when the worker has claimed it
        self._settle(place, session)
        if report.active:
            self._touch(session, report.left)
        elif report.whole and report.why in BY_SERVER and not session.over:
            self._registry.end(session, report.why, ban=report.bar)
        return ReportAnswer(on=not session.over, life=life)

    def _current(self, public: str, place: _Place) -> Session | None:
        """The session of that id, open or, for what is still to be charged, over."""
        session = place.session
        if session is None or session.over:
            there = self._registry.in_any_life(public)
            if there is not None:
                session = place.at(there)
                place.sid, place.path, place.ip = there.sid, there.path, there.ip
        return session

    def _touch(self, session: Session, left: float) -> None:
        """It was asked for something that long before it would be idle."""
        now = self._clock.monotonic()
        session.last = max(session.last, min(now, now + left - self._idle(session.app, session.name)))

    def _settle(self, place: _Place, session: Session) -> None:
        """Charges what is owed."""
        out, media, came, requests, segments = place.owed
        place.owed = NOTHING
        if not session.user_agent and place.agent:
            session.user_agent = place.agent[:MAX_AGENT]
        session.in_bytes += max(0, came)
        session.requests += max(0, requests)
        charge = self._registry.charge
        if media > 0:
            kind = MEDIA if segments > 0 else MORE
            charge(session, media, kind)
            session.segments += max(0, segments - 1)
            if session.over and not session.started and len(self._late) < MOST:
                self._late.setdefault(session, self._clock.monotonic())
        if out - media > 0:
            charge(session, out - media, WORDS)


def _agent(about: str) -> str:
    """The player's name in what a worker says of a session."""
    try:
        said = json.loads(about)
    except ValueError:
        return ""
    facts = said.get("facts") if isinstance(said, dict) else None
    agent = facts.get("user_agent") if isinstance(facts, dict) else None
    return agent if isinstance(agent, str) else ""


def _plus(one: Counts, other: Counts) -> Counts:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3], one[4] + other[4]


def _minus(one: Counts, other: Counts) -> Counts:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3], one[4] - other[4]
