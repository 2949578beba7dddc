"""Times of a page's recordings follow each other, and how late they come is told."""

from __future__ import annotations

import pytest

from hlsd.ingest.recorder.clock import LATEST, RecordingClock

SECOND = 1_000_000


def test_times_of_one_recording_keep_their_distances() -> None:
    clock = RecordingClock()
    assert [clock.stamp(time, 100.0)[0] for time in (5_000, 38_400, 71_600)] == [5, 38, 72]


def test_lag_is_how_much_later_than_the_soonest() -> None:
    clock = RecordingClock()
    clock.stamp(0, 100.3)  # 0.3 s for some reason that is always there
    assert clock.lag(100.3) == 0
    clock.stamp(1 * SECOND, 101.2)  # the soonest
    assert clock.lag(101.7) == pytest.approx(0.5)
    clock.stamp(2 * SECOND, 104.2)
    assert clock.lag(104.2) == pytest.approx(2.0, abs=0.01)
    assert clock.lag(1e9) == LATEST


def test_a_clock_that_is_slow_by_a_ten_thousandth_does_not_seem_late_after_hours() -> None:
    clock = RecordingClock()
    for second in range(6 * 3600):
        clock.stamp(round(second * SECOND * 0.9999), 100.0 + second)
    assert clock.lag(100.0 + 6 * 3600 - 1) < 0.05


def test_a_pause_is_no_lag() -> None:
    clock = RecordingClock()
    clock.stamp(0, 100.0)
    clock.pause(100.1)
    assert clock.lag(150.0) == pytest.approx(0.1)
    clock.resume(160.1)
    assert clock.stamp(SECOND // 5, 160.2)[1] is False
    assert clock.lag(160.2) == pytest.approx(0.0, abs=0.01)


def test_a_clock_that_goes_on_through_a_pause_leaves_no_gap() -> None:
    clock = RecordingClock()
    clock.stamp(SECOND, 101.0)
    clock.pause(101.1)
    clock.resume(131.1)
    assert clock.stamp(31 * SECOND, 131.1) == (1_020, False)
    assert clock.stamp(31 * SECOND + 33_000, 131.14) == (1_053, False)
    assert clock.lag(131.14) == pytest.approx(0, abs=0.02)


def test_a_recorder_that_follows_another_goes_on_as_much_later_as_it_was_begun() -> None:
    clock = RecordingClock()
    clock.stamp(2 * SECOND, 102.1)
    clock.begin(102.5)
    assert clock.stamp(0, 102.7) == (2_400, False)
    assert clock.stamp(40_000, 102.74) == (2_440, False)


def test_one_that_begins_at_once_never_goes_back() -> None:
    clock = RecordingClock()
    clock.stamp(2 * SECOND, 102.1)
    clock.begin(102.0)
    assert clock.stamp(0, 102.2) == (2_020, False)


def test_one_that_begins_long_after_is_a_jump_without_a_gap() -> None:
    clock = RecordingClock()
    clock.stamp(2 * SECOND, 102.1)
    clock.begin(109.0)
    assert clock.stamp(7 * SECOND, 109.1) == (2_020, True)
    assert clock.stamp(7 * SECOND + 40_000, 109.14) == (2_060, False)
    assert clock.lag(109.14) == pytest.approx(0, abs=0.01)


def test_the_first_one_keeps_its_times() -> None:
    clock = RecordingClock()
    clock.begin(100.0)
    assert clock.stamp(3 * SECOND, 103.0) == (3_000, False)
