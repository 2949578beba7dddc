"""Where parts and segments end: hls-rules MP02, MP13, TL05, TL06, TL07, LL08 to LL14, DE02, TS16, FM10."""

from __future__ import annotations

import gc
import random
import tracemalloc
from itertools import pairwise

import pytest

from hlsd.media.aac_silence import silent_frame
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.cutter import AUDIO_BEFORE_VIDEO, Cutter
from hlsd.segmenter.playlist import low_latency_for
from tests.support.cuts import cut_all, lengths, limits, segments_of
from tests.support.frames import AUDIO, AUDIO_44, BOTH, VIDEO, audio, interleaved, video, video_at

ONLY_VIDEO, ONLY_AUDIO = Tracks(VIDEO), Tracks(None, AUDIO)


@pytest.mark.parametrize(
    ("gop", "fps", "limit", "expected"),
    [
        (0.5, 30, 2.49, 2.0),
        (1.0, 30, 2.49, 2.0),
        (1.5, 30, 3.49, 3.0),
        (2.0, 30, 2.49, 2.0),
        (2.002, 30000 / 1001, 2.49, 2.002),
        (3.0, 30, 3.49, 3.0),
        (8.0, 25, 8.49, 8.0),
    ],
)
def test_segments_end_at_the_first_idr_that_reaches_the_target(
    gop: float, fps: float, limit: float, expected: float
) -> None:
    """TL05: the key-frame interval rules, the target says after how many of them."""
    cuts, cutter = cut_all(interleaved(video(fps, 24.1, gop), audio(24.1)), limits(limit=limit))
    assert lengths(cuts)[:-1] == pytest.approx([expected] * (len(lengths(cuts)) - 1), abs=0.0011)
    assert cutter.forced_cuts == 0
    assert all(segment[0].independent for segment in segments_of(cuts))


def test_a_segment_ends_early_when_one_more_group_would_pass_the_limit() -> None:
    """TL05, MP02: with groups of 1.5 s and a target duration fixed at 2 s, 3 s would break the promise."""
    cuts, _ = cut_all(video(30, 9.0, 1.5), limits(limit=2.49), ONLY_VIDEO)
    assert lengths(cuts) == pytest.approx([1.5] * 6, abs=0.001)


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 30, 50, 60])
@pytest.mark.parametrize("part", [0.2, 0.334, 0.5, 1.0])
def test_parts_keep_85_percent_of_the_part_target_at_every_frame_rate(fps: float, part: float) -> None:
    """LL08, LL09: AVPlayer drops a variant whose parts are too long; too short ones break its pacing."""
    promise = low_latency_for(part, 1 / fps, 2)
    cuts, _ = cut_all(interleaved(video(fps, 13.0, 2.0), audio(13.0)), limits(part=promise.part_target))
    for cut in cuts:
        if not cut.closes and not cut.independent:
            assert cut.duration >= 0.85 * promise.part_target * TICKS
    assert promise.part_hold_back >= 3 * promise.part_target


@pytest.mark.parametrize("track", [AUDIO, AUDIO_44])
def test_audio_alone_is_cut_at_whole_frames_nearest_to_the_target(track: object) -> None:
    """TL07: all parts are independent, and no segment is off by more than half a frame."""
    rate = 48_000 if track is AUDIO else 44_100
    frame = 1024 / rate
    promise = low_latency_for(0.334, frame, 2)
    tracks = Tracks(None, AUDIO if track is AUDIO else AUDIO_44)
    cuts, _ = cut_all(audio(30, rate=rate), limits(part=promise.part_target), tracks)
    assert all(cut.independent for cut in cuts)
    assert all(abs(length - 2.0) <= frame / 2 + 0.001 for length in lengths(cuts)[:-1])
    parts = [cut for cut in cuts if not cut.closes]
    assert all(cut.duration >= 0.85 * promise.part_target * TICKS for cut in parts)


def test_a_slide_show_with_sound_gives_a_part_each_part_target() -> None:
    """TL06: parts follow the clock, not the frame count, or low-latency players think the stream has died."""
    pictures = video_at([n * TICKS for n in range(12)], 2)
    cuts, _ = cut_all(interleaved(pictures, audio(12.0)))
    assert max(cut.duration for cut in cuts) <= 0.335 * TICKS
    inner = [cut for cut in cuts if not cut.closes and not cut.video]
    assert inner
    assert all(cut.audio for cut in inner)
    assert all(not cut.independent for cut in inner)  # LL13: no key frame in them


def test_a_silent_slide_show_has_gaps_between_its_pictures() -> None:
    """TL06, MP23: GAP parts say that nothing is missing."""
    cuts, cutter = cut_all(video_at([n * TICKS for n in range(12)], 2), limits(), ONLY_VIDEO)
    assert any(not cut.video for cut in cuts)
    assert cutter.forced_cuts == 0
    # What is left between the last whole part and the key picture is the next segment's.
    assert lengths(cuts)[:-1] == pytest.approx([2.0] * 5, abs=0.335)


