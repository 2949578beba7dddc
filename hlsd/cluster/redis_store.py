"""Is the store of sessions of many machines: Redis or Valkey, by scripts that do each step with its events at once.

    h:{n}:…            a shard, one of SHARDS, by the public id: leases, lives, events (hlsd/cluster/scripts.py)
    h:{user:…} …       who has a place of a bound until when, and `…:o`, in which order they came
    h:{ctl} …          who is sent away (hlsd/cluster/control.py)

Law: nothing of it is on the path of a request. Times are Redis' own. Events of a shard go to one process at a time,
which has the shard for ten seconds from its last question: so they keep their order, also when it dies.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.cluster import scripts
from hlsd.cluster.bounds import Bound, bounds_of
from hlsd.cluster.control import Control
from hlsd.cluster.redis_line import Command, RedisLine
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.refusals import TOO_MANY
from hlsd.sessions.settings import SessionSettings
from hlsd.sessions.store import MAX_ABOUT, RENEW, SLACK, LifeEvent, LifeReport, ReportAnswer

SHARDS: Final = 64
PATIENCE: Final = 1.0
"""Seconds between two looks at all shards for events, and at leases that are over."""


class RedisStore:
    """`hlsd.sessions.store.SessionStore` by `line`; `prefix` begins all keys. `now()` is for tests: milliseconds."""

    def __init__(  # noqa: PLR0913 - what a store has
        self,
        line: RedisLine,
        settings: SessionSettings,
        clock: Clock,
        faults: Faults,
        *,
        prefix: str = "h",
        now: Callable[[], str] = lambda: "",
    ) -> None:
        self.line = line
        self._settings = settings
        self._clock = clock
        self._now = now
        self._prefix = prefix
        self._me = secrets.token_urlsafe(9)
        self.control = Control(line, faults, prefix)
        script = {name: line.script(scripts.source(getattr(scripts, name))) for name in scripts.NAMES}
        self._report, self._reap, self._end = script["REPORT"], script["REAP"], script["END"]
        self._introduce, self._limit, self._prolong = script["INTRODUCE"], script["LIMIT"], script["PROLONG"]
        self._dispatch, self._settle, self._leave = script["DISPATCH"], script["SETTLE"], script["LEAVE"]
        self._places: dict[str, tuple[Bound, ...]] = {}
        """The bounds of the places that this process holds."""
        self._swept = 0.0
        self._hot: dict[int, None] = {}
        """Shards in which something has happened, as far as it is known here."""
        self._news = asyncio.Event()
        self._looked = 0.0

    @property
    def period(self) -> float:
        """Seconds."""
        return RENEW

    async def start(self) -> None:
        """Begins; whether Redis is there or not."""
        self.line.start()
        await self.control.start()

    async def stop(self) -> None:
        """Gives its shards' events away, and hangs up."""
        await self.control.stop()
        given = [self.line.send(self._leave.call(self._queue(shard), self._me)) for shard in range(SHARDS)]
        await asyncio.gather(*given, return_exceptions=True)
        await self.line.stop()

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """Bound after bound; what was taken is given back if a later one refuses."""
        known: list[Any] | None = None
        if not claim.about:  # who takes a session over that is on has its place already
            known = await self._about(claim.id, "")
            if known[1]:
                return Lease(life=known[0], on=True, about=known[2])
        taken: list[Bound] = []
        gone: list[str] = []
        soft = False
        for bound in bounds_of(claim, self._settings):
            said = await self.line.ask(self._limited(bound, claim.id, gone))
            if not said[0]:
                for one in taken:
                    self._give_back(one, claim.id)
                return TOO_MANY
            taken.append(bound)
            soft = soft or bool(said[1])
            gone += said[2:]
        if taken:
            self._places[claim.id] = tuple(taken)
        for place in gone:
            self.revoke(Revocation(place, "replaced"))
        if known is None:
            known = await self._about(claim.id, claim.about)
        return Lease(soft, len(gone), known[0], bool(known[1]), known[2])

    def amend(self, claim: PlaceClaim) -> None:
        """Bounds count it as whoever it is now."""
        now, before = bounds_of(claim, self._settings), self._places.get(claim.id, ())
        for bound in now:
            if bound not in before:
                self.line.tell(self._limited(bound._replace(most=0, how="refuse"), claim.id, ()))
        for bound in before:
            if (bound.kind, bound.name) not in {(one.kind, one.name) for one in now}:
                self._give_back(bound, claim.id)
        if now:
            self._places[claim.id] = tuple(now)
        else:
            self._places.pop(claim.id, None)
        if claim.about:
            self.line.tell(
                self._introduce.call([self._leases(claim.id)], self._now(), claim.id, claim.about[:MAX_ABOUT], "1")
            )

    def release(self, place: str) -> None:
        """Gives it back, unless a life of it is on elsewhere."""
        bounds = self._places.pop(place, ())
        if not bounds:
            return

        def known(said: asyncio.Future[Any]) -> None:
            if not said.cancelled() and said.exception() is None and said.result() != "on":
                for bound in bounds:
                    self._give_back(bound, place)

        self.line.send(("HGET", f"{self._shard(place)}s:{place}", "s")).add_done_callback(known)

    async def report(self, reports: Sequence[LifeReport]) -> Sequence[ReportAnswer]:
        """One script for each shard."""
        by_shard: dict[str, list[int]] = {}
        for number, report in enumerate(reports):
            by_shard.setdefault(self._leases(report.sid), []).append(number)
        asked = []
        for leases, numbers in by_shard.items():
            arguments = [one for number in numbers for one in scripts.arguments(reports[number])]
            asked.append(self.line.send(self._report.call([leases], self._now(), *arguments)))
        answers: list[ReportAnswer] = [ReportAnswer(False, 0)] * len(reports)
        prolonged: dict[str, list[object]] = {}
        for numbers, said in zip(by_shard.values(), await asyncio.gather(*asked), strict=True):
            for number, one in zip(numbers, said, strict=True):
                answer, report = scripts.answer(one), reports[number]
                answers[number] = answer
                if not answer.on or not report.life:
                    self._hot[_shard_of(report.sid)] = None
                    self._news.set()
                for bound in self._places.get(report.sid, ()) if answer.on else ():
                    prolonged.setdefault(self._bound(bound), []).extend((f"{report.left * 1000:.0f}", report.sid))
        for key, pairs in prolonged.items():
            self.line.send(self._prolong.call([key], self._now(), *pairs))
        return answers

    def revoke(self, revocation: Revocation) -> None:
        """Told to all; a session's life ends there and then."""
        what = revocation.what
        if isinstance(what, str):
            bar = f"{revocation.ban * 1000:.0f}"
            self.line.tell(self._end.call([self._leases(what)], self._now(), what, revocation.reason, bar))
            self._hot[_shard_of(what)] = None
        self.control.revoke(revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at every revocation, and now for what holds and was read already."""
        return self.control.watch(revoked)

    async def events(self, most: int) -> Sequence[LifeEvent]:
        """Of shards that have some, those first of which it is known; of all, once a second."""
        now = self._clock.monotonic
        if not self._hot and now() - self._looked < PATIENCE:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._news.wait()
            except TimeoutError:
                pass
        self._news.clear()
        shards = list(self._hot)
        self._hot.clear()
        if now() - self._looked >= PATIENCE or not shards:
            shards, self._looked = list(range(SHARDS)), now()
        asked = [self.line.send(self._dispatch.call(self._queue(n), self._me, max(1, most // 4))) for n in shards]
        found: list[LifeEvent] = []
        for shard, said in zip(shards, await asyncio.gather(*asked), strict=True):
            if len(said) >= max(1, most // 4):
                self._hot[shard] = None  # there are more
            for entry, pairs in said:
                found.append(scripts.life_event(entry, dict(zip(pairs[::2], pairs[1::2], strict=True))))
        return found

    async def settle(self, events: Sequence[LifeEvent]) -> None:
        """Takes them out of their shards."""
        by_shard: dict[int, list[str]] = {}
        for event in events:
            by_shard.setdefault(_shard_of(event.sid), []).append(event.entry)
        for shard, entries in by_shard.items():
            await self.line.ask(self._settle.call(self._queue(shard), self._me, *entries))

    def sweep(self) -> None:
        """Once a second, ends leases that are over, of whatever process: all look, one finds."""
        now = self._clock.monotonic()
        if now - self._swept < PATIENCE or self.line.away:
            return
        self._swept = now
        for shard in range(SHARDS):
            self.line.send(self._reap.call([f"{self._prefix}:{{{shard}}}:leases"], self._now(), 100))

    async def _about(self, sid: str, about: str) -> list[Any]:
        said: list[Any] = await self.line.ask(
            self._introduce.call([self._leases(sid)], self._now(), sid, about[:MAX_ABOUT], "0")
        )
        return said

    def _limited(self, bound: Bound, sid: str, gone: Sequence[str]) -> Command:
        key = self._bound(bound)
        lease = f"{SLACK * 1000:.0f}"
        return self._limit.call([key, key + ":o"], self._now(), sid, lease, bound.most, bound.how, *gone)

    def _give_back(self, bound: Bound, sid: str) -> None:
        key = self._bound(bound)
        self.line.tell(("ZREM", key, sid))
        self.line.tell(("ZREM", key + ":o", sid))

    def _bound(self, bound: Bound) -> str:
        return f"{self._prefix}:{{{bound.kind}:{json.dumps(bound.name)}}}"

    def _shard(self, sid: str) -> str:
        return f"{self._prefix}:{{{_shard_of(sid)}}}:"

    def _leases(self, sid: str) -> str:
        return self._shard(sid) + "leases"

    def _queue(self, shard: int) -> list[str]:
        begin = f"{self._prefix}:{{{shard}}}:"
        return [begin + "ev", begin + "owner"]


def _shard_of(sid: str) -> int:
    return zlib.crc32(sid.encode()) % SHARDS
