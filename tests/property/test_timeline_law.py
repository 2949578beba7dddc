"""Whatever the clocks of a publisher do, the timeline keeps its law."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.ingest.timeline import Timeline

ORIGIN = 7_654_321

_steps = st.one_of(
    st.integers(0, 60), st.integers(0, 60), st.integers(-300, 1_500), st.integers(0, 2**32 - 1), st.just(0)
)
_units = st.lists(
    st.tuples(st.booleans(), st.booleans(), _steps, st.integers(-(2**23), 2**23 - 1) | st.integers(-200, 200)),
    max_size=120,
)


@pytest.mark.thorough
@settings(max_examples=150, deadline=None)
@given(start=st.integers(0, 2**32 - 1), units=_units)
def test_dts_rises_in_each_track_and_never_precedes_the_origin(
    start: int, units: list[tuple[bool, bool, int, int]]
) -> None:
    """A muxer fed a falling DTS stops: no input may cause one."""
    jumps: list[int] = []
    line = Timeline(ORIGIN, jump=lambda: jumps.append(1), repaired=lambda _: None)
    times = [start, start]
    last = [ORIGIN - 1, ORIGIN - 1]
    for is_video, both, step, cts in units:
        for track in (0, 1):
            if both or track != is_video:
                times[track] = (times[track] + step) % 2**32
        if is_video:
            dts, pts = line.video(times[0], cts, 0.0)
            assert pts >= dts
            assert dts > last[0]
            last[0] = dts
        else:
            heard = line.audio(times[1], 0.0)
            if heard is not None:
                assert heard > last[1]
                last[1] = heard


@settings(max_examples=100, deadline=None)
@given(
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(1, 900), min_size=1, max_size=200),
    skew=st.integers(-900, 900),
)
def test_well_behaved_clock_is_taken_as_it_is(start: int, steps: list[int], skew: int) -> None:
    """Repairs must not touch what is right: every distance between pictures stays, to the tick."""
    line = Timeline(ORIGIN, jump=lambda: (_ for _ in ()).throw(AssertionError), repaired=lambda _: None)
    line.begin([start, (start + skew) % 2**32])
    time = start
    first, _ = line.video(start, 0, 0.0)
    assert first == ORIGIN + max(0, -skew) * 90
    heard = line.audio((start + skew) % 2**32, 0.0)
    assert heard == first + skew * 90
    for step in steps:
        time += step
        assert line.video(time % 2**32, 0, 0.0)[0] == first + (time - start) * 90
