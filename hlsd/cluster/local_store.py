"""Is the store of sessions of one machine: in the process that owns the rest, asked by itself and by its workers.

Nothing of it is on disk but bans: when its process ends and is back, whoever serves viewers reports what is on, and is
believed. Law: every answer is there at once; what has happened waits here until it is settled, `MAX_EVENTS` at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from hlsd.base.clock import Clock
from hlsd.cluster.lives import Lives
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.store import MAX_ABOUT, MAX_BATCH, RENEW_NEAR, LifeEvent, LifeReport, ReportAnswer

MAX_EVENTS: Final = 30_000
"""Events that wait to be settled; of more, the oldest are lost and counted."""
PATIENCE: Final = 1.0
"""Seconds for which `events` waits for some."""


class LocalStore:
    """`hlsd.sessions.store.SessionStore` on top of a directory whose leases run out (`lease_time`: `SLACK`).

    `most`: sessions that are remembered.
    """

    def __init__(self, directory: LocalDirectory, clock: Clock, most: int = 1_000_000) -> None:
        self.directory = directory
        self._clock = clock
        self._epoch = clock.wall() - clock.monotonic()
        self._events: deque[LifeEvent] = deque()
        self._given = 0
        """How many of these, from the left, somebody has in hand."""
        self._news = asyncio.Event()
        self._lives = Lives(self._tell, most)
        self._unwatch: Callable[[], None] = directory.watch(self._revoked)
        self.lost = 0
        """Events that nobody settled in time."""

    @property
    def period(self) -> float:
        """Seconds."""
        return RENEW_NEAR

    @property
    def on(self) -> int:
        """Sessions that are on."""
        return self._lives.on

    async def start(self) -> None:
        """Reads bans."""
        await self.directory.start()
        self.directory.retell()

    async def stop(self) -> None:
        """Writes no more of them."""
        self._unwatch()
        await self.directory.stop()

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """Gives a place at once, or says why not."""
        lease = self.directory.rejoin(claim)
        if isinstance(lease, Denial):
            return lease
        record = self._lives.introduce(self._clock.monotonic(), claim.id, claim.about[:MAX_ABOUT])
        return lease._replace(life=record.life, on=record.on, about=record.said)

    def amend(self, claim: PlaceClaim) -> None:
        """Bounds count it as whoever it is now, and so does who takes it over."""
        self.directory.amend(claim)
        self._lives.introduce(self._clock.monotonic(), claim.id, claim.about[:MAX_ABOUT], anew=True)

    def release(self, place: str) -> None:
        """Gives the place away again, unless a life of it is on in another process."""
        record = self._lives.get(place)
        if record is None or not record.on:
            self.directory.release(place)

    async def report(self, reports: Sequence[LifeReport]) -> Sequence[ReportAnswer]:
        """Row by row."""
        now, directory = self._clock.monotonic(), self.directory
        answers: list[ReportAnswer] = []
        for report in reports[:MAX_BATCH]:
            answer = self._lives.report(now, report)
            answers.append(answer)
            if answer.on:
                directory.prolong(report.sid, report.left)
            elif not report.active:
                self.release(report.sid)
        return answers

    def revoke(self, revocation: Revocation) -> None:
        """Ends what is on, and tells."""
        self.directory.revoke(revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at every revocation; of before, those of the directory's bans are told at once."""
        for revocation in self.directory.standing():
            revoked(revocation)
        return self.directory.watch(revoked)

    async def events(self, most: int) -> Sequence[LifeEvent]:
        """What has happened. One asks at a time: it is the process of this store."""
        self._given = 0
        if not self._events:
            self._news.clear()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._news.wait()
            except TimeoutError:
                return ()
        some = [self._events[n] for n in range(min(most, len(self._events)))]
        self._given = len(some)
        return some

    async def settle(self, events: Sequence[LifeEvent]) -> None:
        """Forgets them: the first of those that were given."""
        for _ in range(min(len(events), self._given)):
            self._events.popleft()
        self._given = 0

    def sweep(self) -> None:
        """Ends leases that are over."""
        for sid in self._lives.reap(self._clock.monotonic()):
            self.directory.release(sid)
        self.directory.sweep()

    def _revoked(self, revocation: Revocation) -> None:
        if isinstance(revocation.what, str):
            self._lives.end(self._clock.monotonic(), revocation.what, revocation.reason, revocation.ban)

    def _tell(self, event: LifeEvent) -> None:
        if len(self._events) >= MAX_EVENTS:
            self._events.popleft()
            self._given = max(0, self._given - 1)
            self.lost += 1
        began = event.began + self._epoch if event.began else 0.0
        self._events.append(event._replace(at=event.at + self._epoch, began=began))
        self._news.set()
