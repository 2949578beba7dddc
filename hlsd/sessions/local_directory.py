"""Is the directory of a server that stands alone: bounds and bans in this process, bans on disk over a restart.

Law: every answer is there at once, so whoever asks never waits; what is banned is told to all who watch before `revoke`
returns. A lease lasts until it is released, or `lease_time` after its last renewal where holders may vanish (processes
that ask this one): then all are kept, else only those that something bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from math import inf

from hlsd.base.clock import Clock
from hlsd.base.wheel import Wheel
from hlsd.ports import Denial
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.bans import Bans
from hlsd.sessions.directory import GIVEN, Lease, PlaceClaim, Revocation, Viewer, viewer
from hlsd.sessions.limits import Limits
from hlsd.sessions.refusals import BANNED
from hlsd.sessions.settings import SessionSettings

_BANNED, _DEAD = "ban", "ended"
"""Lists of the store; their names stand in its files."""


class LocalDirectory:
    """The sessions of one server (`hlsd.sessions.directory.SessionDirectory`).

    `who(user_id)` stands for a user, as in ids: older files of bans named users in the clear.
    """

    def __init__(
        self,
        settings: SessionSettings,
        clock: Clock,
        who: Callable[[str], str],
        *,
        store: BanStore | None = None,
        lease_time: float = inf,
    ) -> None:
        self._clock = clock
        self._who = who
        self._store = store
        self._lease_time = lease_time
        now = clock.monotonic()
        self.limits = Limits(settings)
        self.bans = Bans(now)
        self.dead = Bans(now)
        """Ids that the server ended: not to be taken for those of before a restart, or of another node."""
        self._until: dict[str, float] = {}
        """When leases end that are not renewed."""
        self._ends: Wheel[str] = Wheel(now)
        self._watchers: list[Callable[[Revocation], None]] = []

    @property
    def lease_time(self) -> float:
        """Seconds."""
        return self._lease_time

    async def start(self) -> None:
        """Reads the bans of before."""
        if self._store is None:
            return
        epoch = self._clock.wall() - self._clock.monotonic()
        for which, banned, until in self._store.open():
            (self.dead if which == _DEAD else self.bans).add(self._read(banned), until - epoch)

    async def stop(self) -> None:
        """Writes no more bans."""
        if self._store is not None:
            self._store.close()

    def banned(self, what: bytes | Viewer) -> bool:
        """Whether it is banned."""
        return self.bans.holds(what, self._clock.monotonic())

    def is_dead(self, sid: bytes) -> bool:
        """Whether the server has ended that id."""
        return self.dead.holds(sid, self._clock.monotonic())

    def foresee(self, claim: PlaceClaim) -> Lease | Denial:
        """What `claim` would say."""
        if self._is_banned(claim):
            return BANNED
        quota = self.limits.judge(claim)
        if not quota.soft and not quota.leave:
            return quota.denial or GIVEN
        return Lease(quota.soft, len(quota.leave))

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """Gives a place at once, or says why not."""
        return self.rejoin(claim)

    def rejoin(self, claim: PlaceClaim) -> Lease | Denial:
        """The same: everything is known here."""
        if self._is_banned(claim):
            return BANNED
        quota = self.limits.judge(claim)
        if quota.denial is not None:
            return quota.denial
        for place in quota.leave:
            self.release(place)
            self._tell(Revocation(place, "replaced"))
        self.limits.add(claim)
        self._prolong(claim.id)
        return Lease(quota.soft, len(quota.leave)) if quota.soft or quota.leave else GIVEN

    def amend(self, claim: PlaceClaim) -> None:
        """Bounds count it as whoever it is now."""
        if self._lease_time == inf or claim.id in self._until:
            self.limits.add(claim)

    async def renew(self, ids: Sequence[str]) -> Sequence[str]:
        """Those that have run out."""
        if self._lease_time == inf:
            return ()
        lost = [place for place in ids if place not in self._until]
        for place in ids:
            if place in self._until:
                self._prolong(place)
        return lost

    def release(self, place: str) -> None:
        """Gives the place away again."""
        self.limits.remove(place)
        if self._until.pop(place, None) is not None:
            self._ends.drop(place)

    def revoke(self, revocation: Revocation) -> None:
        """Notes it, here and on disk, and tells it."""
        what, _, ban, dead = revocation
        for which, bans, seconds in ((_BANNED, self.bans, ban), (_DEAD, self.dead, dead)):
            if seconds > 0 and not isinstance(what, str):
                bans.add(what, self._clock.monotonic() + seconds)
                if self._store is not None:
                    self._store.add(which, what, seconds)
        if isinstance(what, str):
            self.release(what)
        self._tell(revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at every revocation."""
        self._watchers.append(revoked)

        def end() -> None:
            if revoked in self._watchers:
                self._watchers.remove(revoked)

        return end

    def prolong(self, place: str, seconds: float) -> None:
        """A place that is still held lasts `lease_time` and so many seconds more."""
        if place in self._until:
            self._prolong(place, seconds)

    def standing(self) -> list[Revocation]:
        """What was revoked before and still holds."""
        now = self._clock.monotonic()
        banned = [Revocation(what, "kicked", ban=until - now) for what, until in self.bans.items() if until > now]  # type: ignore[arg-type]
        dead = [Revocation(what, "kicked", dead=until - now) for what, until in self.dead.items() if until > now]  # type: ignore[arg-type]
        return banned + dead

    def retell(self) -> None:
        """Tells all who watch what is standing: they may have begun before it was read."""
        for revocation in self.standing():
            self._tell(revocation)

    def sweep(self) -> None:
        """Forgets bans and leases that are over, and has the file of bans written anew if much of it is."""
        now = self._clock.monotonic()
        self.bans.sweep(now)
        self.dead.sweep(now)
        if self._until:
            self._ends.turn(now, self._look)
        if self._store is not None:
            self._store.turn(self._holding)

    def _is_banned(self, claim: PlaceClaim) -> bool:
        if not len(self.bans):
            return False
        return self.banned(viewer(claim.path, claim.who, claim.ip)) or (bool(claim.sid) and self.banned(claim.sid))

    def _tell(self, revocation: Revocation) -> None:
        for revoked in tuple(self._watchers):
            revoked(revocation)

    def _prolong(self, place: str, more: float = 0.0) -> None:
        if self._lease_time < inf:
            until = self._clock.monotonic() + self._lease_time + more
            self._until[place] = until = max(until, self._until.get(place, 0.0))
            self._ends.put(place, until)

    def _look(self, place: str) -> float | None:
        """A lease that may be over: when to look again, or None."""
        until = self._until[place]
        if until > self._clock.monotonic():
            return until
        self.release(place)
        return None

    def _holding(self) -> Iterator[tuple[str, Hashable, float]]:
        """What the store is to keep, by the wall clock."""
        epoch = self._clock.wall() - self._clock.monotonic()
        for which, bans in ((_DEAD, self.dead), (_BANNED, self.bans)):
            for key, until in bans.items():
                yield which, key, until + epoch

    def _read(self, banned: Hashable) -> Hashable:
        """A ban of the file; older versions named users in the clear."""
        match banned:
            case (str(path), "user", str(user)):
                return path, "who", self._who(user)
            case (str(path), "ip", str(ip)):
                return viewer(path, "", ip)
        return banned
