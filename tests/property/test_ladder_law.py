"""However the source is timed and whatever its encoder loses, all renditions are cut at the same ticks (MV12, TL09)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.window import Segment
from tests.support.frames import AUDIO, VIDEO, audio, interleaved, video_at
from tests.support.ladder import Encoder, feed_ladder, laddered
from tests.support.runs import Watcher

RATES = st.sampled_from([Fraction(10), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60)])


@st.composite
def sources(draw: st.DrawFn) -> list[AccessUnit]:
    """Ten seconds of pictures at some rate with jitter and keys anywhere, and their sound or none."""
    rate = draw(RATES)
    frames = int(10 * rate)
    jitter = draw(st.lists(st.integers(-400, 400), min_size=7, max_size=7))
    ticks = [round(number * TICKS / rate) + (jitter[number % 7] if number else 0) for number in range(frames)]
    keys = draw(st.lists(st.integers(0, frames - 1), min_size=2, max_size=12, unique=True))
    pictures = video_at(ticks, sorted({0, *keys}))
    hole = draw(st.one_of(st.none(), st.integers(frames // 3, frames - 1)))
    if hole is not None:
        later = draw(st.integers(1, 9)) * TICKS
        moved = [unit._replace(dts=unit.dts + later, pts=unit.pts + later) for unit in pictures[hole:]]
        pictures = pictures[:hole] + moved
    return interleaved(pictures, audio(pictures[-1].dts / TICKS)) if draw(st.booleans()) else pictures


def shape(segments: list[Segment]) -> list[tuple[object, ...]]:
    """What must be equal of each segment."""
    return [
        (one.msn, one.duration, one.date, one.discontinuity, tuple(part.duration for part in one.parts))
        for one in segments
    ]


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(sources(), st.integers(0, 40), st.sets(st.integers(0, 700), max_size=60), st.booleans(), st.booleans())
def test_numbers_lengths_dates_and_discontinuities_are_those_of_the_source(
    units: list[AccessUnit], behind: int, lost: set[int], jumps: bool, low_latency: bool
) -> None:
    _, main, small = laddered(time=2, low_latency=low_latency, list=20)
    watcher = Watcher(small.live)
    encoder = Encoder(small, behind=behind)
    pictures = [unit.dts for unit in units if unit.kind is Kind.VIDEO]
    encoder.lost = {pictures[number] for number in lost if number < len(pictures)}
    both = Tracks(VIDEO, AUDIO) if len(pictures) < len(units) else Tracks(VIDEO)
    half = len(units) // 2
    feed_ladder(main, [encoder], units[:half], both, end=False)
    watcher.look()
    if jumps:
        main.jump()
    rest = units[half:]
    for at in range(0, len(rest), 25):
        feed_ladder(main, [encoder], rest[at : at + 25], None, end=False)
        watcher.look()
    main.pause()
    encoder.flush()
    watcher.look()
    main.end()
    watcher.look()
    assert watcher.violations == []
    there = shape(small.window.segments)
    if there:
        wanted = shape(main.window.segments)[-len(there) :]
        assert there[0][:3] == wanted[0][:3]
        assert there[1:] == wanted[1:]
        assert small.window.timeline == main.window.timeline
    assert small.window.target_duration in (0, main.window.target_duration)
    assert not small.broken
