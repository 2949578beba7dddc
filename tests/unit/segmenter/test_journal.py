"""Media sequence numbers over restarts: hls-rules MP04, MP22."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.segmenter import journal
from hlsd.segmenter.journal import AHEAD, SequenceJournal

WALL = 1_700_000_000.0


def test_a_first_run_starts_from_the_clock(tmp_path: Path) -> None:
    """MP04: unix time / (target / 2), so that segments of the target fall behind it."""
    assert SequenceJournal(tmp_path / "s.db").first("/live/a", WALL, 2.0) == int(WALL)
    assert SequenceJournal(None).first("/live/a", WALL, 4.0) == int(WALL / 2)


def test_numbers_start_at_one_at_least() -> None:
    """MP22: hls.js takes an end of 0 for "no blocking"."""
    assert SequenceJournal(None).first("/live/a", 0.0, 2.0) == 1


def test_a_second_run_in_the_same_second_goes_on_above(tmp_path: Path) -> None:
    """MP04: with the file and without it."""
    for path in (tmp_path / "s.db", None):
        numbers = SequenceJournal(path)
        first = numbers.first("/live/a", WALL, 2.0)
        for number in range(first, first + 700):
            numbers.reached("/live/a", number)
        assert numbers.first("/live/a", WALL, 2.0) > first + 699


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            st.integers(0, 900), st.floats(0.5, 600), st.booleans(), st.sampled_from([0.0, 0.0, -3600.0, 3600.0])
        ),
        min_size=2,
        max_size=12,
    )
)
def test_numbers_never_fall_over_kills_and_clocks_set_back(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, float, bool, float]]
) -> None:
    """R4, R11: server killed or stopped at any moment, clock back an hour: a run begins above all that went before."""
    path = tmp_path_factory.mktemp("state") / "s.db"
    wall, highest = WALL, 0
    numbers = SequenceJournal(path)
    for segments, pause, killed, step in runs:
        first = numbers.first("/live/a", wall, 2.0)
        assert first > highest
        highest = first
        for number in range(first, first + segments):
            numbers.reached("/live/a", number)
            highest = number
        wall += pause + step
        if killed:
            numbers.close()
            numbers = SequenceJournal(path)
    numbers.close()


@pytest.mark.thorough
@settings(max_examples=30, deadline=None)
@given(runs=st.lists(st.tuples(st.integers(300, 900), st.floats(2.0, 4.0)), min_size=1, max_size=8))
def test_numbers_never_fall_when_the_file_is_deleted(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, float]]
) -> None:
    """R4: "incl. deleted state dir": segments of the target and longer fall behind the clock by themselves."""
    path = tmp_path_factory.mktemp("state") / "s.db"
    wall, highest = WALL, 0
    for segments, length in runs:
        numbers = SequenceJournal(path)
        first = numbers.first("/live/a", wall, 2.0)
        assert first > highest
        highest = first + segments - 1
        for number in range(first, first + segments):
            numbers.reached("/live/a", number)
        wall += segments * length
        numbers.close()
        for left in path.parent.iterdir():
            left.unlink()


def test_a_run_that_was_left_in_good_order_goes_on_with_the_next_number(tmp_path: Path) -> None:
    """hls.js places what stands behind a gap of 256 numbers 256 target durations ahead, and never gets there."""
    path, wall = tmp_path / "s.db", WALL
    highest, timeline = 0, -1
    for left in (True, True, False, True):
        numbers = SequenceJournal(path)
        first, line = numbers.first("/live/a", wall, 2.0), numbers.timeline("/live/a")
        assert first == highest + 1 or not highest
        assert line == timeline + 1
        highest, timeline = first + 3, line + 1  # four segments, one discontinuity
        for number in range(first, highest + 1):
            numbers.reached("/live/a", number)
        numbers.opened("/live/a", timeline)
        if left:
            numbers.leave("/live/a", highest + 1, timeline + 1, wall)
        numbers.close()
        wall += 5
        if not left:  # killed: above all that was reserved, and what was left once counts no more
            numbers = SequenceJournal(path)
            first, line = numbers.first("/live/a", wall, 2.0), numbers.timeline("/live/a")
            assert first > highest
            assert timeline < line <= timeline + journal.TIMELINES
            highest, timeline = first, line
            numbers.leave("/live/a", highest + 1, timeline + 1, wall)
            numbers.close()


@pytest.mark.parametrize("pause", [-1.0, journal.HANDOVER + 1])
def test_what_was_left_is_good_for_a_moment_only(tmp_path: Path, pause: float) -> None:
    """Later, or with a clock set back, the clock and the reservation are safer."""
    path = tmp_path / "s.db"
    numbers = SequenceJournal(path)
    first = numbers.first("/live/a", WALL, 2.0)
    numbers.leave("/live/a", first + 1, 1, WALL)
    numbers.close()
    numbers = SequenceJournal(path)
    assert numbers.first("/live/a", WALL + pause, 2.0) == first + AHEAD + 1
    numbers.close()


@pytest.mark.thorough
@settings(max_examples=40, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["kill", "stop", "again"])), min_size=2, max_size=10)
)
def test_timelines_never_come_twice_and_stay_small(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, str]]
) -> None:
    """MP17: hls.js takes media of a timeline that it knows for a part of that; its list is as long as the number."""
    path = tmp_path_factory.mktemp("state") / "s.db"
    numbers, highest = SequenceJournal(path), -1
    for discontinuities, then in runs:
        first = numbers.timeline("/live/a")
        assert highest < first <= highest + journal.TIMELINES + 1
        highest = first + discontinuities
        for timeline in range(first, highest + 1):
            numbers.opened("/live/a", timeline)
        if then == "stop":
            numbers.leave("/live/a", 7, highest + 1, WALL)
        if then != "again":
            numbers.close()
            numbers = SequenceJournal(path)
    numbers.close()


def test_streams_do_not_share_numbers(tmp_path: Path) -> None:
    """One stream far ahead does not push the others."""
    numbers = SequenceJournal(tmp_path / "s.db")
    numbers.reached("/live/a", 10**12)
    assert numbers.first("/live/b", WALL, 2.0) == int(WALL)
    numbers.close()


def test_the_file_is_written_once_in_a_reservation(tmp_path: Path) -> None:
    """A disk write for each segment of a thousand streams would be felt."""
    path = tmp_path / "s.db"
    numbers = SequenceJournal(path)
    first = numbers.first("/live/a", WALL, 2.0)
    assert numbers._file is not None
    before = numbers._file.total_changes
    for number in range(first, first + AHEAD):
        numbers.reached("/live/a", number)
    assert numbers._file.total_changes == before
    numbers.reached("/live/a", first + AHEAD)
    assert numbers._file.total_changes > before
    numbers.close()


@pytest.mark.parametrize("damage", ["garbage", "directory", "schema", "empty"])
def test_a_broken_file_costs_the_reservation_and_nothing_else(tmp_path: Path, damage: str) -> None:
    """R8: "live path unaffected", and no connection is left open."""
    path = tmp_path / "s.db"
    if damage == "garbage":
        path.write_bytes(b"not a database at all" * 100)
    elif damage == "directory":
        path.mkdir()
    elif damage == "schema":
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE sequence (something TEXT)")
        other.close()
    else:
        path.touch()
    numbers = SequenceJournal(path)
    first = numbers.first("/live/a", WALL, 2.0)
    assert first == int(WALL)
    numbers.reached("/live/a", first + 1000)
    assert numbers.first("/live/a", WALL, 2.0) > first + 1000
    numbers.close()


def test_a_locked_file_does_not_stop_the_server(tmp_path: Path) -> None:
    """R8: what memory knows counts even if the file lags behind, and nobody waits for the lock."""
    path = tmp_path / "s.db"
    numbers = SequenceJournal(path)
    first = numbers.first("/live/a", WALL, 2.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    numbers.reached("/live/a", first + 5000)
    assert numbers.first("/live/a", WALL, 2.0) > first + 5000
    other.execute("ROLLBACK")
    other.close()
    numbers.close()


def test_a_file_in_a_place_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    """R8: a state directory below a file, or on a read-only disk."""
    (tmp_path / "file").write_text("x")
    numbers = SequenceJournal(tmp_path / "file" / "below" / "s.db")
    assert numbers.first("/live/a", WALL, 2.0) == int(WALL)
    numbers.close()


def test_only_the_newest_streams_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded everything: a million names leave a file of a fixed size; the newest are the ones that count."""
    monkeypatch.setattr(journal, "KEPT", 10)
    path = tmp_path / "s.db"
    numbers = SequenceJournal(path)
    for index in range(50):
        numbers.reached(f"/live/{index}", 10**10)
    assert numbers._file is not None
    assert numbers._file.execute("SELECT count(*) FROM sequence").fetchone()[0] <= 10
    assert len(numbers._reserved) <= 10
    assert numbers.first("/live/49", WALL, 2.0) > 10**10
    numbers.close()
