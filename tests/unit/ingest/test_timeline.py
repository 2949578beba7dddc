"""What the timeline does to the clocks of publishers (hls-rules TL02, TS12; RTMP timestamps)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from hlsd.ingest.timeline import Timeline

ORIGIN = 900_000
MS = 90


class Watched:
    """A timeline and what it reported."""

    def __init__(self, origin: int = ORIGIN) -> None:
        self.jumps = 0
        self.now = 0.0
        self.repairs: Counter[str] = Counter()
        self.line = Timeline(origin, jump=self._jump, repaired=self._repaired)

    def _jump(self) -> None:
        self.jumps += 1

    def _repaired(self, kind: str) -> None:
        self.repairs[kind] += 1

    def paced(self, *times: int) -> list[int]:
        """Pictures that come when their times say."""
        out = []
        for time in times:
            self.now = time / 1000
            out += self.dts(time)
        return out

    def dts(self, *times: int) -> list[int]:
        return [self.line.video(time % 2**32, 0, self.now)[0] for time in times]

    def sound(self, *times: int) -> list[int | None]:
        return [self.line.audio(time % 2**32, self.now) for time in times]


def test_first_unit_is_at_the_origin_whatever_the_wire_says() -> None:
    """A publisher's clock may start anywhere; the stream's goes on."""
    watched = Watched()
    assert watched.dts(123_456, 123_489, 123_523) == [ORIGIN, ORIGIN + 33 * MS, ORIGIN + 67 * MS]
    assert not watched.repairs


def test_pts_is_wire_time_plus_composition_offset() -> None:
    """B-frames keep their place."""
    line = Watched().line
    assert line.video(0, 66, 0.0) == (ORIGIN, ORIGIN + 66 * MS)
    assert line.video(33, 99, 0.0) == (ORIGIN + 33 * MS, ORIGIN + 132 * MS)


def test_earliest_unit_is_at_the_origin_when_it_is_not_the_first() -> None:
    """Audio often starts a little before the video that was sent first; nothing may lie before the origin."""
    watched = Watched()
    watched.line.begin([40, 0, 21])
    assert watched.dts(40) == [ORIGIN + 40 * MS]
    assert watched.sound(0) == [ORIGIN]


def test_same_timestamp_gets_the_smallest_step() -> None:
    """DTS must rise strictly, also for two pictures in one millisecond."""
    assert Watched().dts(0, 0, 0, 33) == [ORIGIN, ORIGIN + 1, ORIGIN + 2, ORIGIN + 33 * MS]


def test_small_step_back_is_clamped_and_does_not_move_the_clock() -> None:
    """Jitter costs one frame its exact time, not the stream its sync."""
    watched = Watched()
    assert watched.dts(0, 33, 30, 66) == [ORIGIN, ORIGIN + 33 * MS, ORIGIN + 33 * MS + 1, ORIGIN + 66 * MS]
    assert watched.repairs == {"backward": 1}
    assert watched.jumps == 0


def test_steps_back_that_add_up_become_a_jump() -> None:
    """A clock that runs backwards must not freeze the output."""
    watched = Watched()
    out = watched.dts(*range(100_000, 90_000, -90))
    assert watched.jumps > 0
    assert all(late > early for early, late in pairwise(out))


def test_clock_of_32_bits_wraps_without_a_trace() -> None:
    """49.7 days after the encoder was started nothing may happen."""
    watched = Watched()
    start = 2**32 - 50
    assert watched.dts(*(start + n * 40 for n in range(5))) == [ORIGIN + n * 40 * MS for n in range(5)]
    assert watched.repairs == {"wrap": 1}
    assert watched.jumps == 0


def test_clock_of_31_bits_wraps_without_a_trace() -> None:
    """FLV and SRS keep 31 bits: they wrap after 24.8 days."""
    watched = Watched()
    start = 2**31 - 50
    assert [watched.dts((start + n * 40) % 2**31)[0] for n in range(5)] == [ORIGIN + n * 40 * MS for n in range(5)]
    assert watched.repairs == {"wrap": 1}


def test_both_tracks_wrap_and_stay_in_sync() -> None:
    """The wrap of one track must not look like a jump to the other."""
    watched = Watched()
    start = 2**32 - 1000
    for n in range(100):
        (video,) = watched.dts(start + n * 40)
        (audio,) = watched.sound(start + n * 40)
        assert video == ORIGIN + n * 40 * MS
        assert audio is not None
        assert abs(audio - video) < 60 * MS or n > 2  # this sender has 25 frames a second: see the audio tests
    assert watched.jumps == 0


@pytest.mark.parametrize("skew", [0, 700, -700, 2_500, -2_500])
@pytest.mark.parametrize("leap", [5_000, 3_600_000, -40_000, -1_200])
@pytest.mark.parametrize("begun", [True, False])
def test_jump_of_both_tracks_is_one_event_and_keeps_their_skew(skew: int, leap: int, begun: bool) -> None:
    """A restart of the encoder's clock is one discontinuity, not two (TL02)."""
    watched = Watched()
    if begun:
        watched.line.begin([50_000, 50_000 + skew])
    skews: list[int] = []
    seen = 0
    for n in range(300):
        time = 50_000 + n * 20 + (leap if n >= 150 else 0)
        if n % 2 == 0:
            (seen,) = watched.dts(time)
        (heard,) = watched.sound(time + skew)
        if n in (148, 298):
            assert heard is not None
            skews.append(heard - seen)
    assert watched.jumps == 1
    assert abs(skews[0] - skews[1]) <= 120 * MS  # 960 samples' time with 1024: anchored anew now and then
    if begun:
        assert abs(skews[1] - skew * MS) <= 120 * MS


