"""One run with several renditions: numbers, target duration, ends of parts and segments, dates are the same (MV12)."""

from __future__ import annotations

import m3u8
import pytest

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.follower import Follower
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.window import Part, Segment
from tests.support.frames import BOTH, VIDEO, audio, interleaved, video
from tests.support.ladder import Encoder, feed_ladder, laddered
from tests.support.runs import Watcher, settings, text

Cut = tuple[int, int, float, bool, list[tuple[int, bool]]]


def cut(segments: list[Segment]) -> list[Cut]:
    """What must be equal of each segment."""

    def parts(found: list[Part]) -> list[tuple[int, bool]]:
        return [(part.duration, part.independent) for part in found]

    return [(one.msn, one.duration, one.date, one.discontinuity, parts(one.parts)) for one in segments]


def feed_both(
    main: Segmenter, small: Follower, units: list[AccessUnit], *, behind: int = 0, end: bool = True
) -> Encoder:
    encoder = Encoder(small, behind=behind)
    feed_ladder(main, [encoder], units, end=end)
    return encoder


@pytest.mark.parametrize("behind", [0, 25])
@pytest.mark.parametrize("gop", [1.0, 1.5, 7.0])
def test_renditions_of_the_same_frames_share_numbers_target_duration_and_ends_of_parts(gop: float, behind: int) -> None:
    run, main, small = laddered(time=2)
    encoder = feed_both(main, small, interleaved(video(30, 20.0, gop=gop), audio(20.0)), behind=behind)
    main.pause()
    encoder.flush()
    assert main.window.target_duration == small.window.target_duration == run.target_duration > 0
    assert main.live.part_target == small.live.part_target > 0
    assert main.window.media_sequence == small.window.media_sequence
    assert main.window.segments[0].msn >= 500
    assert cut(small.window.segments) == cut(main.window.segments)
    assert len(main.window.segments) >= 2
    assert all(not part.gap for segment in small.window.segments for part in segment.parts)
    assert small.frame_rate == main.frame_rate


def test_where_only_the_bytes_of_the_source_end_a_segment_the_others_end_too() -> None:
    """The smaller one would not have ended there by itself: its pictures have a quarter of the bytes."""
    _, main, small = laddered(time=4, max_segment_bytes=1 << 20)
    feed_both(main, small, interleaved(video(30, 20.0, gop=4.0, size=12_000), audio(20.0)))
    assert main.forced_cuts > 0
    assert cut(small.window.segments) == cut(main.window.segments)


def test_who_waits_for_one_rendition_hurries_the_first_segment_of_all() -> None:
    _, main, small = laddered(time=2)
    small.live.watch(lambda: None)
    feed_both(main, small, interleaved(video(30, 6.0, gop=1.0), audio(6.0)), behind=15)
    assert main.window.segments[0].duration == small.window.segments[0].duration == TICKS


def test_a_discontinuity_has_the_same_number_in_all() -> None:
    run, main, small = laddered(time=2)
    encoder = Encoder(small, behind=7)
    feed_ladder(main, [encoder], video(30, 6.0), Tracks(VIDEO), end=False)
    main.jump()
    feed_ladder(main, [encoder], video(30, 6.0, start=10 * TICKS), None)
    main.end()
    assert [segment.discontinuity for segment in main.window.segments].count(True) == 1
    assert cut(small.window.segments) == cut(main.window.segments)
    assert small.window.discontinuity_sequence == main.window.discontinuity_sequence == 7
    assert small.window.timeline == main.window.timeline
    assert small.window.ended
    assert run.ended


def test_pictures_in_another_order_than_they_are_shown_keep_to_their_places() -> None:
    """The encoder of a rendition has no B pictures: what it makes stands in the order in which it is shown."""
    _, main, small = laddered(time=2)
    units = video(25, 8.0, gop=2.0)
    shown = [unit._replace(pts=unit.dts + (2 * 3600 if at % 3 == 1 else 3600)) for at, unit in enumerate(units)]
    feed_both(main, small, interleaved(shown, audio(8.0)))
    assert cut(small.window.segments) == cut(main.window.segments)


