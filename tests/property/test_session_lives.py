"""Sessions over several processes: one start and one stop for each life, to the byte, whatever befalls them.

Both tables of lives are held to it, the one in memory and the scripts of Redis; and tables that break their word in one
place are found.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hlsd.cluster import scripts
from hlsd.cluster.lives import Lives, Record
from hlsd.sessions.store import NOTHING, RENEW, RENEW_NEAR, LifeReport, ReportAnswer
from tests.support.gears import LIVES, LONG
from tests.support.lives_world import MemoryTable, RedisTable, Table, World
from tests.support.redis_server import RedisServer, needed

PROCESS = st.integers(0, 2)
SID = st.sampled_from("xxy")


SPELLS = 20
"""Long spells without the store in one run: each is some tokens of a life, whose number has a bound (`MAX_TOKENS`)."""


class Machine(RuleBasedStateMachine):
    """What may befall a cluster."""

    make: Callable[[], Table]
    kinds: Counter[str]

    @initialize(calm=st.booleans(), period=st.sampled_from([RENEW, RENEW_NEAR]))
    def begin(self, calm: bool, period: float) -> None:
        self.calm = calm
        self.spells = 0
        self.world = World(self.make(), period=period)

    @rule(process=PROCESS, sid=SID, size=st.integers(1, 9), lose=st.booleans())
    def hit(self, process: int, sid: str, size: int, lose: bool) -> None:
        self.world.hit(self.world.processes[process], sid, size, lose=lose)

    @rule(process=PROCESS, size=st.integers(1, 9))
    def hit_again(self, process: int, size: int) -> None:
        self.world.hit(self.world.processes[process], "x", size)

    @rule(process=PROCESS)
    def leave(self, process: int) -> None:
        self.world.leave(self.world.processes[process], "x")

    @rule(seconds=st.sampled_from([1, 4, 9, 16, 40]), lose=st.booleans())
    def wait(self, seconds: int, lose: bool) -> None:
        self.world.pass_time(seconds, lose=lose)

    @rule(seconds=st.sampled_from([1, 6, 12]))
    def store_away(self, seconds: int) -> None:
        self.world.away = True
        self.world.pass_time(seconds)

    @precondition(lambda self: self.spells < SPELLS)
    @rule(process=PROCESS, size=st.integers(1, 9))
    def serve_on_while_the_store_is_away(self, process: int, size: int) -> None:
        self.spells += 1
        self.world.away = True
        for _ in range(4):
            self.world.hit(self.world.processes[process], "x", size)
            self.world.pass_time(9)
        self.world.away = False

    @rule(one=PROCESS, other=PROCESS, size=st.integers(1, 9))
    def go_over(self, one: int, other: int, size: int) -> None:
        self.world.hit(self.world.processes[one], "x", size)
        self.world.hit(self.world.processes[other], "x", size)
        if one != other:
            self.world.leave(self.world.processes[one], "x")

    @rule()
    def store_back(self) -> None:
        self.world.away = False

    @rule(sid=SID, heard=st.booleans())
    def kick(self, sid: str, heard: bool) -> None:
        if not self.world.away:
            self.world.kick(sid, heard=heard)

    @precondition(lambda self: not self.calm)
    @rule(process=PROCESS)
    def crash(self, process: int) -> None:
        self.world.crash(self.world.processes[process])

    @precondition(lambda self: not self.calm)
    @rule(process=PROCESS, cut=st.booleans())
    def cut(self, process: int, cut: bool) -> None:
        self.world.processes[process].cut = cut
        self.world.faults = self.world.faults or cut

    @precondition(lambda self: not self.calm)
    @rule(process=PROCESS, size=st.integers(1, 9))
    def serve_on_while_cut_off(self, process: int, size: int) -> None:
        one = self.world.processes[process]
        self.world.faults = True
        one.cut = True
        for _ in range(4):
            self.world.hit(one, "x", size)
            self.world.pass_time(9)
        one.cut = False
        self.world.talk(one)

    @precondition(lambda self: not self.calm)
    @rule()
    def mark(self) -> None:
        self.world.mark()

    @precondition(lambda self: not self.calm)
    @rule()
    def fail_over(self) -> None:
        self.world.fail_over()

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()
            self.kinds.update(self.world.kinds)


def run(make: Callable[[], Table], examples: int, steps: int = 50, *, shrink: bool = True) -> Counter[str]:
    """Draws so many runs; what was told in them, by kind."""
    kinds: Counter[str] = Counter()

    class Drawn(Machine):
        pass

    Drawn.make = staticmethod(make)
    Drawn.kinds = kinds
    phases = (Phase.explicit, Phase.generate, Phase.shrink) if shrink else (Phase.explicit, Phase.generate)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Drawn, settings=how)
    return kinds


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        clients = server.client(), server.client(decoded=False)
        yield clients
        for client in clients:
            client.close()


def test_the_table_in_memory_keeps_its_word() -> None:
    kinds = run(MemoryTable, LIVES.drawn())
    assert kinds["start"] > LIVES.drawn()
    assert kinds["fix"]


@needed
@pytest.mark.thorough
def test_the_table_in_redis_keeps_its_word(redis: tuple[Any, Any]) -> None:
    kinds = run(lambda: RedisTable(*redis), LIVES.now())
    assert kinds["start"] > LIVES.now()
    assert kinds["fix"]


class ForgetsTokens(Lives):
    """Takes a report whose answer was lost for one of a new life."""

    def report(self, now: float, report: LifeReport) -> ReportAnswer:
        record = self.get(report.sid)
        if record is not None:
            record.tokens.clear()
        return super().report(now, report)


class NeverRests(Lives):
    """Ends everybody's session because it was away itself."""

    def _hear(self, now: float) -> None:
        self._heard = now


