"""A directory of sessions that takes its time, as one on another machine does: it knows nothing of who is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hlsd.ports import Denial
from hlsd.sessions.directory import GIVEN, Lease, PlaceClaim, Revocation, SessionDirectory, Viewer
from hlsd.sessions.refusals import BANNED


class SlowDirectory:
    """Answers from `store` once `answers` is set; what is banned is known here, since revocations are told to all."""

    def __init__(self, store: SessionDirectory) -> None:
        self.store = store
        self.answers = asyncio.Event()
        self.answers.set()
        self.claims: list[str] = []
        """Ids of the places that were asked for, in order."""
        self.renewals: list[int] = []
        """How many places each `renew` was about."""

    @property
    def lease_time(self) -> float:
        return self.store.lease_time

    async def start(self) -> None:
        await self.store.start()

    async def stop(self) -> None:
        await self.store.stop()

    def banned(self, what: bytes | Viewer) -> bool:
        return self.store.banned(what)

    def is_dead(self, sid: bytes) -> bool:
        return self.store.is_dead(sid)

    def foresee(self, claim: PlaceClaim) -> Lease | Denial:
        seen = self.store.foresee(claim)
        return BANNED if seen == BANNED else GIVEN  # who has how many elsewhere is not known here

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        self.claims.append(claim.id)
        await self.answers.wait()
        return await self.store.claim(claim)

    def rejoin(self, claim: PlaceClaim) -> Lease | Denial | None:
        return BANNED if self.store.foresee(claim) == BANNED else None

    def amend(self, claim: PlaceClaim) -> None:
        self.store.amend(claim)

    async def renew(self, ids: Sequence[str]) -> Sequence[str]:
        self.renewals.append(len(ids))
        await self.answers.wait()
        return await self.store.renew(ids)

    def release(self, place: str) -> None:
        self.store.release(place)

    def revoke(self, revocation: Revocation) -> None:
        self.store.revoke(revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        return self.store.watch(revoked)

    def sweep(self) -> None:
        self.store.sweep()
