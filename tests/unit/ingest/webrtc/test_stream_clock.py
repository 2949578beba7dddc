"""Picture and sound come onto one clock: by reports where there are any, and without cutting anything."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hlsd.ingest.webrtc.clock import STEP_MS, StreamClock, lead
from hlsd.webrtc.rtcp import SenderReport

EPOCH = 2_208_988_800


def report(wall: float, timestamp: int) -> SenderReport:
    return SenderReport(1, int((wall + EPOCH) * (1 << 32)), timestamp & 0xFFFFFFFF)


def run(late: float, *, reports: bool, seconds: float = 10.0, base: int = 0xFFFF0000) -> tuple[list[int], list[int]]:
    """Pictures whose packets come `late` seconds after the sound of the same instant, the first one half a second."""
    picture, sound = StreamClock(90_000), StreamClock(48_000)
    pictures, sounds = [], []
    for number in range(int(seconds * 50)):
        at = number / 50
        sounds.append(sound.ms(int(at * 48_000), 100 + at))
        timestamp = base + int(at * 90_000) & 0xFFFFFFFF
        pictures.append(picture.ms(timestamp, 100 + at + (late if number else 0.5)))
        if reports and number in (25, 30):
            sound.report(report(1e9 + at, int(at * 48_000)))
            picture.report(report(1e9 + at, timestamp))
        assert lead(picture, sound)
    return pictures, sounds


@pytest.mark.parametrize("late", [0.02, 0.3])
def test_reports_put_picture_and_sound_of_one_instant_at_one_time(late: float) -> None:
    pictures, sounds = run(late, reports=True)
    assert abs(pictures[0] - sounds[0] - 500) < 2
    assert abs(pictures[-1] - sounds[-1]) <= 2
    steps = [later - at for at, later in pairwise(pictures)]
    assert min(steps) >= 20 - STEP_MS - 1  # never back, and never a leap
    assert max(steps) <= 20 + STEP_MS + 1
    assert {later - at for at, later in pairwise(sounds)} == {20}


def test_without_reports_the_quickest_packets_are_believed() -> None:
    pictures, sounds = run(0.02, reports=False)
    assert abs(pictures[-1] - sounds[-1]) <= 20 + 41


def test_reports_of_no_common_clock_are_not_followed() -> None:
    picture, sound = StreamClock(90_000), StreamClock(48_000)
    before = picture.ms(0, 1.0), sound.ms(0, 1.0)
    picture.report(report(1e9, 0))
    sound.report(report(1e9 + 60, 0))
    assert not lead(picture, sound)
    assert (picture.ms(0, 1.0), sound.ms(0, 1.0)) == before


def test_a_report_without_a_time_is_none() -> None:
    picture, sound = StreamClock(90_000), StreamClock(48_000)
    for clock in (picture, sound):
        clock.ms(0, 1.0)
        clock.report(SenderReport(1, 0, 0))
        assert not clock.reported
    assert lead(picture, sound)


def test_clocks_that_drift_for_ten_minutes_stay_together() -> None:
    # The sound card runs 200 ppm fast, the camera true, and packets of the picture are under way for 5 to 45 ms.
    picture, sound = StreamClock(90_000), StreamClock(48_000)
    apart = []
    for number in range(600 * 25):
        at = number / 25
        heard = sound.ms(int(at * 48_000 * 1.0002) & 0xFFFFFFFF, 100 + at)
        seen = picture.ms(int(at * 90_000), 100 + at + 0.005 + 0.04 * (number * 7 % 11) / 10)
        if number % 25 == 13:
            sound.report(report(1e9 + at, int(at * 48_000 * 1.0002)))
            picture.report(report(1e9 + at, int(at * 90_000)))
        assert lead(picture, sound)
        apart.append(abs(seen - heard))
    assert max(apart[250:]) <= 4