class AddsUp(Lives):
    """Takes totals for increments."""

    def report(self, now: float, report: LifeReport) -> ReportAnswer:
        record = self.get(report.sid)
        before = record.counts.get(report.token, NOTHING)[0] if record is not None else 0
        return super().report(now, report._replace(counts=(report.counts[0] + before, *report.counts[1:])))


class StopsAtTheFirst(Lives):
    """Ends a session when one process has no more to do with it."""

    def report(self, now: float, report: LifeReport) -> ReportAnswer:
        return super().report(now, report if report.active else report._replace(whole=True))


class NeverFixes(Lives):
    """Loses what is told late."""

    def _fix(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        """Nothing."""


class FixesTwice(Lives):
    """Forgets what it has told."""

    def _fix(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        super()._fix(now, record, report, life)
        record.told.pop((life, report.token), None)


class CountsFromOne(Lives):
    """Gives the number of a life twice."""

    def _begin(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        super()._begin(now, record, report, max(1, life - 1))


class LetsLeasesLapse(Lives):
    """A lease is no longer than a session is silent."""

    def report(self, now: float, report: LifeReport) -> ReportAnswer:
        answer = super().report(now, report)
        record = self.get(report.sid)
        if record is not None and record.on:
            record.until = now
            self._filed[report.sid] = now + 0.5
            heapq.heappush(self._ends, (now + 0.5, report.sid))
        return answer


BROKEN = [
    ForgetsTokens,
    NeverRests,
    AddsUp,
    StopsAtTheFirst,
    NeverFixes,
    FixesTwice,
    CountsFromOne,
    LetsLeasesLapse,
]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.thorough
def test_a_table_that_breaks_its_word_is_found(kind: type[Lives]) -> None:
    """A model that anything passes proves nothing."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(lambda: MemoryTable(kind), 100, shrink=False)


SCRIPTS = {
    "stops at the first": ("if any then return {1, cur, 0, 0} end", ""),
    "forgets tokens": ("if life == 0 then life = tonumber(said[3] or '0') end", ""),
    "never rests": ("if now < tonumber(redis.call('GET', P .. 'spared') or '0') then return {} end", ""),
    "takes the last for the greatest": (
        "if first(counts) > first(mine) then mine = counts end",
        "mine = add(mine, counts, 1)",
    ),
    "fixes all of it": ("add(counts, before, -1)", "counts"),
    "fixes nothing": ("if first(counts) <= first(before) then return end", "if true then return end"),
    "loses counts where a life begins": ("redis.call('HSETNX', k, 'l:'", "redis.call('HSETNX', k, 'x:'"),
}


@needed
@pytest.mark.parametrize("what", SCRIPTS if LONG else list(SCRIPTS)[:3])
@pytest.mark.thorough
def test_a_script_that_breaks_its_word_is_found(redis: tuple[Any, Any], what: str) -> None:
    """The same of the scripts."""
    assert any(SCRIPTS[what][0] in text for text in (scripts.REPORT, scripts.REAP)), "it is not broken at all"
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(lambda: RedisTable(*redis, change=SCRIPTS[what]), 150, shrink=False)