def test_old_units_after_the_first_jump_are_no_second_jump() -> None:
    """Interleaving lets a few audio frames of the old clock through after the video has jumped."""
    watched = Watched()
    for n in range(20):
        watched.dts(n * 40)
        watched.sound(n * 40)
    watched.dts(1_000_000)
    watched.sound(800, 821)
    watched.dts(1_000_040)
    watched.sound(1_000_030)
    watched.dts(1_000_080)
    assert watched.jumps == 1


def test_gap_in_one_track_is_no_jump() -> None:
    """OBS drops video when the line is thin; the audio proves that the clock went on (TL06)."""
    watched = Watched()
    watched.dts(0)
    for n in range(200):
        watched.sound(n * 21)
    assert watched.dts(4_200) == [ORIGIN + 4_200 * MS]
    assert watched.jumps == 0


@pytest.mark.parametrize("leap", [1_600, 9_000])
def test_tracks_stay_together_when_only_one_leapt_and_the_other_went_on(leap: int) -> None:
    """An encoder that skips pictures sends them ahead of the sound of that time: a gap, though it looks like a jump."""
    watched = Watched()
    watched.dts(0, 33, 66, 100)
    watched.sound(*range(0, 100, 21))
    watched.dts(100 + leap)
    watched.sound(*range(105, leap + 300, 21))
    last = watched.dts(*range(133 + leap, leap + 300, 33))[-1]
    heard = watched.sound(leap + 301)[0]
    assert heard is not None
    assert abs((heard - last) / MS - (301 + leap - (133 + leap + 33 * 5))) < 50
    assert watched.jumps == 0


def test_leap_that_three_frames_bear_out_is_a_jump_and_the_output_goes_on_evenly() -> None:
    """TL02: nothing else knows of the time that was leapt over."""
    watched = Watched()
    assert watched.dts(0, 40, 80) == [ORIGIN + n * 40 * MS for n in range(3)]
    assert watched.dts(90_000, 90_040) == [ORIGIN + n * 40 * MS for n in (3, 4)]
    assert watched.jumps == 0
    assert watched.dts(90_080, 90_120) == [ORIGIN + n * 40 * MS for n in (5, 6)]
    assert watched.jumps == 1


@pytest.mark.parametrize("away", [-9_800_000, 7_200_000, -3_000, 4_000, -150])
def test_single_frame_stamped_far_away_costs_nothing(away: int) -> None:
    """A recorder stamps one frame in two seconds hours away; its neighbours are fine, and so is its place."""
    watched = Watched()
    times = [n * 40 + (away if n % 50 == 49 else 0) for n in range(500)]
    assert watched.dts(*times) == [ORIGIN + n * 40 * MS for n in range(500)]
    assert watched.jumps == 0
    assert watched.repairs == {"stray": 9}, "the last one has no neighbour behind it"