def test_the_multivariant_names_every_rendition_that_has_a_playlist_the_source_first() -> None:
    run, main, small = laddered(time=2)
    assert run.ladder.add_sound("audio") is not None
    feed_ladder(main, [], interleaved(video(30, 4.5), audio(4.5)))
    assert main.live.multivariant("cam/~sid/") is None, "whoever comes now waits for the other one"
    small.away()
    main.jump()
    feed_ladder(main, [], interleaved(video(30, 6.0, start=9 * TICKS), audio(6.0, start=9 * TICKS)), None)
    assert main.live.multivariant("cam/~sid/"), "and not for ever"
    alone = m3u8.loads((main.live.multivariant("cam/~sid/") or b"").decode())
    assert [one.uri for one in alone.playlists] == ["cam/~sid/main/index.m3u8", "cam/~sid/audio/index.m3u8"]
    assert [one.stream_info.codecs for one in alone.playlists] == ["avc1.42c00d,mp4a.40.2", "mp4a.40.2"]
    sound = m3u8.loads((main.live.multivariant("cam/~sid/", "audio") or b"").decode())
    assert [one.uri for one in sound.playlists] == ["cam/~sid/audio/index.m3u8"]


def test_a_rendition_that_comes_late_has_the_numbers_and_discontinuities_of_all() -> None:
    _, main, small = laddered(time=2)
    small.away()
    feed_ladder(main, [], interleaved(video(30, 7.0), audio(7.0)))
    main.jump()
    again = interleaved(video(30, 12.0, start=9 * TICKS), audio(12.0, start=9 * TICKS))
    feed_ladder(main, [Encoder(small)], again, None)
    main.end()
    there = cut(small.window.segments)
    assert there
    assert there[0][0] > 500
    behind = cut(main.window.segments)[-len(there) :]
    first = (*behind[0][:3], there[0][3], *behind[0][4:])  # before its first segment there is nothing to part from
    assert there == [first, *behind[1:]]
    assert small.window.timeline == main.window.timeline == 8
    assert "480p/index.m3u8" in (main.live.multivariant("") or b"").decode()


def test_what_an_encoder_does_not_make_is_a_gap_and_it_joins_again_at_a_segment() -> None:
    run, main, small = laddered(time=2, list=12)
    watcher = Watcher(small.live)
    encoder = Encoder(small)
    pictures = video(30, 20.0, gop=2.0)
    units = interleaved(pictures, audio(20.0))
    main.tracks(BOTH)
    for unit in units:
        if unit.kind is Kind.VIDEO and unit.dts == pictures[5 * 30].dts:
            small.away()
        main.unit(unit)
        if unit.kind is Kind.VIDEO:
            run.ladder.source(unit)
            if not 5 * TICKS <= unit.dts < 9 * TICKS:
                encoder.take(unit)
        watcher.look()
    gaps = [[part.gap for part in segment.parts] for segment in small.window.segments]
    assert [all(one) for one in gaps] == [False] * 3 + [True] * 2 + [False] * 4
    assert any(gaps[2]), "it ended in the middle of the third"
    assert gaps[2].index(True) == len(gaps[2]) - sum(gaps[2])
    assert [(s.msn, s.duration) for s in small.window.segments] == [(s.msn, s.duration) for s in main.window.segments]
    assert watcher.violations == []
    assert any("GAP=YES" in seen.text for seen in watcher.history)
    assert "#EXT-X-GAP" in text(small.live)
    assert main.live.facts.independent
    assert small.live.facts.independent


def test_an_encoder_that_hangs_holds_a_rendition_up_for_three_seconds_and_nobody_else() -> None:
    _, main, small = laddered(time=2)
    units = interleaved(video(30, 16.0), audio(16.0))
    half = len(units) // 2
    feed_both(main, small, units[:half], end=True)
    feed_ladder(main, [], units[half:], None)
    assert main.window.last_msn - small.window.last_msn <= 2
    assert any(part.gap for segment in small.window.segments for part in segment.parts)


