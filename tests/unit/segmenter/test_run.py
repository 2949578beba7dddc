"""One run with several renditions: numbers, target duration, ends of parts and segments, dates are the same (MV12)."""

from __future__ import annotations

import itertools

import m3u8
import pytest

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.run import GRID, KeyGrid, Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.window import Part, Segment
from tests.support.frames import AUDIO, BOTH, VIDEO, audio, interleaved, video
from tests.support.runs import settings, text


def two(**changes: object) -> tuple[Run, Segmenter, Segmenter]:
    """A run with the source as it came and a smaller rendition of it."""
    run = Run("r1", settings(**changes), first_msn=500, first_discontinuity=7)
    return run, Segmenter(run), Segmenter(run, "v480")


def feed_both(main: Segmenter, small: Segmenter, units: list[AccessUnit], *, behind: int = 0) -> None:
    """The same frames for both; the smaller one's pictures have a quarter of the bytes and come `behind` frames later.

    Its key pictures are where the source has them.
    """
    main.tracks(BOTH)
    small.tracks(BOTH)
    late: list[AccessUnit] = []
    for unit in units:
        main.unit(unit)
        size = max(1, len(unit.payload) // 4) if unit.kind is Kind.VIDEO else len(unit.payload)
        late.append(unit._replace(payload=unit.payload[:size], arrived=unit.arrived + behind / 30))
        if len(late) > behind:
            small.unit(late.pop(0))
    for unit in late:
        small.unit(unit)


def cut(segments: list[Segment]) -> list[tuple[int, int, float, bool, list[tuple[int, bool]]]]:
    """What must be equal of each segment."""

    def parts(found: list[Part]) -> list[tuple[int, bool]]:
        return [(part.duration, part.independent) for part in found]

    return [(one.msn, one.duration, one.date, one.discontinuity, parts(one.parts)) for one in segments]


@pytest.mark.parametrize("behind", [0, 25])
@pytest.mark.parametrize("gop", [1.0, 1.5, 7.0])
def test_renditions_of_the_same_frames_share_numbers_target_duration_and_ends_of_parts(gop: float, behind: int) -> None:
    run, main, small = two(time=2)
    units = interleaved(video(30, 20.0, gop=gop), audio(20.0))
    feed_both(main, small, units, behind=behind)
    main.pause()
    small.pause()
    assert main.window.target_duration == small.window.target_duration == run.target_duration > 0
    assert main.live.part_target == small.live.part_target > 0
    assert main.window.media_sequence == small.window.media_sequence
    assert main.window.segments[0].msn >= 500
    assert cut(small.window.segments[:-1]) == cut(main.window.segments[:-1])
    assert len(main.window.segments) >= 2
    sizes = [segment.size for segment in (*main.window.segments, *small.window.segments)]
    assert len(set(sizes)) > 1


def test_where_only_the_bytes_of_the_source_end_a_segment_the_others_end_too() -> None:
    """The smaller one would not have ended there by itself: its pictures have a quarter of the bytes."""
    _, main, small = two(time=4, max_segment_bytes=1 << 20)
    alone = Segmenter(Run("r2", settings(time=4, max_segment_bytes=1 << 20), first_msn=500))
    units = interleaved(video(30, 20.0, gop=4.0, size=12_000), audio(20.0))
    feed_both(main, small, units)
    feed_both(Segmenter(Run("r3", settings(), first_msn=1)), alone, units)
    assert main.forced_cuts > 0
    assert cut(small.window.segments) == cut(main.window.segments)
    assert [one.duration for one in alone.window.segments] != [one.duration for one in main.window.segments]


def test_who_waits_for_one_rendition_hurries_the_first_segment_of_all() -> None:
    _, main, small = two(time=2)
    small.live.watch(lambda: None)
    feed_both(main, small, interleaved(video(30, 6.0, gop=1.0), audio(6.0)), behind=15)
    assert main.window.segments[0].duration == small.window.segments[0].duration == TICKS


def test_a_discontinuity_has_the_same_number_in_all() -> None:
    _, main, small = two(time=2)
    first, second = video(30, 6.0), video(30, 6.0, start=10 * TICKS)
    for one in (main, small):
        one.tracks(Tracks(VIDEO))
    for units in (first, second):
        for unit, one in itertools.product(units, (main, small)):
            one.unit(unit)
        main.jump()
        small.jump()
    assert [segment.discontinuity for segment in main.window.segments].count(True) == 1
    assert cut(small.window.segments) == cut(main.window.segments)
    assert small.window.discontinuity_sequence == main.window.discontinuity_sequence == 7
    assert small.window.timeline == main.window.timeline


def test_the_multivariant_names_every_rendition_that_has_a_playlist_the_source_first() -> None:
    _, main, small = two(time=2)
    main.tracks(BOTH)
    for unit in interleaved(video(30, 6.0), audio(6.0)):
        main.unit(unit)
    alone = m3u8.loads((main.live.multivariant("cam/~sid/") or b"").decode())
    assert [one.uri for one in alone.playlists] == ["cam/~sid/main/index.m3u8"]
    small.tracks(Tracks(None, AUDIO))
    for unit in audio(6.0):
        small.unit(unit)
    both = m3u8.loads((main.live.multivariant("cam/~sid/") or b"").decode())
    assert [one.uri for one in both.playlists] == ["cam/~sid/main/index.m3u8", "cam/~sid/v480/index.m3u8"]
    assert [one.stream_info.codecs for one in both.playlists] == ["avc1.42c00d,mp4a.40.2", "mp4a.40.2"]


def test_whatever_changes_in_one_rendition_is_a_new_version_of_all() -> None:
    """What delivery keeps ready is kept for one version of the stream."""
    run, main, small = two(time=2)
    feed_both(main, small, interleaved(video(30, 6.0), audio(6.0)))
    before, said = main.live.version, text(main.live)
    small.live.changed()
    assert main.live.version == small.live.version == before + 1
    assert text(main.live) == said
    assert main.live.rendition("v480") is small.live
    assert small.live.rendition("main") is main.live is run.live
    assert main.live.rendition("") is main.live
    assert main.live.rendition("v720") is None


def test_a_run_adds_up_what_its_renditions_hold_and_lets_go_of_it_in_step() -> None:
    run, main, small = two(time=2)
    feed_both(main, small, interleaved(video(30, 60.0, size=4000), audio(60.0)))
    held = main.window.bytes + small.window.bytes
    assert run.bytes == held
    assert run.counts["ts"] == 2 * main.counts["ts"] > 0
    run.shrink(held * 3 // 4)
    assert run.bytes <= held * 3 // 4
    assert main.window.media_sequence == small.window.media_sequence
    run.shrink(run.bytes + 1)
    run.remove()
    assert main.live.gone
    assert small.live.gone


def test_an_ended_run_is_read_on_through_the_one_after_it_rendition_by_rendition() -> None:
    """EN04."""
    old, main, small = two(time=2)
    feed_both(main, small, interleaved(video(30, 9.0), audio(9.0)))
    new = Run("r2", settings(), first_msn=900)
    after, other = Segmenter(new), Segmenter(new, "v480")
    new.follow(old)
    name = main.window.segments[0].uri.rpartition("/")[2]
    found = [one.live.media("r1", name) for one in (after, other)]
    assert [media.body for media in found if media] == [one.window.segments[0].body for one in (main, small)]
    new.follow(None)
    assert after.live.media("r1", name) is None


def test_the_grid_is_bounded() -> None:
    grid = KeyGrid()
    assert not grid.knows(0)
    for at in range(10 * GRID):
        grid.mark(at)
    assert grid.ends(10 * GRID - 1)
    assert not grid.ends(0)
    assert len(grid._ends) == GRID