@pytest.mark.parametrize("hole", [0.05, 0.2, 0.34, 0.37, 0.45, 0.6])
@pytest.mark.parametrize("at", [5.0, 5.1, 5.2, 5.3])
def test_a_hole_shorter_than_two_parts_leaves_no_part_empty(hole: float, at: float) -> None:
    """One empty part makes hls.js lose its segment, so what was sent before and after the hole is spread over it."""
    units = [unit for unit in interleaved(video(30, 9.0, 1.0), audio(9.0)) if not at <= unit.dts / TICKS < at + hole]
    cuts, cutter = cut_all(units)
    assert all(cut.video or cut.audio for cut in cuts)
    assert cutter.forced_cuts == 0


def test_pictures_longer_than_a_segment_are_cut_by_the_clock() -> None:
    """MP02: a picture of 9 s cannot make a segment of 9 s when the target duration is 2."""
    cuts, cutter = cut_all(video_at([n * 9 * TICKS for n in range(4)], 1), limits(), ONLY_VIDEO)
    assert cutter.forced_cuts > 0
    assert sum(cut.duration for cut in cuts) == pytest.approx(36 * TICKS, abs=limits().part_target)


def test_sound_takes_over_when_the_picture_stalls_and_gives_back_when_it_returns() -> None:
    """TL03, TL06, LL20: held reloads are answered from the sound; nothing is lost when the picture is back."""
    pictures = [unit for unit in video(30, 20.0, 2.0) if not 5.0 <= unit.dts / TICKS < 11.0]
    cuts, _ = cut_all(interleaved(pictures, audio(20.0)))
    silent = [cut for cut in cuts if 6.5 * TICKS <= cut.start < 9.5 * TICKS]
    assert len(silent) >= 8
    assert all(cut.audio and not cut.video for cut in silent)


def test_a_stalled_picture_that_comes_late_in_a_burst_ends_no_part_in_the_past() -> None:
    """MP13: six seconds of pictures arrive behind six seconds of sound; no duration is negative, nothing is lost."""
    units = interleaved(video(30, 20.0, 2.0), audio(20.0))
    late = [unit for unit in units if unit.kind is Kind.VIDEO and 5.0 <= unit.dts / TICKS < 11.0]
    early = [unit for unit in units if unit not in late]
    at = next(index for index, unit in enumerate(early) if unit.dts >= 11.0 * TICKS)
    cut_all(early[:at] + late + early[at:])


def test_a_stream_that_ends_while_its_picture_is_stalled_ends_with_its_sound() -> None:
    """EN02: flush gives a true, positive duration even though the leading track ended long ago."""
    cuts, _ = cut_all(interleaved(video(30, 3.0, 1.0), audio(9.0)))
    assert sum(cut.duration for cut in cuts) / TICKS == pytest.approx(9.0, abs=0.05)


@pytest.mark.parametrize("late", [-3.0, -2.0, -1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 2.0, 3.0])
def test_sound_that_arrives_early_or_late_is_neither_lost_nor_doubled(late: float) -> None:
    """DE02, TS16: interleaving is the encoder's habit; early sound goes to the part of its time."""
    cuts, cutter = cut_all(interleaved(video(30, 12.0, 2.0), audio(12.0), audio_late=late))
    assert lengths(cuts)[:-1] == pytest.approx([2.0] * 5, abs=0.001)
    assert cutter.forced_cuts == 0
    if late < 0:
        for cut in cuts[:-1]:
            for sample in cut.audio:
                assert cut.start - 1920 <= sample.unit.dts < cut.start + cut.duration


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("fps", "jitter"), [(1, 10), (2, 5), (3, 5), (5, 3), (5, 30), (6, 1), (10, 5)])
def test_pictures_a_few_milliseconds_late_leave_no_stub(fps: int, jitter: int, seed: int) -> None:
    """What cameras send at night: a part that is nobody's would be a gap to players, and is the next part's instead."""
    draw = random.Random(seed)
    times = [max(0, round(n * 1000 / fps + draw.uniform(-jitter, jitter))) * 90 for n in range(30 * fps)]
    promise = low_latency_for(0.334, 1 / fps, 2)
    bounds = limits(part=promise.part_target)
    cuts, cutter = cut_all(interleaved(video_at(times, 2 * fps), audio(30.0)), bounds)
    assert all(cut.video or cut.audio for cut in cuts if cut.duration)
    assert cutter.forced_cuts == 0
    for cut, after in pairwise(cuts):
        short = cut.duration < 0.85 * bounds.part_target
        assert not short or cut.closes or not after.duration or cut.independent, "LL09"