def test_a_rendition_that_was_given_up_is_no_longer_named_and_counts_on() -> None:
    _, main, small = laddered(time=2)
    units = interleaved(video(30, 16.0), audio(16.0))
    encoder = feed_both(main, small, units[: len(units) // 2])
    assert b"480p" in (main.live.multivariant("") or b"")
    small.drop()
    assert b"480p" not in (main.live.multivariant("") or b"")
    feed_ladder(main, [encoder], units[len(units) // 2 :], None)
    assert small.window.segments[-1].msn == main.window.segments[-1].msn
    assert small.window.segments[-1].gap


def test_a_fault_in_a_rendition_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    run, main, small = laddered(time=2)

    def fail(_: object) -> None:
        raise RuntimeError

    units = interleaved(video(30, 16.0), audio(16.0))
    encoder = feed_both(main, small, units[: len(units) // 2])
    monkeypatch.setattr(small.listing, "take", fail)
    feed_ladder(main, [encoder], units[len(units) // 2 :], None)
    assert run.faults.outputs["rendition"] == 1
    assert small.broken
    assert len(main.window.segments) == 6
    assert b"480p" not in (main.live.multivariant("") or b"")


def test_whatever_changes_in_one_rendition_is_a_new_version_of_all() -> None:
    """What delivery keeps ready is kept for one version of the stream."""
    run, main, small = laddered(time=2, low_latency=False)
    feed_both(main, small, interleaved(video(30, 6.0), audio(6.0)))
    before, said = main.live.version, text(main.live)
    small.live.changed()
    assert main.live.version == small.live.version == before + 1
    assert text(main.live) == said
    assert main.live.rendition("480p") is small.live
    assert small.live.rendition("main") is main.live is run.live
    assert main.live.rendition("") is main.live
    assert main.live.rendition("v720") is None


def test_every_playlist_reports_where_the_others_stand() -> None:
    """LL21."""
    _, main, small = laddered(time=2)
    feed_both(main, small, interleaved(video(30, 7.0), audio(7.0)), behind=20, end=False)
    told = [line for line in text(main.live).splitlines() if line.startswith("#EXT-X-RENDITION-REPORT")]
    newest = small.window.open
    assert newest is not None
    assert told == [
        f'#EXT-X-RENDITION-REPORT:URI="../480p/index.m3u8",LAST-MSN={newest.msn},LAST-PART={len(newest.parts) - 1}'
    ]
    newest = main.window.open
    assert newest is not None
    assert f'URI="../main/index.m3u8",LAST-MSN={newest.msn},LAST-PART={len(newest.parts) - 1}' in text(small.live)


def test_a_run_adds_up_what_its_renditions_hold_and_lets_go_of_it_in_step() -> None:
    run, main, small = laddered(time=2)
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
    old, main, small = laddered(time=2)
    feed_both(main, small, interleaved(video(30, 9.0), audio(9.0)))
    new = Run("r2", settings(), first_msn=900)
    after = Segmenter(new)
    other = new.ladder.add("480p", 0)
    assert other is not None
    new.follow(old)
    name = main.window.segments[0].uri.rpartition("/")[2]
    found = [one.live.media("r1", name) for one in (after, other)]
    assert [media.body for media in found if media] == [one.window.segments[0].body for one in (main, small)]
    new.follow(None)
    assert after.live.media("r1", name) is None


def test_nobody_joins_a_run_that_has_been_shown() -> None:
    """MV14."""
    run, main, _ = laddered(time=2)
    feed_ladder(main, [], interleaved(video(30, 6.0), audio(6.0)))
    assert run.ladder.add("360p", 0) is None
    assert run.ladder.add("480p", 0) is None


def test_what_is_remembered_of_the_source_is_bounded() -> None:
    run, _, _ = laddered(time=2)
    for unit in video(30, 60.0):
        run.ladder.source(unit)
    assert len(run.ladder._sources) <= 302
