"""A source's share is measured cheaply while it is small, and exactly as soon as it could become too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hlsd.ingest import share as module
from hlsd.ingest.share import PART, TRUSTED, TURN, Share

if TYPE_CHECKING:
    from collections.abc import Callable


class Clocks:
    """The clock on the wall and this thread's, which stands while others have the processor."""

    def __init__(self) -> None:
        self.wall = 50.0
        self.thread = 7.0
        self.asked = 0
        """How often the kernel was asked for the thread's time."""

    def work(self, seconds: float) -> None:
        self.wall += seconds
        self.thread += seconds

    def others_work(self, seconds: float) -> None:
        self.wall += seconds

    def thread_time(self) -> float:
        self.asked += 1
        return self.thread


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """What the share reads."""
    clocks = Clocks()
    monkeypatch.setattr(module, "perf_counter", lambda: clocks.wall)
    monkeypatch.setattr(module, "thread_time", clocks.thread_time)
    return clocks


def _turn(share: Share, clocks: Clocks, messages: int, each: Callable[[], None]) -> int:
    """A turn of at most so many messages; how many it had."""
    done = 0
    share.begin()
    while done < messages and not (done and share.used_up()):
        each()
        done += 1
    share.stop()
    return done


def test_an_ordinary_source_costs_no_call_into_the_kernel(clocks: Clocks) -> None:
    """Fifty reads a second of 0.1 ms, each looked at three times, for ten seconds."""
    share = Share()
    for _ in range(10):
        for _ in range(50):
            _turn(share, clocks, 2, lambda: clocks.work(0.00005))
        assert share.spent == pytest.approx(0.005)
        share.second()
    assert clocks.asked == 0


def test_a_costly_source_is_measured_exactly_and_stopped(clocks: Clocks) -> None:
    """It has its part of the second and a turn, whatever its messages are."""
    share = Share()
    spent = clocks.thread
    while not share.exhausted:
        assert _turn(share, clocks, 10_000, lambda: clocks.work(0.0005)) <= TURN / 0.0005 + 1
    assert clocks.asked > 0
    assert clocks.thread - spent == pytest.approx(PART, abs=2 * TURN)


def test_what_others_take_is_charged_up_to_a_bound(clocks: Clocks) -> None:
    """On a busy machine a source must not be held back for what it did not take."""
    share = Share()
    for _ in range(100):
        _turn(share, clocks, 1, lambda: clocks.others_work(0.5))
    assert share.spent <= 2 * TRUSTED
    assert not share.exhausted


def test_a_single_message_that_takes_long_is_believed_once(clocks: Clocks) -> None:
    """Of the first one `TRUSTED` is counted, since the rest may be others'; of those behind it all."""
    share = Share()
    for _ in range(2):
        _turn(share, clocks, 1, lambda: clocks.work(0.3))
    assert share.spent == pytest.approx(TRUSTED + 0.3)
    assert share.exhausted


def test_each_second_begins_cheaply(clocks: Clocks) -> None:
    """Whoever was costly once is not asked about for ever."""
    share = Share()
    _turn(share, clocks, 1, lambda: clocks.work(TRUSTED))
    share.second()
    clocks.asked = 0
    _turn(share, clocks, 1, lambda: clocks.work(0.001))
    assert clocks.asked == 0


def test_a_source_without_seconds_rests_after_each_turn(clocks: Clocks) -> None:
    """Three times as long as it worked; what others take does not lengthen that once it is looked at exactly."""
    share = Share()
    pauses = []
    for _ in range(30):
        share.start()
        clocks.work(0.6 * TURN)
        clocks.others_work(TURN if share.spent > 2 * TRUSTED else 0.0)
        share.stop()
        if (pause := share.rest()) is not None:
            pauses.append(pause)
    assert pauses == pytest.approx([3.6 * TURN] * 15)
