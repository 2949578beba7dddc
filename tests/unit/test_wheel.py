"""The wheel of deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.wheel import Wheel


def test_a_thing_is_looked_at_when_its_second_is_over_and_not_before() -> None:
    """Early would cut the living, late by more than a second the dead too late."""
    wheel: Wheel[str] = Wheel(100.0)
    wheel.put("a", 110.0)
    seen: list[str] = []
    wheel.turn(110.9, seen.append)
    assert seen == []
    wheel.turn(111.1, seen.append)
    assert seen == ["a"]
    assert len(wheel) == 0


def test_a_deadline_that_moves_later_costs_nothing_until_the_old_one_comes() -> None:
    """A busy connection is not filed anew for each request."""
    wheel: Wheel[str] = Wheel(0.0)
    wheel.put("a", 10.0)
    wheel.put("a", 50.0)
    looks: list[float] = []

    def look(now: float) -> float | None:
        looks.append(now)
        return 50.0 if now < 50 else None

    for now in range(100):
        wheel.turn(float(now), lambda _, now=now: look(float(now)))  # type: ignore[misc]
    assert looks == [11.0, 51.0]


def test_an_earlier_deadline_moves_it_forward() -> None:
    """A head begins on an idle connection: ten seconds, not seventy-five."""
    wheel: Wheel[str] = Wheel(0.0)
    wheel.put("a", 75.0)
    wheel.put("a", 10.0)
    seen: list[str] = []
    wheel.turn(11.5, seen.append)
    assert seen == ["a"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["put", "drop", "turn"]), st.integers(0, 30)), max_size=60
    )
)
def test_nothing_is_lost_or_kept(steps: list[tuple[str, str, int]]) -> None:
    """Whatever the order, everything filed and not dropped is looked at once."""
    wheel: Wheel[str] = Wheel(0.0)
    now, filed = 0.0, set[str]()
    for thing, step, seconds in steps:
        if step == "put":
            wheel.put(thing, now + seconds)
            filed.add(thing)
        elif step == "drop":
            wheel.drop(thing)
            filed.discard(thing)
        else:
            now += seconds
            wheel.turn(now, filed.remove)
        assert len(wheel) == len(filed)
    wheel.turn(now + 100, filed.remove)
    assert not filed