@pytest.mark.parametrize("away", [-9_800_000, 7_200_000])
def test_single_sound_frame_stamped_far_away_costs_nothing(away: int) -> None:
    """Samples are counted on through it."""
    watched = Watched()
    times = [n * 1024 // 48 + (away if n % 90 == 89 else 0) for n in range(500)]
    heard = watched.sound(*times)
    assert all(one is not None and abs(one - ORIGIN - n * 1920) <= 2 * MS for n, one in enumerate(heard))
    assert watched.jumps == 0


def test_first_frame_stamped_far_away_costs_nothing_either() -> None:
    """The earliest of the held units is the earliest of those that belong together."""
    watched = Watched()
    times = [7_000_000, 40, 80, 120, 160]
    watched.line.begin(times)
    watched.dts(*times)
    assert watched.dts(200, 240)[1] - ORIGIN <= 400 * MS


@pytest.mark.parametrize("pace", [1_001, 1_015, 2_000, 3_333])
def test_slow_pictures_are_no_jumps(pace: int) -> None:
    """A camera at one picture in three seconds, without sound: each arrives as late as it says."""
    watched = Watched()
    times = [n * pace + (n * 37) % 30 for n in range(100)]
    assert watched.paced(*times) == [ORIGIN + time * MS for time in times]
    assert watched.jumps == 0


def test_slow_pictures_in_a_burst_are_no_jumps_once_their_pace_is_known() -> None:
    """The line stood still for eight seconds, and then four pictures come at once."""
    watched = Watched()
    watched.paced(*range(0, 20_000, 2_000))
    watched.now = 26.0
    assert watched.dts(20_000, 22_000, 24_000, 26_000) == [ORIGIN + n * 2_000 * MS for n in range(10, 14)]
    assert watched.jumps == 0


@pytest.mark.parametrize("silence", [800, 3_000, 4_900])
def test_short_silence_of_both_tracks_stays_as_long_as_it_was(silence: int) -> None:
    """Nothing was sent and nothing was lost: the pictures behind it are where their time says."""
    watched = Watched()
    watched.paced(0, 40, 80)
    watched.sound(0, 21, 42, 64, 85)
    assert watched.paced(80 + silence) == [ORIGIN + (80 + silence) * MS]
    assert watched.jumps == 0


def test_long_silence_of_both_tracks_is_left_out() -> None:
    """Who stood before a still picture for a minute shall not watch it for a minute more."""
    watched = Watched()
    watched.paced(0, 40, 80)
    watched.sound(0, 21, 42, 64, 85)
    (seen,) = watched.paced(60_080)
    assert seen == ORIGIN + 120 * MS
    (heard,) = watched.sound(60_085)
    assert heard is not None
    assert abs(heard - seen) < 50 * MS
    assert watched.jumps == 1


@pytest.mark.parametrize("leap", [86_400_000, 432_000_000, -86_400_000])
def test_clock_of_one_track_that_leaps_alone_is_followed_without_a_gap(leap: int) -> None:
    """The other track is the witness that no time has passed, for as long as it lasts."""
    for leaper in (0, 1):
        watched = Watched()
        watched.line.sound(48_000, 960)
        last = [ORIGIN, ORIGIN]
        for n in range(3_000):
            time = n * 20
            watched.now = time / 1000
            leapt = time + leap if n >= 1_000 else time
            (seen,) = watched.dts(leapt if leaper == 0 else time)
            (heard,) = watched.sound(leapt if leaper else time)
            if heard is not None:
                assert abs(heard - seen) < 130 * MS
                assert heard - last[1] < 130 * MS
                last[1] = heard
            assert seen - last[0] < 130 * MS
            last[0] = seen
        assert watched.jumps == 1


@pytest.mark.parametrize(("pace", "cts"), [(2_000, 10_000), (2_000, 30_000), (3_333, 16_665), (40, 4_900)])
def test_composition_offset_may_be_as_long_as_pictures_are_far_apart(pace: int, cts: int) -> None:
    """At one picture in two seconds x264 sends offsets of 10 s."""
    watched = Watched()
    for n in range(20):
        watched.now = n * pace / 1000
        dts, pts = watched.line.video(n * pace, cts, watched.now)
        assert pts - dts == cts * MS


def test_late_track_keeps_its_skew() -> None:
    """Audio and video of one publisher share a clock, also when one of them starts seconds late."""
    watched = Watched()
    watched.dts(*range(0, 3_000, 40))
    assert watched.sound(2_500) == [ORIGIN + 2_500 * MS]


def test_track_with_a_clock_of_its_own_starts_where_the_other_is() -> None:
    """Cameras exist whose audio counts from 0 and whose video counts from boot."""
    watched = Watched()
    watched.dts(*range(5_000_000, 5_001_000, 40))
    (audio,) = watched.sound(0)
    assert audio is not None
    assert abs(audio - (ORIGIN + 960 * MS)) < 40 * MS
    assert watched.jumps == 0


def test_audio_counts_samples_instead_of_milliseconds() -> None:
    """TS12: 1024 samples at 48 kHz are 21.33 ms; 21, 21, 22 would click."""
    watched = Watched()
    watched.line.sound(48_000, 1024)
    out = watched.sound(*(n * 1024 * 1000 // 48_000 for n in range(3_000)))
    assert out == [ORIGIN + n * 1920 for n in range(3_000)]
    assert not watched.repairs


def test_audio_at_44100_does_not_collect_rounding_errors() -> None:
    """1024 samples are 2089.8 ticks: the sum counts, not the frame."""
    watched = Watched()
    watched.line.sound(44_100, 1024)
    out = watched.sound(*(n * 1024 * 1000 // 44_100 for n in range(5_000)))
    assert out == [ORIGIN + n * 1024 * 90_000 // 44_100 for n in range(5_000)]


def test_missing_audio_anchors_anew() -> None:
    """After lost frames the sound must be where the picture is."""
    watched = Watched()
    watched.sound(*(n * 1024 // 48 for n in range(10)))
    assert watched.sound(500) == [ORIGIN + 500 * MS]
    assert watched.repairs == {"audio": 1}


def test_slow_audio_clock_does_not_drift_from_the_wire() -> None:
    """A sound card 0.1 % off would be 3.6 s off after an hour."""
    for rate in (47_952, 48_048):
        watched = Watched()
        watched.line.sound(48_000, 1024)
        worst = 0
        for n in range(40_000):
            time = n * 1024 * 1000 // rate
            (dts,) = watched.sound(time)
            if dts is not None:
                worst = max(worst, abs(dts - (ORIGIN + time * MS)))
        assert worst < 80 * MS, rate
        assert watched.repairs["audio"] < 40


def test_frames_sent_in_bundles_are_all_kept() -> None:
    """Senders that give five frames one timestamp have no surplus."""
    watched = Watched()
    watched.line.sound(48_000, 1024)
    out = watched.sound(*((n // 5) * 5 * 1024 // 48 for n in range(500)))
    assert out == [ORIGIN + n * 1920 for n in range(500)]


def test_picture_is_never_shown_before_it_is_decoded() -> None:
    """Cameras send negative composition offsets; containers cannot say PTS < DTS (TS09)."""
    line = Watched().line
    order = [(0, 0), (40, 80), (80, -40), (120, -40), (160, 80), (200, -40), (240, -40), (280, 80), (320, -40)]
    out = [line.video(time, cts, 0.0) for time, cts in order]
    assert all(pts >= dts for dts, pts in out)
    assert all(late[0] > early[0] for early, late in pairwise(out))
    assert [pts for _, pts in out[3:]] == [ORIGIN + (time + cts) * MS for time, cts in order[3:]]


def test_absurd_composition_offset_is_ignored() -> None:
    """Damage in one tag must not push the picture an hour away."""
    line = Watched().line
    assert line.video(0, 8_000_000, 0.0) == (ORIGIN, ORIGIN)
    assert line.video(40, -8_000_000, 0.0) == (ORIGIN + 40 * MS, ORIGIN + 40 * MS)
