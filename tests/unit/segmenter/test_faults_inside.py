"""What raises inside the HLS output costs a part or a pause, never a viewer's request and never the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hlsd.base.errors import MediaError
from hlsd.media.unit import TICKS
from hlsd.ports import Lateness
from hlsd.segmenter import live as live_module
from hlsd.segmenter.cut import Cut
from hlsd.segmenter.mpegts import TsMuxer
from hlsd.segmenter.segmenter import Segmenter
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.mischief import Mischief
from tests.support.playlistcheck import check_playlist
from tests.support.runs import RUN, feed, segmenter, text

FILM = interleaved(video(25, 40.0), audio(40.0))


def run(seconds: float, **changes: Any) -> Segmenter:
    target = segmenter(**changes)
    feed(target, [unit for unit in FILM if unit.dts < seconds * TICKS])
    return target


def media(target: Segmenter) -> list[tuple[str, bool, bool]]:
    """Everything that may be asked for: name, whether it is a gap, whether it is answered."""
    window = target.window
    found = []
    for segment in (*window.removed, *window.segments):
        every = [(segment.uri, segment.gap), *[(part.uri, part.gap) for part in segment.parts]]
        for uri, gap in every:
            name = uri.rpartition("/")[2]
            found.append((name, gap, target.live.media(RUN, name) is not None))
    return found


def failing(method: Callable[..., bytes], at: int, error: Exception) -> Callable[..., bytes]:
    calls: list[Cut] = []

    def part(self: TsMuxer, cut: Cut) -> bytes:
        calls.append(cut)
        if len(calls) == at:
            raise error
        return method(self, cut)

    return part


@pytest.mark.parametrize(
    ("error", "listed"), [(Mischief(), True), (MediaError("libav's"), True), (IndexError(), False)]
)
@pytest.mark.parametrize("low_latency", [True, False])
def test_a_part_that_cannot_be_written_for_the_first_viewer_is_a_gap(
    error: Exception, listed: bool, low_latency: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run(24.0, low_latency=low_latency)  # that nobody watches
    waiting = len(target.listing.put_off)
    monkeypatch.setattr(TsMuxer, "part", failing(TsMuxer.part, waiting - 18 if listed else 3, error))
    playlist = text(target.live)  # the first viewer's request does not fail
    assert check_playlist(playlist) == []
    found = media(target)
    assert all(gap is not answered for _, gap, answered in found), "a gap is 404 and stands in the playlist as one"
    assert 1 <= sum(gap for _, gap, _ in found) <= 8, "what is left of one segment"
    assert ("#EXT-X-DISCONTINUITY\n" in playlist) is listed, "what follows does not continue what was lost"
    assert target.listing.faults.outputs["muxer"] == (0 if isinstance(error, MediaError) else 1)
    monkeypatch.undo()
    feed(target, [unit for unit in FILM if 24.0 * TICKS <= unit.dts < 28.0 * TICKS], None)
    assert check_playlist(text(target.live)) == []
    assert not target.window.segments[-1].gap
    assert all(gap is not answered for _, gap, answered in media(target))


def test_a_part_that_cannot_be_passed_over_costs_nothing_but_what_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    target = run(3.0)

    def skip(_self: TsMuxer, _cut: Cut) -> None:
        raise Mischief

    monkeypatch.setattr(TsMuxer, "skip", skip)
    feed(target, [unit for unit in FILM if unit.dts >= 3.0 * TICKS], None)
    assert target.listing.faults.outputs["muxer"] == 1
    assert check_playlist(text(target.live)) == []
    assert all(gap is not answered for _, gap, answered in media(target))


def test_a_stream_that_ends_right_behind_a_jump_before_its_first_playlist_ends_all_the_same() -> None:
    """One segment of three, a jump of the clock, and nothing after it: there is no time to date anything by."""
    target = segmenter(first_segments=3)
    feed(target, [unit for unit in FILM if unit.dts < 3.0 * TICKS])
    assert len(target.window.segments) == 1
    target.jump()
    target.pause()
    target.end()
    playlist = text(target.live)
    assert check_playlist(playlist) == []
    assert "#EXT-X-ENDLIST" in playlist
    assert target.window.segments[0].date == pytest.approx(WALL, abs=0.1)


def test_a_stream_that_ends_before_the_first_picture_behind_a_jump_keeps_its_dates() -> None:
    target = segmenter(first_segments=3)
    feed(target, [unit for unit in FILM if unit.dts < 3.0 * TICKS])
    target.jump()
    later = audio(0.2, start=900 * TICKS)
    feed(target, [unit._replace(arrived=WALL + 3.0) for unit in later], None)
    target.pause()
    target.end()
    assert target.window.segments[0].date == pytest.approx(WALL, abs=0.1)


@pytest.mark.parametrize("skip", [False, True])
def test_a_version_that_cannot_be_rendered_is_answered_by_the_one_before(
    skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run(20.0)
    before = text(target.live, skip=False)

    def broken(*_args: object, **_more: object) -> str:
        raise Mischief

    monkeypatch.setattr(live_module, "media_playlist", broken)
    target.live.changed()
    for _ in range(3):
        assert text(target.live, skip=skip) == before
    assert target.listing.faults.outputs["hls"] == 1, "tried once for each version"
    monkeypatch.undo()
    target.live.changed()
    assert text(target.live) == before


def test_who_watches_and_raises_keeps_no_other_from_the_news() -> None:
    target = run(10.0)
    told: list[str] = []

    def bad() -> None:
        raise Mischief

    target.live.watch(lambda: told.append("first"))
    target.live.watch(bad)
    target.live.watch(lambda: told.append("last"))
    target.live.changed()
    assert told == ["first", "last"]
    assert target.listing.faults.outputs["watcher"] == 1


def test_a_journal_that_raises_costs_the_stream_nothing() -> None:
    target = segmenter()

    def finished(_msn: int) -> None:
        raise Mischief

    target.listing._finished = finished
    feed(target, [unit for unit in FILM if unit.dts < 10 * TICKS])
    assert len(target.window.segments) >= 4
    assert target.listing.faults.outputs["journal"] == len(target.window.segments)


def test_an_output_that_stays_off_has_no_playlist_and_goes_on_with_the_run_when_it_is_told_tracks() -> None:
    target = run(20.0, low_latency=True)
    live, last = target.live, target.window.last_msn
    assert live.lateness(last + 1, 0) is Lateness.WAIT
    target.reset()
    target.halt()
    assert live.playlist() is None
    assert live.multivariant("x") is None
    assert live.target_duration == 0, "who comes waits for a playlist, and opens no session"
    assert live.lateness(last + 1, 0) is Lateness.READY, "who is held is answered now: 503"
    assert not live.expects(RUN, target.window.hint.rpartition("/")[2])
    assert live.media(RUN, target.window.segments[-1].uri.rpartition("/")[2]) is not None, "what is loaded plays on"
    target.tracks(BOTH)
    target.jump()
    feed(target, [unit for unit in FILM if 20 * TICKS <= unit.dts < 28 * TICKS], None)
    playlist = text(live)
    assert check_playlist(playlist) == []
    assert "#EXT-X-DISCONTINUITY\n" in playlist
    assert target.window.last_msn > last


def test_the_end_of_a_stream_is_told_though_its_output_was_off() -> None:
    target = run(20.0)
    target.reset()
    target.halt()
    target.end()
    assert "#EXT-X-ENDLIST" in text(target.live)
