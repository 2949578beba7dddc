"""Claims places for viewers who play already, and renews the places of all: beside what is going on, in batches.

Law: nobody who plays waits for the directory. A viewer who is back plays first; if there turns out to be no place, the
session ends. One round of renewals and one of claims are under way at most; both are bounded by the open sessions.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from math import inf

from hlsd.ports import Denial
from hlsd.sessions.background import Background
from hlsd.sessions.directory import GIVEN, Lease, PlaceClaim
from hlsd.sessions.life import BACK
from hlsd.sessions.lifecycle import Lifecycle
from hlsd.sessions.refusals import AWAY, BANNED
from hlsd.sessions.renewal import Renewal
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared

BATCH = 200
"""Places that are claimed or renewed at a time."""
ROUNDS = 3
"""Renewals of each place within the time that one lasts: two may be lost."""


class Leases:
    """Of one server's sessions."""

    def __init__(self, shared: Shared, lifecycle: Lifecycle, renewal: Renewal) -> None:
        self._table = shared.table
        self._schedule = shared.schedule
        self._directory = shared.directory
        self._claims = shared.claims
        self._clock = shared.clock
        self._lives = shared.lives
        self._lifecycle = lifecycle
        self._renewal = renewal
        self._period = shared.directory.lease_time / ROUNDS
        self._due = shared.clock.monotonic() + self._period
        self._pending: dict[Session, None] = {}
        self._claiming = Background(1, "claim places", "places could not be claimed")
        self._renewing = Background(1, "renew places", "places could not be renewed")

    def claim_meanwhile(self, session: Session) -> None:
        """It plays already; the directory is asked now."""
        session.extra.pending = True
        self._pending[session] = None
        self._claiming.run(self._claim_all())

    def turn(self) -> None:
        """Begins what is due."""
        if self._pending:
            self._claiming.run(self._claim_all())  # unless it goes on already
        if self._period < inf and self._clock.monotonic() >= self._due and self._renewing.run(self._renew_all()):
            self._due = self._clock.monotonic() + self._period

    async def stop(self) -> None:
        """Asks no more."""
        await self._claiming.stop()
        await self._renewing.stop()

    async def _claim_all(self) -> None:
        while self._pending:
            some = list(islice(self._pending, BATCH))
            claimed = [(session, self._claims.of(session)) for session in some if not session.over]
            said = await asyncio.gather(*[self._directory.claim(claim) for _, claim in claimed])
            for session in some:
                self._pending.pop(session, None)
            for (session, claim), lease in zip(claimed, said, strict=True):
                self._settle(session, claim, lease)

    def _settle(self, session: Session, claim: PlaceClaim, lease: Lease | Denial) -> None:
        if session.over:
            self._directory.release(claim.id)
            return
        session.extra.pending = False
        if isinstance(lease, Denial) and lease.reason == AWAY.reason:
            lease = GIVEN  # he plays already: only who comes is turned away
        if isinstance(lease, Denial):
            self._lifecycle.end(session, "kicked" if lease.reason == BANNED.reason else "limit")
            return
        if self._lives is not None and session.phase in BACK and not self._renewal.take_over(session, lease):
            return
        now = self._claims.of(session)._replace(about=claim.about)  # what others said of it stands
        if now != claim:
            self._directory.amend(now)
        self._renewal.soften(session, lease)
        self._schedule.file(session)

    async def _renew_all(self) -> None:
        left = iter(tuple(self._table.by_sid.values()))
        while some := [session for session in islice(left, BATCH) if not session.over]:
            held = {session.id: session for session in some if session.rare is None or not session.rare.pending}
            for place in await self._directory.renew(tuple(held)):
                lost = held.get(place)
                if lost is not None and not lost.over:
                    self.claim_meanwhile(lost)
            await asyncio.sleep(0)  # others have their turn, also where nothing had to be waited for
