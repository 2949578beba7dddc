"""Where samples belong by the source's times, and how the rate of G.711 is found."""

from __future__ import annotations

import pytest

from hlsd.media.sounds import SoundFormat
from hlsd.sound.clock import FRAME, ClockStep, SoundClock
from hlsd.sound.rate import RateFinder

PACKET = 960  # 20 ms


def feed(clock: SoundClock, times: list[int], samples: int = PACKET) -> list[ClockStep]:
    steps = []
    for ms in times:
        step = clock.judge(ms)
        clock.add(samples - min(step.surplus, samples))
        steps.append(step)
    return steps


def test_rounded_and_jittering_stamps_move_nothing() -> None:
    clock = SoundClock()
    steps = feed(clock, [20 * n + (n * 7 % 15) for n in range(500)])
    assert steps[0].anchor
    assert set(steps[1:]) == {ClockStep()}
    assert clock.written == 500 * PACKET


@pytest.mark.parametrize("bundle", [4, 8])
def test_bundles_that_are_stamped_alike_move_nothing(bundle: int) -> None:
    steps = feed(SoundClock(), [20 * (n - n % bundle) for n in range(400)])
    assert set(steps[1:]) == {ClockStep()}


@pytest.mark.parametrize(("gap", "silence"), [(59, 0), (61, 61 * 48), (400, 400 * 48), (1_000, 1_000 * 48)])
def test_a_gap_is_filled_from_60_ms_to_a_second(gap: int, silence: int) -> None:
    clock = SoundClock()
    feed(clock, [0, 20, 40])
    assert clock.judge(60 + gap) == ClockStep(silence=silence)


@pytest.mark.parametrize("ms", [1_062, 5_000, -100, -90_000])
def test_a_leap_or_a_step_back_is_a_new_anchor(ms: int) -> None:
    clock = SoundClock()
    feed(clock, [0, 20, 40])
    assert clock.judge(ms) == ClockStep(anchor=True)
    assert clock.written == ms * 48


def test_a_source_that_loses_samples_gets_a_frame_of_silence_now_and_then() -> None:
    steps = feed(SoundClock(), [20 * n for n in range(2_000)], PACKET - 2)
    added = sum(step.silence for step in steps)
    assert abs(added - 2_000 * 2) <= 2 * FRAME
    assert all(step.silence in (0, FRAME) for step in steps)


def test_a_source_that_has_too_many_samples_loses_a_frame_now_and_then() -> None:
    steps = feed(SoundClock(), [20 * n for n in range(2_000)], PACKET + 2)
    left = sum(step.surplus for step in steps)
    assert abs(left - 2_000 * 2) <= 2 * FRAME
    assert all(step.surplus in (0, FRAME) for step in steps)


def test_a_packet_that_is_much_longer_than_its_time_does_not_shift_what_follows() -> None:
    """Damage makes 120 ms of a packet of 20."""
    clock = SoundClock()
    feed(clock, [20 * n for n in range(50)])
    clock.judge(1_000)
    clock.add(6 * PACKET)
    steps = feed(clock, [1_020, 1_040, 1_060])
    assert steps[-1].surplus
    assert not any(step.anchor or step.silence for step in steps)


@pytest.mark.parametrize(
    ("pace", "packet", "told", "found"),
    [
        (8.0, 160, (0, 0), (8_000, 1)),
        (16.0, 320, (0, 0), (16_000, 1)),
        (88.2, 2_048, (0, 0), (44_100, 2)),
        (88.2, 2_048, (8_000, 1), (44_100, 2)),
        (96.0, 1_920, (44_100, 2), (48_000, 2)),
        (16.0, 320, (8_000, 2), (8_000, 2)),
        (8.0, 1_024, (8_000, 1), (8_000, 1)),
    ],
)
def test_the_rate_is_what_bytes_per_millisecond_say(
    pace: float, packet: int, told: tuple[int, int], found: tuple[int, int]
) -> None:
    finder = RateFinder(SoundFormat("pcm_mulaw", b"", *told))
    for number in range(40):
        answer = finder.take(int(number * packet / pace), bytes(packet))
        if answer is not None:
            form, kept = answer
            assert (form.rate, form.channels) == found
            assert len(kept) == number + 1
            assert kept[0] == (0, bytes(packet))
            return
    raise AssertionError("nothing was found")


def test_where_times_say_nothing_it_is_8_khz() -> None:
    finder = RateFinder(SoundFormat("pcm_alaw"))
    found = next(answer for _ in range(100) if (answer := finder.take(0, bytes(160))) is not None)
    assert found[0] == SoundFormat("pcm_alaw", b"", 8_000, 1)
