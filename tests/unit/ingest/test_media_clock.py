"""Clocks that count something else than milliseconds."""

from __future__ import annotations

import pytest

from hlsd.ingest.media_clock import MediaClock

FULL = 1 << 32


@pytest.mark.parametrize(("rate", "bits"), [(90_000, 33), (90_000, 32), (48_000, 32), (1_000_000_000, 62)])
def test_times_go_on_over_the_wrap_to_the_nearest_millisecond(rate: int, bits: int) -> None:
    clock = MediaClock(rate, bits)
    start = (1 << bits) - 2 * rate
    first = clock.ms(start)
    for frame in range(300):
        exact = frame * 1000 / 30
        passed = (clock.ms((start + frame * rate // 30) % (1 << bits)) - first) % FULL
        assert abs(passed - exact) <= 1.01, "half a millisecond at each end, and the tick"


def test_two_tracks_of_one_clock_keep_their_distance_while_one_has_wrapped() -> None:
    clock = MediaClock(90_000, 33)
    full = 1 << 33
    picture = clock.ms(full - 9_000)
    sound = clock.ms(9_000)
    assert (sound - picture) % FULL == 200
    assert (clock.ms(full - 6_000) - picture) % FULL == 33


@pytest.mark.parametrize("at", [0, (1 << 33) - 3_000, 123_457])
@pytest.mark.parametrize("offset", [0, 3_003, 9_009, -3_003])
def test_a_composition_offset_leads_to_the_millisecond_that_is_nearest_to_the_picture(at: int, offset: int) -> None:
    timestamp, cts = MediaClock(90_000, 33).stamp(at, (at + offset) % (1 << 33))
    assert timestamp == round(at / 90) % FULL or abs(timestamp - at / 90) <= 0.5
    assert abs(timestamp + cts - (at + offset) / 90) <= 0.5
