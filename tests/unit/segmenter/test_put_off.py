"""What nobody watches is kept, not muxed; and nobody who comes can tell."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest

from hlsd.media.unit import Kind
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from tests.support.flvmedia import make_flv
from tests.support.units import units_of

Codec = Literal["h264", "h265"]
SETTINGS = HlsSettings(list=3, time=1)
"""Segments no longer than the first one is for who waits: that hurry is another matter."""


def run(codec: Codec, seconds: float, asked_after: float | None) -> Segmenter:
    """A stream of which the playlist is asked for at every unit from `asked_after` seconds on (None: never)."""
    tracks, units = units_of(make_flv(codec, seconds=seconds, gop=15, size=(96, 64)))
    segmenter = Segmenter(Run("r", SETTINGS, first_msn=1))
    segmenter.tracks(tracks)
    for unit in units:
        segmenter.unit(unit)
        if asked_after is not None and unit.dts >= asked_after * 90_000:
            segmenter.live.playlist()
    return segmenter


def bodies(segmenter: Segmenter) -> list[bytes | None]:
    """Every finished segment that can be asked for, after somebody has asked."""
    segmenter.live.playlist()
    window = segmenter.window
    return [segment.body for segment in (*window.removed, *window.segments)]


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_late_viewer_gets_the_bytes_that_an_early_one_got(codec: Codec) -> None:
    # Nothing has left the window yet, so that not even a counter may differ (LL12).
    early, late = run(codec, 7, 0), run(codec, 7, None)
    assert late.window.segments[0].parts[0].body is None, "nothing was written for nobody"
    assert bodies(late) == bodies(early)
    assert late.window.bytes == early.window.bytes


@pytest.mark.thorough
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_what_left_the_window_unseen_leaves_no_hole_in_what_is_seen(codec: Codec) -> None:
    # TS04 and FM04 hold for what is served: sizes of all segments agree with those of a stream that was always watched.
    early, late = run(codec, 30, 0), run(codec, 30, 27)
    assert late.window.media_sequence == early.window.media_sequence > 1
    watched, unwatched = bodies(early), bodies(late)
    assert [len(body or b"") for body in unwatched] == [len(body or b"") for body in watched]
    if codec == "h265":  # decode times are absolute; only the sequence numbers of unseen fragments are missing
        times = [(body or b"").partition(b"tfdt")[2][:12] for body in watched]
        assert [(body or b"").partition(b"tfdt")[2][:12] for body in unwatched] == times


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_viewer_who_waits_for_the_first_playlist_breaks_no_order(codec: Codec) -> None:
    # He has asked for nothing that could be answered, and yet the parts from here on are written for him.
    tracks, units = units_of(make_flv(codec, seconds=7, gop=15, size=(96, 64)))
    segmenter = Segmenter(Run("r", SETTINGS, first_msn=1))
    segmenter.tracks(tracks)
    for unit in units:
        segmenter.unit(unit)
        if unit.dts >= 45_000 and not segmenter.live.watched:
            assert segmenter.listing.put_off
            segmenter.live.watch(lambda: None)
    assert segmenter.live.watched
    assert bodies(segmenter) == bodies(run(codec, 7, 0))


@pytest.mark.thorough
def test_what_is_put_off_is_bounded_by_the_window() -> None:
    # A camera that nobody watches for a year.
    segmenter = run("h264", 40, None)
    window = segmenter.window
    held = sum(len(segment.parts) for segment in (*window.removed, *window.segments))
    held += len(window.open.parts) if window.open is not None else 0
    assert len(segmenter.listing.put_off) == held
    assert bodies(segmenter)
    assert not segmenter.listing.put_off


@pytest.mark.thorough
def test_a_stream_that_is_left_is_put_off_again_and_taken_up_again() -> None:
    # The viewer of the night shift: the middle of the stream was written for nobody.
    tracks, units = units_of(make_flv("h264", seconds=30, gop=15, size=(96, 64)))
    segmenter = Segmenter(Run("r", SETTINGS, first_msn=1))
    segmenter.tracks(tracks)
    put_off = []
    for unit in units:
        segmenter.unit(unit)
        if not 6 * 90_000 <= unit.dts < 24 * 90_000:
            segmenter.live.playlist()
        put_off.append(bool(segmenter.listing.put_off))
    changes = [after for before, after in itertools.pairwise(put_off) if before != after]
    assert changes == [True, False, True, False], "before the first playlist, and in the night"
    assert all(bodies(segmenter))


@pytest.mark.thorough
def test_what_is_denser_than_any_camera_is_written_as_it_comes() -> None:
    """Else who asks first would have everybody wait while a hundred thousand crumbs are muxed."""
    tracks, units = units_of(make_flv("h264", seconds=8, gop=15, size=(96, 64)))
    segmenter = Segmenter(Run("r", SETTINGS, first_msn=1))
    segmenter.tracks(tracks)
    for unit in units:
        segmenter.unit(unit)
        if unit.kind is Kind.AUDIO and 6 * 90_000 < unit.dts < 7 * 90_000:
            for step in range(1, 40):
                segmenter.unit(unit._replace(dts=unit.dts + step, pts=unit.dts + step))
    bodies_now = [part.body is None for segment in segmenter.window.segments for part in segment.parts]
    assert not all(bodies_now)
