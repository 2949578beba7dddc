"""Any events at any times: each goes out once, in order, in a part that holds its time; joined they are the segment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import TICKS
from tests.support.events import Read, emsg_events, event, ts_events
from tests.support.frames import BOTH, audio, interleaved, video
from tests.support.runs import segmenter, text
from tests.support.tscheck import TsTrail, check_ts

LENGTH = 6
UNITS = interleaved(video(25, LENGTH, 1.0), audio(LENGTH))


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.integers(0, len(UNITS)), st.integers(-2 * TICKS, 2 * TICKS), st.integers(0, 400)), max_size=30
    ),
    container=st.sampled_from(["auto", "fmp4"]),
)
def test_each_event_is_said_once_in_order_where_it_belongs(events: list[tuple[int, int, int]], container: str) -> None:
    target = segmenter(container=container, list=20, timed_metadata=True)
    target.tracks(BOTH)
    told: list[TimedEvent] = []
    for at, unit in enumerate(UNITS):
        for number, (when, off, size) in enumerate(events):
            if when == at:
                told.append(event(max(0, unit.dts + off), f"{number}-" + "x" * size, number + 1))
                target.event(told[-1])
        target.unit(unit)
    target.end()
    text(target.live)  # somebody asks: now it is muxed
    read = emsg_events if container == "fmp4" else ts_events
    found: list[Read] = []
    at, trail = 0, TsTrail()
    for segment in target.window.segments:
        assert segment.body is not None
        for part in segment.parts:
            for one in read(bytes(part.body or b"")):
                assert at <= one.pts < at + part.duration, "in the part that holds its time"
                found.append(one)
            at += part.duration
        assert read(segment.body) == found[len(found) - len(read(segment.body)) :]
        if container == "auto":
            assert [one for one in check_ts(segment.body, trail) if one.rule in {"TS01", "TS04", "TS05"}] == []
    assert [one.pts for one in found] == sorted(one.pts for one in found)
    end = LENGTH * TICKS - 4000
    assert len({one.tag for one in found}) == len(found), "once"
    assert {one.tag for one in told if one.pts < end} <= {one.tag for one in found} <= {one.tag for one in told}
