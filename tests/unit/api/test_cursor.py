"""Pages of a list that changes while it is read."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.api import cursor
from hlsd.api.problems import ApiError

Keys = dict[int, float]


def _key(item: tuple[int, float]) -> cursor.Key:
    return (item[1], f"{item[0]:06}")


async def _walk(items: Keys, limit: int, changes: list[tuple[set[int], list[tuple[int, float]]]]) -> list[int]:
    """Reads every page; after each one the next change (who goes, who comes) happens."""
    seen: list[int] = []
    after: cursor.Key | None = None
    steps = iter(changes)
    for _ in range(10_000):
        found, more = await cursor.page(items.items(), _key, after, limit, lambda item: item[0] % 7 != 3)
        seen += [number for number, _ in found]
        if more is None:
            return seen
        after = cursor.decode(more, (float, str))
        gone, come = next(steps, (set(), []))
        for number in gone:
            items.pop(number, None)
        for number, at in come:
            items.setdefault(number, at)
    raise AssertionError("the list has no end")


_times = st.floats(0, 100, allow_nan=False)
_some = st.dictionaries(st.integers(0, 200), _times, max_size=60)
_change = st.tuples(
    st.sets(st.integers(0, 200), max_size=20), st.lists(st.tuples(st.integers(0, 400), _times), max_size=9)
)


@pytest.mark.thorough
@given(_some, st.integers(1, 20), st.lists(_change, max_size=12))
def test_who_stays_is_listed_once_whoever_comes_and_goes(
    items: Keys, limit: int, changes: list[tuple[set[int], list[tuple[int, float]]]]
) -> None:
    """The law: an integrator that walks the list misses nobody and counts nobody twice."""
    leaving = set().union(*(gone for gone, _ in changes)) if changes else set()
    staying = {number for number in items if number not in leaving and number % 7 != 3}
    never_twice = {number: at for _, come in changes for number, at in come}
    seen = asyncio.run(_walk(dict(items), limit, changes))
    assert staying <= set(seen)
    # Somebody who left and came back under another key is somebody else.
    assert all(seen.count(number) == 1 for number in seen if number not in never_twice or number in staying)
    assert not any(number % 7 == 3 for number in seen)


@given(_some, st.integers(1, 20))
def test_pages_are_in_order_and_full(items: Keys, limit: int) -> None:
    """The oldest first; only the last page may be short."""
    seen = asyncio.run(_walk(dict(items), limit, []))
    expected = sorted((number for number in items if number % 7 != 3), key=lambda number: _key((number, items[number])))
    assert seen == expected


async def test_others_run_between_slices() -> None:
    """100,000 sessions must not stall viewers: no turn of the event loop looks at more than a slice."""
    looked, most = 0, 0
    done = False

    def wanted(_item: int) -> bool:
        nonlocal looked
        looked += 1
        return True

    async def others() -> None:
        nonlocal looked, most
        while not done:
            most, looked = max(most, looked), 0
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    await asyncio.sleep(0)
    found, more = await cursor.page(range(100_000), lambda item: (item,), None, 100, wanted)
    done = True
    await other
    assert (found, more is not None) == (list(range(100)), True)
    assert 0 < most <= cursor.SLICE


@given(st.text(max_size=60))
def test_a_cursor_that_was_not_given_out_is_refused(text: str) -> None:
    """Never an error of ours, never a silent first page."""
    try:
        found = cursor.decode(text, (float, str))
    except ApiError as error:
        refused: str | None = error.code
    else:
        refused = None
        assert found is not None
        assert cursor.decode(cursor.encode(found), (float, str)) == found
    assert refused in (None, "bad_cursor")


@pytest.mark.parametrize("key", [("live",), ("live", 1), ("live", "cam", "x"), (None, "cam"), (["a"], "b")])
def test_a_cursor_of_another_list_is_refused(key: cursor.Key) -> None:
    """Streams' cursors are not sessions' cursors."""
    with pytest.raises(ApiError):
        cursor.decode(cursor.encode(key), (str, str))
