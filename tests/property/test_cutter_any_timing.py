"""Whatever durations, key positions and interleavings come, the laws of `tests.support.cuts.check_cuts` hold."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hlsd.media.unit import AccessUnit, Kind, Tracks
from tests.support.cuts import cut_all, limits
from tests.support.frames import AUDIO, BOTH, VIDEO

_FRAME = st.one_of(
    st.sampled_from([1500, 2970, 3000, 3060, 3600]),
    st.integers(90, 20_000),
    st.integers(90, 900_000),
)


def _units(kind: Kind, start: int, frames: list[int], keys: list[bool], cleans: list[bool]) -> list[AccessUnit]:
    units, at = [], start
    for index, frame in enumerate(frames):
        key = kind is Kind.AUDIO or keys[index % len(keys)]
        clean = kind is Kind.AUDIO or cleans[index % len(cleans)]
        units.append(AccessUnit(kind, at, at, key, clean, index.to_bytes(2, "big") * 50, 0.0))
        at += frame
    return units


_BOOLS = st.lists(st.booleans(), min_size=1, max_size=20)


@pytest.mark.thorough
@settings(max_examples=150, deadline=None)
@given(
    video=st.lists(_FRAME, min_size=1, max_size=40),
    audio=st.lists(st.one_of(st.just(1920), st.integers(90, 100_000)), max_size=40),
    keys=_BOOLS,
    cleans=_BOOLS,
    start=st.integers(0, 2**33),
    lag=st.integers(-400_000, 400_000),
    jitter=st.lists(st.integers(-200_000, 200_000), min_size=1, max_size=10),
    part=st.sampled_from([0.1, 0.335, 0.5, 1.001, 2.0]),
    size=st.sampled_from([200, 2000, 10**9]),
)
@example([900_000] * 4, [1920] * 60, [True], [True], 0, 0, [0], 0.335, 10**9)
def test_no_timing_breaks_the_cutter(
    video: list[int],
    audio: list[int],
    keys: list[bool],
    cleans: list[bool],
    start: int,
    lag: int,
    jitter: list[int],
    part: float,
    size: int,
) -> None:
    """MP02, MP13, LL08, LL10, LL13, LL14, DE02 for any two tracks however they arrive."""
    start += 400_000
    pictures = _units(Kind.VIDEO, start, video, keys, cleans)
    sounds = _units(Kind.AUDIO, max(0, start + lag // 4), audio, keys, cleans)
    # Each track stays in order; how the two are dealt out is anybody's guess.
    arrivals: list[tuple[int, AccessUnit]] = []
    latest = -(10**12)
    for index, unit in enumerate(sounds):
        latest = max(latest, unit.dts + lag + jitter[index % len(jitter)])
        arrivals.append((latest, unit))
    arrivals += [(unit.dts, unit) for unit in pictures]
    units = [unit for _, unit in sorted(arrivals, key=lambda pair: pair[0])]
    cut_all(units, limits(target=2.0, limit=2.49, part=part, size=size), BOTH)


@settings(max_examples=100, deadline=None)
@given(frames=st.lists(_FRAME, min_size=1, max_size=60), keys=_BOOLS, alone=st.sampled_from([Kind.VIDEO, Kind.AUDIO]))
def test_no_timing_breaks_the_cutter_with_one_track(frames: list[int], keys: list[bool], alone: Kind) -> None:
    """The same for sound or picture alone."""
    tracks = Tracks(VIDEO) if alone is Kind.VIDEO else Tracks(None, AUDIO)
    cut_all(_units(alone, 0, frames, keys, [True]), limits(), tracks)