def test_where_sound_stops_silence_goes_out_for_it_until_it_is_back() -> None:
    """hls.js and browsers stand still where a track is missing; what comes back late for its time is left out."""
    sound = [unit for unit in audio(20.0) if not 5.0 <= unit.dts / TICKS < 12.0]
    cuts, _ = cut_all(interleaved(video(30, 20.0, 2.0), sound))
    silence = silent_frame(AUDIO)
    heard = [sample for cut in cuts for sample in cut.audio]
    assert sum(sample.unit.payload == silence for sample in heard) == pytest.approx(7.0 * 48_000 / 1024, abs=2)
    for one, after in pairwise(heard):
        assert abs(one.unit.dts + one.duration - after.unit.dts) <= 1920, "sound goes on without a hole"
    missing = [cut for cut in cuts if cut.duration and not cut.audio]
    assert len(missing) <= 4, "only until it is known that nothing comes"


def test_silence_that_lasts_over_a_discontinuity_goes_on_behind_it() -> None:
    """The sound of a stream that has some may be missing from the start of a timeline; after 5 s it is."""
    cuts, _ = cut_all(video(30, 10.0, 2.0))
    parts = [cut for cut in cuts if cut.duration]
    assert not any(cut.audio for cut in parts if cut.start < 4.9 * TICKS)
    assert all(cut.audio for cut in parts[:-1] if cut.start > 5.4 * TICKS)


def test_pictures_that_stop_are_shown_before_they_are_back() -> None:
    """The last picture goes out with the sound of its time, not with that of when pictures go on."""
    pictures = [unit for unit in video(30, 20.0, 2.0) if not 5.0 <= unit.dts / TICKS < 12.0]
    cuts, _ = cut_all(interleaved(pictures, audio(20.0)))
    for cut in cuts:
        for sample in cut.video:
            assert cut.start - 3600 <= sample.unit.dts < cut.start + cut.duration + TICKS


def test_sound_from_before_the_first_picture_is_left_out_even_if_it_arrives_late() -> None:
    """FM10: it would only shift the two apart; a frame that reaches into the first picture stays."""
    units = interleaved(video(30, 4.0, 2.0, start=TICKS), audio(5.0), audio_late=0.7)
    cuts, _ = cut_all(units)
    first = next(cut.audio[0].unit for cut in cuts if cut.audio)
    assert TICKS - 1920 < first.dts <= TICKS


def test_without_an_idr_the_segment_is_forced_at_its_limit() -> None:
    """TL05: "never an EXTINF above TD"; the forced segment does not claim independence and is counted."""
    cuts, cutter = cut_all(video_at([n * 3000 for n in range(600)], [0]), limits(), ONLY_VIDEO)
    assert cutter.forced_cuts == len(lengths(cuts)) - 1 > 5
    assert [segment[0].forced for segment in segments_of(cuts)] == [False] + [True] * cutter.forced_cuts
    assert not any(segment[0].independent for segment in segments_of(cuts)[1:])


def test_a_forced_segment_ends_at_the_next_idr() -> None:
    """TL05, LL23: with groups of 3 s and a limit of 2.49 every third second can be started at, not none of them."""
    cuts, cutter = cut_all(video(30, 12.0, 3.0), limits(), ONLY_VIDEO)
    assert lengths(cuts) == pytest.approx([2.4667, 0.5333] * 4, abs=0.002)
    assert cutter.forced_cuts == 4
    assert [segment[0].independent for segment in segments_of(cuts)] == [True, False] * 4


def test_a_frame_that_lasts_longer_than_the_one_before_does_not_carry_the_segment_over_its_limit() -> None:
    """MP02: a hiccup of 100 ms at the limit rounds EXTINF above the target duration: AVPlayer -16832."""
    times = [n * 3000 for n in range(75)]  # the next frame would still fit
    times += [times[-1] + 9000 + n * 3000 for n in range(60)]
    cut_all(video_at(times, [0]), limits(limit=2.52), ONLY_VIDEO)


def test_a_frame_that_fills_a_part_alone_does_not_carry_the_segment_over_its_limit() -> None:
    """MP02 where the part before the long frame has gone out already: the clock cuts inside the frame."""
    times = [*range(0, 216_000, 9000), 216_000]
    times += [times[-1] + 15_000 + n * 3000 for n in range(30)]
    cut_all(video_at(times, [0]), limits(limit=2.49, part=0.2), ONLY_VIDEO)


