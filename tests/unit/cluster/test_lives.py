"""The table of lives, row by row, and what it never grows beyond; in memory and in Redis alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hlsd.sessions.store import GRACE, KEEP, MAX_TOKENS, REMEMBERED_LIVES, LifeReport, ReportAnswer
from tests.support.lives_world import MemoryTable, RedisTable, Table
from tests.support.redis_server import RedisServer, needed

NOW = 50_000.0


def said(token: str, life: int = 0, sent: int = 5, *, active: bool = True, **more: Any) -> LifeReport:
    return LifeReport("s", token, life, (sent, sent, 1, 1, 1), 10.0 if active else 0.0, active, about="{}", **more)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("redis", marks=[needed, pytest.mark.thorough])])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryTable()
        return
    server: RedisServer = request.getfixturevalue("redis")
    clients = server.client(), server.client(decoded=False)
    yield RedisTable(*clients)
    for client in clients:
        client.close()


def one(table: Table, report: LifeReport, at: float = NOW) -> ReportAnswer:
    return table.report(at, [report])[0]


def ids(table: Table) -> list[tuple[str, int]]:
    return [(event.id, event.counts[0]) for event in table.events()]


def test_two_processes_one_life(table: Table) -> None:
    assert one(table, said("a")) == (True, 1, False, False)
    assert one(table, said("b", sent=7)) == (True, 1, False, False)
    assert one(table, said("a", 1, 9, active=False)) == (True, 1, False, False)
    assert one(table, said("b", 1, 8, active=False, why="closed")) == (False, 1, False, False)
    assert ids(table) == [("s.1.start", 0), ("s.1.stop", 17)]


def test_what_is_told_late_is_a_fix_and_once(table: Table) -> None:
    one(table, said("a"))
    one(table, said("a", 1, active=False))
    for _ in range(2):
        assert one(table, said("a", 1, 9)) == (False, 1, False, False)
    assert one(table, said("b")) == (True, 2, False, False)
    assert one(table, said("a", 1, 11)) == (False, 2, False, False)
    assert ids(table) == [("s.1.start", 0), ("s.1.stop", 5), ("s.1.fix.a.9", 4), ("s.2.start", 0), ("s.1.fix.a.11", 2)]


def test_a_report_whose_answer_was_lost_begins_nothing_anew(table: Table) -> None:
    one(table, said("a"))
    assert one(table, said("a", 0, 6)) == (True, 1, False, False)
    one(table, said("a", 0, 6, active=False))
    assert one(table, said("a", 0, 6, active=False)) == (False, 1, False, False)
    assert ids(table) == [("s.1.start", 0), ("s.1.stop", 6)]


def test_a_later_life_is_believed_when_it_says_about_whom_it_is(table: Table) -> None:
    assert one(table, said("a", 3)._replace(about="")) == (False, 0, False, True)
    assert ids(table) == []
    assert one(table, said("a", 3)) == (True, 3, False, False)
    assert one(table, said("b", after=7)) == (True, 3, False, False), "it joins the one that is on"
    one(table, said("a", 3, active=False, whole=True, why="kicked", bar=30.0))
    assert one(table, said("c", after=7)) == (False, 3, True, False)
    assert one(table, said("d", after=7), NOW + 31.0) == (True, 8, False, False)
    assert ids(table) == [("s.3.start", 0), ("s.3.stop", 10), ("s.3.fix.c.5", 5), ("s.8.start", 0)]


def test_nobody_is_reaped_for_a_while_after_a_silence(table: Table) -> None:
    one(table, said("a"))
    late = NOW + 60.0
    table.reap(late)
    for second in range(int(GRACE)):
        table.reap(late + second)
    assert ids(table) == [("s.1.start", 0)], "its lease was over 35 seconds ago"
    assert one(table, said("a", 1), late + GRACE - 1.0) == (True, 1, False, False)
    for second in range(int(GRACE), int(GRACE) + 30):
        table.reap(late + second)
    assert ids(table) == [("s.1.stop", 5)], "nobody has reported it"


def test_a_viewer_who_goes_to_and_fro_for_ever_costs_no_more_and_counts_right(table: Table) -> None:
    """Each time it comes to a process that has forgotten it there is another token."""
    one(table, said("stays", sent=1))
    for turn in range(20 * MAX_TOKENS):
        token = f"t{turn}"
        assert one(table, said(token, sent=10)).on
        one(table, said(token, 1, 10, active=False))
    assert size(table) < 6 * MAX_TOKENS
    one(table, said("stays", 1, 1, active=False))
    assert ids(table)[-1] == ("s.1.stop", 200 * MAX_TOKENS + 1)


def test_a_viewer_who_ends_and_comes_back_for_ever_costs_no_more(table: Table) -> None:
    for life in range(1, 5 * REMEMBERED_LIVES):
        assert one(table, said(f"t{life}")).life == life
        one(table, said(f"t{life}", life, active=False))
    assert size(table) < 6 * REMEMBERED_LIVES
    before = len(ids(table))
    assert one(table, said("t1", 1, 99)).on is False
    assert not ids(table), before


def test_who_is_long_over_is_forgotten() -> None:
    table = MemoryTable()
    one(table, said("a"))
    one(table, said("a", 1, active=False))
    table.reap(NOW + KEEP - 1.0)
    assert len(table.lives) == 1
    table.reap(NOW + KEEP + 1.0)
    assert len(table.lives) == 0
    assert not table.lives._filed
    assert not table.lives._ends


def size(table: Table) -> int:
    """How much is kept of it."""
    if isinstance(table, RedisTable):
        return int(table._redis.hlen(table.PREFIX + "s:s"))
    assert isinstance(table, MemoryTable)
    record = table.lives.get("s")
    assert record is not None
    return len(record.tokens) + len(record.counts) + len(record.active) + len(record.told)
