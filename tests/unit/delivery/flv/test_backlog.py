"""The backlog gives late readers what they missed, and never grows over its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.flv.backlog import Backlog, Burst
from hlsd.media.unit import Tracks

KEY = Tracks()


def burst(time: int, *, key: bool = False, size: int = 10) -> Burst:
    return Burst(bytes(size), time, KEY if key else None, 0.0)


def test_keeps_what_a_reader_wants_and_the_newest_key_frame() -> None:
    # Both a slow viewer and the next one to come live on it.
    backlog = Backlog(1000, 10_000)
    for n in range(10):
        backlog.append(burst(n * 40, key=n in {2, 6}))
    backlog.trim(4)
    assert (backlog.first, backlog.end, backlog.key) == (4, 10, 6)
    backlog.trim(9)
    assert (backlog.first, backlog.key) == (6, 6)
    assert [b.time for b in backlog.since(7, 15)] == [280, 320]


def test_what_is_too_old_or_too_much_goes_whoever_wants_it() -> None:
    # One stopped reader must not hold a stream's media.
    backlog = Backlog(100, 1000)
    for n in range(50):
        backlog.append(burst(n * 40))
        backlog.trim(0)
    assert backlog.bytes == 100
    slow = Backlog(10_000, 1000)
    for n in range(50):
        slow.append(burst(n * 40))
        slow.trim(0)
    assert slow.end - slow.first == 26


def test_a_gop_longer_than_the_queue_is_kept_for_who_comes_next() -> None:
    # Publishers with a key frame each 20 s have viewers too.
    backlog = Backlog(10_000, 1000)
    for n in range(100):
        backlog.append(burst(n * 40, key=n == 0))
        backlog.trim(backlog.end)
    assert (backlog.first, backlog.key) == (0, 0)


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans(), st.integers(0, 60)), max_size=80))
def test_bounds_hold_and_numbers_stay_true(steps: list[tuple[int, bool, int]]) -> None:
    # Viewers are numbers: a number must always mean the same burst.
    backlog = Backlog(1000, 2000)
    all_of_them = []
    for n, (size, key, wanted) in enumerate(steps):
        all_of_them.append(burst(n * 40, key=key, size=size))
        backlog.append(all_of_them[-1])
        backlog.trim(wanted)
        assert backlog.bytes <= 1000 or backlog.end - backlog.first == 1
        assert backlog.bytes == sum(b.size for b in all_of_them[backlog.first :])
        assert backlog.since(backlog.first, 10**9) == all_of_them[backlog.first :]
        assert backlog.key is None or (backlog.first <= backlog.key and all_of_them[backlog.key].tracks is KEY)
