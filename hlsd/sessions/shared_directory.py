"""Is the directory of a process that shares its sessions with others: it asks a store, and reports what it serves.

Law: no request of a viewer who plays waits for the store, nor is it asked for one. While the store is away, viewers who
play go on, what is to be said waits and is said when it is back; who comes meanwhile is let in or turned away as the
operator says for the app, and counted. Bans are known here, since the store tells them to all.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.ports import Denial
from hlsd.sessions.bans import Bans
from hlsd.sessions.directory import GIVEN, Lease, PlaceClaim, Revocation, Viewer, viewer
from hlsd.sessions.refusals import AWAY, BANNED
from hlsd.sessions.reporter import Knows, LifeReporter, ReportEntry, ReportOutcome
from hlsd.sessions.session import Session
from hlsd.sessions.signing import PUBLIC
from hlsd.sessions.store import MAX_BATCH, SLACK, LifeReport, ReportAnswer, SessionStore, StoreAway

TICK: Final = 0.25
"""Seconds between two looks at what is due; what has just begun or ended is said at once."""
PAUSE: Final = 0.2
"""Seconds until it is said again when the store is away."""
FAREWELL: Final = 2.0
"""Seconds at the end for what is not said yet, also to a store that is away for a moment."""


class SharedLives(Protocol):
    """Who tells of lives that several processes share."""

    def begin(self, session: Session) -> None:
        """Its first media went out here, and nobody has anything against it."""
        ...

    def over(self, session: Session, reason: str, *, whole: bool, bar: float) -> None:
        """It has ended here; `whole`: it is to end everywhere, and is not let in for `bar` seconds."""
        ...


class SharedDirectory:
    """`hlsd.sessions.directory.SessionDirectory` and `SharedLives` of one process, by `store`.

    `closed(app)`: whether who comes is turned away while the store is away. `farewell` is awaited when all is said, and
    before the store is stopped.
    """

    def __init__(  # noqa: PLR0913 - what a process shares them by
        self,
        store: SessionStore,
        clock: Clock,
        knows: Knows[Session],
        faults: Faults,
        *,
        closed: Callable[[str], bool] = lambda _app: False,
        farewell: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults
        self._closed = closed
        self._farewell = farewell
        self._reporter: LifeReporter[Session] = LifeReporter(secrets.token_urlsafe(6) + ".", store.period, knows)
        self._playing: dict[str, Session] = {}
        """By public id, those of which a life is reported."""
        self._lost: dict[str, None] = {}
        """Of these, those whose places are to be claimed again."""
        self.bans = Bans(clock.monotonic())
        self.dead = Bans(clock.monotonic())
        self._watchers: list[Callable[[Revocation], None]] = []
        self._unwatch: Callable[[], None] = lambda: None
        self._news = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self.away: Counter[tuple[str, str]] = Counter()
        """Viewers who came while the store was away, by app and "open" or "closed"."""
        self.failed = 0
        """Batches of reports that were not answered."""

    @property
    def lease_time(self) -> float:
        """Seconds."""
        return SLACK

    @property
    def untold(self) -> int:
        """Sessions that have ended and of which the store does not know yet, or may not."""
        return self._reporter.leaving

    @property
    def lost(self) -> int:
        """Sessions of whose end the store could not be told in time."""
        return self._reporter.lost

    async def start(self) -> None:
        """Begins to report."""
        self._unwatch = self._store.watch(self._revoked)
        await self._store.start()
        self._telling = keep(self._tell, "session_reports", self._faults)

    async def stop(self) -> None:
        """Says what is left, for a moment."""
        await end(self._telling)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._say_all()
        if self._farewell is not None:
            with self._faults.guard("session_events"):
                await self._farewell()
        self._unwatch()
        await self._store.stop()

    # -- SessionDirectory

    def banned(self, what: bytes | Viewer) -> bool:
        """Whether that id or viewer is not let in now."""
        return self.bans.holds(what, self._clock.monotonic())

    def is_dead(self, sid: bytes) -> bool:
        """Whether nobody may take that id over."""
        return self.dead.holds(sid, self._clock.monotonic())

    def foresee(self, claim: PlaceClaim) -> Lease | Denial:
        """Who has how many elsewhere is not known here."""
        return BANNED if self._is_banned(claim) else GIVEN

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """What the store says; while it is away, what the operator says."""
        if self._is_banned(claim):
            return BANNED
        try:
            lease = await self._store.claim(_public(claim))
        except StoreAway:
            app = claim.path.split("/", 2)[1]
            closed = self._closed(app)
            self.away[app, "closed" if closed else "open"] += 1
            self._lost[claim.id[:PUBLIC]] = None  # it is claimed when the store is back, also if it plays by then
            return AWAY if closed else GIVEN
        self._lost.pop(claim.id[:PUBLIC], None)
        return lease

    def rejoin(self, claim: PlaceClaim) -> Lease | Denial | None:
        """Who is banned is known; the rest is asked meanwhile."""
        return BANNED if self._is_banned(claim) else None

    def amend(self, claim: PlaceClaim) -> None:
        """Tells the store."""
        self._store.amend(_public(claim))

    async def renew(self, ids: Sequence[str]) -> Sequence[str]:
        """Places of sessions that play are renewed by their reports; those of others are claimed again."""
        lost, playing = self._lost, self._playing
        again = [place for place in ids if place[:PUBLIC] not in playing or place[:PUBLIC] in lost]
        for place in again:
            lost.pop(place[:PUBLIC], None)
        return again

    def release(self, place: str) -> None:
        """Tells the store, unless its life is reported: then that says it."""
        public = place[:PUBLIC]
        if public not in self._playing:
            self._lost.pop(public, None)
            self._store.release(public)

    def revoke(self, revocation: Revocation) -> None:
        """Tells all."""
        what = revocation.what
        self._store.revoke(revocation._replace(what=what[:PUBLIC]) if isinstance(what, str) else revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at every revocation."""
        self._watchers.append(revoked)

        def stop() -> None:
            if revoked in self._watchers:
                self._watchers.remove(revoked)

        return stop

    def sweep(self) -> None:
        """Forgets what is over."""
        now = self._clock.monotonic()
        self.bans.sweep(now)
        self.dead.sweep(now)
        self._store.sweep()

    # -- SharedLives

    def begin(self, session: Session) -> None:
        """It is reported from now on."""
        public = session.sid[:PUBLIC].decode()
        self._playing[public] = session
        self._reporter.begin(self._clock.monotonic(), public, session, session.life)
        self._news.set()

    def over(self, session: Session, reason: str, *, whole: bool, bar: float) -> None:
        """Its end is reported."""
        public = session.sid[:PUBLIC].decode()
        if self._playing.get(public) is session:
            del self._playing[public]
            self._lost.pop(public, None)
        self._reporter.end(self._clock.monotonic(), session, reason, whole=whole, bar=bar)
        self._news.set()

    # -- reports

    async def _tell(self) -> None:
        while True:
            try:
                if await self._say():
                    continue
            except StoreAway:
                self.failed += 1
                await asyncio.sleep(PAUSE)
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._news.wait()

    async def _say_all(self) -> None:
        while True:
            try:
                if not await self._say():
                    return
            except StoreAway:
                await asyncio.sleep(PAUSE)

    async def _say(self) -> bool:
        """One batch; whether there was one. Raises StoreAway."""
        reporter = self._reporter
        reporter.linger(self._clock.monotonic())
        due = reporter.due(self._clock.monotonic(), MAX_BATCH)
        if not due:
            return False
        answers: Sequence[ReportAnswer] | None = None
        try:
            answers = await self._store.report([report for _, report in due])
        finally:
            if answers is None:  # also when this task is ended
                for entry, _ in due:
                    reporter.failed(self._clock.monotonic(), entry)
                    if not entry.life and entry.sid in self._playing:
                        self._lost[entry.sid] = None  # a store that has forgotten all takes it for a new one
        for (entry, report), answer in zip(due, answers, strict=True):
            self._came(entry, report, answer)
        return True

    def _came(self, entry: ReportEntry[Session], report: LifeReport, answer: ReportAnswer) -> None:
        session = entry.session
        match self._reporter.answered(self._clock.monotonic(), entry, report, answer):
            case ReportOutcome.FIRST:
                if answer.life > 1:
                    session.extra.life, session.extra.mark = answer.life, f".{answer.life}"
            case ReportOutcome.ANEW if entry.sid in self._playing:
                self._lost[entry.sid] = None
            case ReportOutcome.BARRED:
                self._told(Revocation(entry.sid, "kicked"))
            case ReportOutcome.GONE if not answer.on and entry.sid not in self._playing:
                self._store.release(entry.sid)
            case _:
                pass

    def _revoked(self, revocation: Revocation) -> None:
        what, _, ban, dead = revocation
        now = self._clock.monotonic()
        if not isinstance(what, str):
            if ban > 0:
                self.bans.add(what, now + ban)
            if dead > 0:
                self.dead.add(what, now + dead)
        self._told(revocation)

    def _told(self, revocation: Revocation) -> None:
        for revoked in tuple(self._watchers):
            revoked(revocation)

    def _is_banned(self, claim: PlaceClaim) -> bool:
        if not len(self.bans):
            return False
        return self.banned(viewer(claim.path, claim.who, claim.ip)) or (bool(claim.sid) and self.banned(claim.sid))


def _public(claim: PlaceClaim) -> PlaceClaim:
    """A place is the id's, whichever life that is in."""
    return claim._replace(id=claim.id[:PUBLIC])