def test_a_segment_is_cut_when_its_bytes_run_out() -> None:
    """R7: a publisher of 200 Mbit/s costs its own viewers a forced cut, not the server its memory."""
    cuts, cutter = cut_all(video(30, 4.0, 2.0, size=100_000), limits(size=1_000_000), ONLY_VIDEO)
    assert cutter.forced_cuts > 0
    for segment in segments_of(cuts):
        assert sum(len(sample.unit.payload) for cut in segment for sample in cut.video) <= 1_000_000


def test_bytes_dropped_before_the_first_picture_do_not_count_against_the_first_segment() -> None:
    """A camera that sends only sound for an hour must not have its first picture cut off."""
    sound = audio(60.0, size=4000)
    cuts, cutter = cut_all(sound + video(30, 4.0, 2.0, start=60 * TICKS), limits(size=4_000_000))
    assert cutter.forced_cuts == 0
    assert len(lengths(cuts)) == 2


def test_open_groups_of_pictures_are_cut_at_when_no_idr_comes() -> None:
    """HE03: x265 sends one IDR and then CRA pictures; without cuts at these, segments would run to the limit."""
    units = video_at([n * 3000 for n in range(600)], 30, clean=False)
    units[0] = units[0]._replace(clean=True)
    cuts, cutter = cut_all(units, limits(limit=10), ONLY_VIDEO)
    openings = [cut for cut in cuts if cut.opens]
    assert [cut.start // TICKS for cut in openings] == [0, 4, 6, 8, 10, 12, 14, 16, 18]
    assert all(cut.video[0].unit.key for cut in openings)
    assert not any(cut.independent for cut in openings[1:])
    assert cutter.forced_cuts == 0


def test_an_open_gop_is_cut_at_only_when_nothing_better_comes() -> None:
    """HE03: pictures after a CRA may need the past: not INDEPENDENT, and not a boundary by choice."""
    units = video_at([n * 3000 for n in range(300)], 30, clean=False)
    units[0] = units[0]._replace(clean=True)
    cuts, cutter = cut_all(units, limits(), ONLY_VIDEO)
    assert cutter.forced_cuts == 0, "a CRA is still better than an ordinary picture"
    assert all(cut.video[0].unit.key for cut in cuts if cut.opens)
    assert [cut.independent for cut in cuts].count(True) == 1


def test_flush_without_a_picture_gives_nothing() -> None:
    """A publisher who announces video and never sends any has no segment."""
    cuts, _ = cut_all(audio(3.0))
    assert cuts == []
    assert Cutter(BOTH, limits()).flush() == []


def test_flush_twice_gives_nothing_the_second_time() -> None:
    """Pause and then the end of the stream: nothing is listed twice."""
    cutter = Cutter(BOTH, limits())
    for unit in interleaved(video(30, 1.0), audio(1.0)):
        cutter.push(unit)
    assert cutter.flush()
    assert cutter.flush() == []


def test_one_single_frame_makes_a_segment() -> None:
    """EN02: even one picture is not thrown away; it lasts a thirtieth of a second for want of another."""
    cuts, _ = cut_all(video(30, 1 / 30), limits(), ONLY_VIDEO)
    assert [cut.duration for cut in cuts] == [3000]


def test_durations_add_up_to_the_media_exactly() -> None:
    """MP13, LL10: not a tick is lost in an hour of parts, however the milliseconds were rounded."""
    units = video(30000 / 1001, 600.0, 2.002)
    cuts, _ = cut_all(units, limits(), ONLY_VIDEO)
    last = units[-1].dts - units[-2].dts
    assert sum(cut.duration for cut in cuts) == units[-1].dts + last - units[0].dts


def test_memory_is_bounded_while_the_picture_never_comes() -> None:
    """Bounded everything: ten minutes of sound before the first picture leave half a thousand frames at most."""
    cutter = Cutter(BOTH, limits())
    units = audio(600.0, size=300)
    for unit in units:
        assert cutter.push(unit) == []
    assert cutter.open_bytes <= (AUDIO_BEFORE_VIDEO + 2) * 300


def test_memory_is_bounded_while_the_picture_has_stalled() -> None:
    """TL06: sound goes out in parts and does not pile up behind a dead camera."""
    cutter = Cutter(BOTH, limits())
    for unit in interleaved(video(30, 2.0), audio(300.0)):
        cutter.push(unit)
        assert cutter.open_bytes < 40_000


@pytest.mark.thorough
def test_cutting_for_an_hour_leaves_nothing_behind() -> None:
    """Nothing in the cutter grows with time."""
    cutter = Cutter(ONLY_VIDEO, limits())
    unit = AccessUnit(Kind.VIDEO, 0, 0, True, True, b"x" * 100, 0.0)

    def run(first: int, count: int) -> None:
        for n in range(first, first + count):
            cutter.push(unit._replace(dts=n * 3000, pts=n * 3000, key=n % 60 == 0))

    run(0, 300)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run(300, 9000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
