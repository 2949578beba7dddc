"""Strangers cannot make the log say more than so much, and what is left out is counted."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from hlsd.base import log, log_rate
from hlsd.base.log_rate import ADDRESS, KIND, MAX_ADDRESSES, MAX_KINDS, TELL, LogRate
from tests.unit.test_log import _leave_logging_as_it_was, lines

__all__ = ["_leave_logging_as_it_was"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_of_a_kind_at_once_and_so_many_a_second() -> None:
    clock = Clock()
    rate = LogRate(clock)
    assert sum(rate.admits("a", f"192.0.2.{n % 250}") for n in range(3000)) == KIND[0]
    assert rate.admits("b")  # another kind is not the worse for it
    clock.now += 100
    assert sum(rate.admits("a") for _ in range(3000)) == 100 * KIND[1]


def test_one_address_does_not_take_the_lines_of_the_others() -> None:
    rate = LogRate(Clock())
    assert sum(rate.admits("a", "192.0.2.1") for _ in range(100_000)) == ADDRESS[0]
    assert sum(rate.admits("a", "192.0.2.2") for _ in range(10)) == 10


def test_what_was_left_out_is_counted_once() -> None:
    """By the next line of its kind, or in a line of its own after a while."""
    clock = Clock()
    rate = LogRate(clock)
    for _ in range(int(ADDRESS[0]) + 7):
        rate.admits("a", "192.0.2.1")
    assert rate.due() == []
    clock.now += TELL
    assert rate.due() == [("a", 7)]
    assert rate.due(at_once=True) == []
    for _ in range(100):
        rate.admits("a", "192.0.2.1")
    assert rate.admits("a", "192.0.2.2")
    assert rate.untold("a") == 95  # five more lines since, half of one a second
    assert rate.untold("a") == 0


@pytest.mark.thorough
def test_it_costs_no_more_memory_than_so_much() -> None:
    """Whatever addresses and kinds there are; old ones make room for new ones."""
    clock = Clock()
    rate = LogRate(clock)
    for n in range(3 * MAX_ADDRESSES):
        rate.admits(f"kind {n % (2 * MAX_KINDS)}", f"2001:db8::{n:x}")
    assert len(rate._kinds) <= MAX_KINDS + 1
    assert len(rate._addresses) <= MAX_ADDRESSES + MAX_KINDS + 1
    clock.now += 1000
    assert rate.admits("kind 1", "192.0.2.1")
    assert ("kind 1", "192.0.2.1") in rate._addresses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log_rate.LogRate.__init__, "__defaults__", (clock,))
    return clock


@pytest.mark.usefixtures("_leave_logging_as_it_was")
def test_errors_and_deeds_of_the_named_are_never_left_out(clock: Clock) -> None:
    """However much strangers have said before, under the same event too."""
    out = lines()
    told = structlog.get_logger()
    for _ in range(2000):
        told.info("api", who="-", ip="192.0.2.1")
    written = len(out.getvalue().splitlines())
    assert written == ADDRESS[0]
    for _ in range(700):
        told.info("api", who="admin", ip="192.0.2.1")
        told.error("rtmp connection failed", ip="192.0.2.1")
    assert len(out.getvalue().splitlines()) == written + 1400
    told.info("api", who="-", ip="192.0.2.2")
    assert json.loads(out.getvalue().splitlines()[-1])["left_out_before"] == 1950
    told.info("api", who="-", ip="192.0.2.1")
    clock.now += TELL
    log.tell_left_out()
    last = json.loads(out.getvalue().splitlines()[-1])
    assert (last["event"], last["of"], last["count"]) == ("log lines left out", "api", 1)


@pytest.mark.usefixtures("_leave_logging_as_it_was", "clock")
def test_libraries_are_bounded_by_their_name() -> None:
    """Their words differ from line to line, so that they are no kind; their errors are written."""
    out = lines()
    for n in range(2000):
        logging.getLogger("asyncio").warning("socket.send() raised exception %d", n)
    assert len(out.getvalue().splitlines()) == KIND[0]
    logging.getLogger("asyncio").error("broken")
    assert len(out.getvalue().splitlines()) == KIND[0] + 1


def test_an_ipv6_host_is_one_address_however_many_it_has() -> None:
    """It takes new ones of its /64 as it likes."""
    rate = LogRate(Clock())
    assert sum(rate.admits("x", f"2001:db8:0:1::{n:x}") for n in range(300)) == ADDRESS[0]
    assert rate.admits("x", "2001:db8:0:2::1")
