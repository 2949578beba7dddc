"""The ring of the last events: readers come back with a cursor and miss nothing that is still there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.events import Action, Event
from hlsd.notify.event_ring import EventRing


def event(seq: int, **query: str) -> Event:
    return Event(Action.UPDATE_PLAY, "s", seq, 1_700_000_000.0, {"app": "live"}, query)


def test_a_reader_that_comes_back_with_its_cursor_sees_each_event_once() -> None:
    """An integration polls: no gap, no repetition."""
    ring = EventRing(1_700_000_000_000, size=10)
    for seq in range(1, 4):
        ring.add(event(seq))
    first, cursor = ring.after(0, 2)
    assert [found["seq"] for found in first] == [1, 2]
    assert cursor == first[-1]["number"]
    second, cursor = ring.after(cursor, 100)
    assert [found["seq"] for found in second] == [3]
    nothing, same = ring.after(cursor, 100)
    assert (nothing, same) == ([], cursor)
    ring.add(event(4))
    assert [found["seq"] for found in ring.after(cursor, 100)[0]] == [4]


def test_a_reader_that_is_late_begins_with_the_oldest_and_sees_the_gap_in_the_numbers() -> None:
    """Memory is bounded: what fell out cannot be had, but it must show."""
    ring = EventRing(100, size=3)
    for seq in range(1, 11):
        ring.add(event(seq))
    found, cursor = ring.after(101, 100)
    assert [one["seq"] for one in found] == [8, 9, 10]
    assert [one["number"] for one in found] == [107, 108, 109]
    assert cursor == 109


def test_a_cursor_of_a_later_clock_begins_anew() -> None:
    """After a restart with the clock set back a reader must not be silent for ever."""
    ring = EventRing(100)
    ring.add(event(1))
    assert [one["seq"] for one in ring.after(10**15, 10)[0]] == [1]


def test_secrets_are_masked() -> None:
    """The API shows what happened, not with which key."""
    ring = EventRing(1)
    ring.add(event(1, token="abc", u="42"))
    assert ring.after(0, 1)[0][0]["query"] == {"token": "***", "u": "42"}


def test_an_empty_ring_answers() -> None:
    """A server that has just begun."""
    assert EventRing(50).after(0, 10) == ([], 49)
    assert EventRing(50).after(49, 10) == ([], 49)


@given(st.lists(st.integers(0, 7), max_size=40), st.integers(1, 9), st.integers(1, 5))
def test_a_reader_that_keeps_up_sees_everything_in_order(bursts: list[int], limit: int, size_factor: int) -> None:
    """Whatever the bursts, as long as the reader empties the ring between them."""
    ring = EventRing(1000, size=7 * size_factor)
    seen: list[object] = []
    cursor, seq = 0, 0
    for burst in bursts:
        for _ in range(burst):
            seq += 1
            ring.add(event(seq))
        while True:
            found, cursor = ring.after(cursor, limit)
            if not found:
                break
            seen += [one["seq"] for one in found]
    assert seen == list(range(1, seq + 1))
