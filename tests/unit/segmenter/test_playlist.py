"""The text of playlists: hls-rules §§1 to 4 against golden files, which the m3u8 library reads as well.

`GOLDEN=write pytest …` writes them anew; then read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import m3u8
import pytest

from hlsd.media.unit import Aside, Colour, Tracks
from hlsd.segmenter.facts import LowLatency, Rates, TrackFacts
from hlsd.segmenter.playlist import (
    RenditionReport,
    Variant,
    low_latency_for,
    media_playlist,
    multivariant_playlist,
)
from hlsd.segmenter.window import Window
from tests.support.frames import AUDIO, BOTH, VIDEO
from tests.support.playlistcheck import check_playlist, parse_media
from tests.support.runs import begin, fill

GOLDEN = Path(__file__).parents[2] / "golden"
VARIANTS = {"multivariant-renditions": 3}
"""Of the texts that have more than one."""
SOUND_ALONE = ("multivariant-audio", "multivariant-renditions")
"""Variants without a picture have no size, and need none."""
PROMISE = low_latency_for(0.5, 1 / 30, 2)


def _window(extension: str = ".ts", *, listed: int = 6) -> Window:
    window = Window("1k2m3", 1000, extension, listed=listed, max_bytes=10**9)
    window.target_duration = 2
    return window


def _ts_plain() -> str:
    window = _window()
    fill(window, 9)
    return media_playlist(window, 6, None)


def _fmp4_plain() -> str:
    window = _window(".m4s")
    init = window.add_init("i0.mp4", b"x")
    for _ in range(4):
        begin(window, init=init)
        window.append(b"x", 180_180, independent=True)
        window.finish()
    return media_playlist(window, 7, None)


def _low_latency() -> Window:
    window = _window()
    fill(window, 9)
    begin(window)
    window.append(b"x", 45_000, independent=True)
    window.append(b"", 44_999, independent=False)
    return window


def _ts_low_latency() -> str:
    return media_playlist(_low_latency(), 6, PROMISE)


def _ended() -> str:
    window = _low_latency()
    window.finish()
    window.ended = True
    return media_playlist(window, 6, PROMISE)


def _discontinuity() -> str:
    window = _window(".m4s")
    first = window.add_init("i0.mp4", b"x")
    for _ in range(3):
        begin(window, init=first)
        for index in range(4):
            window.append(b"x", 45_000, independent=index == 0)
        window.finish()
    second = window.add_init("i1.mp4", b"y")
    begin(window, discontinuity=True, init=second)
    window.append(b"x", 45_000, independent=True)
    return media_playlist(window, 7, PROMISE)


def _delta() -> str:
    window = _window(listed=12)
    fill(window, 12)
    begin(window)
    window.append(b"x", 45_000, independent=True)
    return media_playlist(window, 6, PROMISE, skip=True)


def _gap() -> str:
    window = _window()
    fill(window, 3)
    begin(window)
    window.append(b"", 180_000, independent=False)
    window.finish()
    return media_playlist(window, 6, None)


def _multivariant() -> str:
    rates = Rates(3_600_000, 2_900_000, 30000 / 1001)
    variant = Variant("stream/~sid/main/index.m3u8", TrackFacts.of(BOTH), rates)
    return multivariant_playlist([variant], version=6, independent=True)


def _multivariant_renditions() -> str:
    small = replace(VIDEO, width=160, height=90, codec_string="avc1.64000b")
    variants = [
        Variant("a/~s/main/index.m3u8", TrackFacts.of(BOTH), Rates(3_600_000, 2_900_000, 30.0)),
        Variant("a/~s/90p/index.m3u8", TrackFacts.of(Tracks(small, AUDIO)), Rates(460_000, 330_000, 15.0)),
        Variant("a/~s/audio/index.m3u8", TrackFacts.of(Tracks(None, AUDIO)), Rates(160_000, 130_000, 46.875)),
    ]
    return multivariant_playlist(variants, version=9, independent=True)


def _reports() -> str:
    window = _window()
    fill(window, 3)
    begin(window)
    window.append(b"x", 45_000, independent=True)
    reports = [RenditionReport("../90p/index.m3u8", 1003, 0), RenditionReport("../audio/index.m3u8", 1002, -1)]
    return media_playlist(window, 6, PROMISE, reports=reports)


def _multivariant_audio() -> str:
    rates = Rates(160_000, 130_000, 46.875)
    variant = Variant("a/~s/main/index.m3u8", TrackFacts.of(Tracks(None, AUDIO)), rates)
    return multivariant_playlist([variant], version=6, independent=True)


TEXTS: dict[str, Callable[[], str]] = {
    "ts-plain": _ts_plain,
    "fmp4-plain": _fmp4_plain,
    "ts-low-latency": _ts_low_latency,
    "ended": _ended,
    "fmp4-discontinuity": _discontinuity,
    "delta": _delta,
    "gap": _gap,
    "multivariant": _multivariant,
    "multivariant-audio": _multivariant_audio,
    "multivariant-renditions": _multivariant_renditions,
    "rendition-reports": _reports,
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_as_it_was_approved(name: str) -> None:
    """A change of a playlist's text is seen by a human before players see it."""
    path, now = GOLDEN / f"{name}.m3u8", TEXTS[name]()
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(now.encode())
    assert now == path.read_bytes().decode()


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "delta"])
def test_text_breaks_no_rule(name: str) -> None:
    """P01-P06, MP*, MV*: the strict judge, without a library's leniency."""
    broken = [
        one
        for one in check_playlist(TEXTS[name](), variants=VARIANTS.get(name, 1))
        if not (name in SOUND_ALONE and one.rule == "MV04")
    ]
    assert broken == []


@pytest.mark.parametrize("name", TEXTS)
def test_the_m3u8_library_reads_it(name: str) -> None:
    """Somebody else's parser finds what we meant."""
    now = TEXTS[name]()
    read = m3u8.loads(now)
    assert read.is_variant == name.startswith("multivariant")
    assert read.is_endlist == (name == "ended")
    if read.is_variant:
        assert read.playlists[0].stream_info.bandwidth > read.playlists[0].stream_info.average_bandwidth
        return
    listed = [segment for segment in read.segments if segment.uri]
    assert read.target_duration == 2
    assert read.media_sequence >= 1000
    if name != "delta":
        assert [segment.uri for segment in listed] == [segment.uri for segment in parse_media(now).segments]
    assert all(segment.program_date_time is not None for segment in listed)
    if name == "ts-low-latency":
        assert read.part_inf.part_target == PROMISE.part_target
        assert read.server_control.can_block_reload == "YES"
        assert read.preload_hint is not None
        assert sum(len(segment.parts) for segment in read.segments) == 3 * 4 + 2
    if name == "delta":
        assert read.skip.skipped_segments == 5


def test_parts_leave_the_list_three_target_durations_from_the_end() -> None:
    """LL18: and no sooner."""
    window = _low_latency()
    lines = media_playlist(window, 6, PROMISE).splitlines()
    with_parts = {line.split('"')[1] for line in lines if line.startswith("#EXT-X-PART:")}
    for segment, behind in window.tail():
        listed = {part.uri for part in segment.parts} <= with_parts
        assert listed == (behind <= 6.0)


def test_part_durations_are_rounded_down_and_the_target_up() -> None:
    """LL08: 0.3336666 prints as 0.33366, below any PART-TARGET it may meet."""
    window = _window()
    begin(window)
    window.append(b"x", 30_029, independent=True)
    assert 'DURATION=0.33365,URI="' in media_playlist(window, 6, PROMISE)


def test_parts_of_a_segment_add_up_to_its_extinf() -> None:
    """LL10: to the last printed digit but for the rounding of each."""
    window = _window()
    begin(window)
    for ticks in (30_029, 30_030, 30_031, 30_029, 30_030, 30_031):
        window.append(b"x", ticks, independent=False)
    window.finish()
    lines = media_playlist(window, 6, PROMISE).splitlines()
    parts = [float(line.split("DURATION=")[1].split(",")[0]) for line in lines if line.startswith("#EXT-X-PART:")]
    extinf = next(float(line[8:-1]) for line in lines if line.startswith("#EXTINF"))
    assert abs(sum(parts) - extinf) <= len(parts) * 1e-5


@pytest.mark.parametrize("fps", [5, 12, 15, 24, 25, 30000 / 1001, 30, 48, 50, 60, 120])
@pytest.mark.parametrize("part", [0.1, 0.2, 0.334, 0.5, 1.0, 2.0])
def test_the_part_target_holds_a_whole_number_of_frames(fps: float, part: float) -> None:
    """LL03, LL04, LL06, LL08, LL09: what floor(PT/f) frames last, and PART-HOLD-BACK behind it."""
    promise = low_latency_for(part, 1 / fps, 2)
    frames = int(promise.part_target * fps + 1e-6)
    assert frames >= 1
    assert frames / fps >= 0.85 * promise.part_target
    assert frames / fps <= promise.part_target <= max(part, 1 / fps) + 0.002
    assert promise.part_hold_back >= 3 * promise.part_target
    assert promise.can_skip_until >= 12


@pytest.mark.parametrize("frame", [0.0, 1.5, 5.0, 60.0])
def test_a_slide_show_does_not_stretch_the_part_target(frame: float) -> None:
    """TL06: a picture of 5 s with sound would else put every viewer 15 s behind."""
    promise = low_latency_for(0.334, frame, 2)
    assert promise.part_target == 0.335
    assert promise.part_hold_back == 1.006


def test_nothing_is_skipped_where_nothing_is_old_enough() -> None:
    """DD10: "n = 0: full playlist, no SKIP tag"."""
    window = _low_latency()
    assert media_playlist(window, 6, PROMISE, skip=True) == media_playlist(window, 6, PROMISE)


def test_nothing_is_skipped_behind_endlist() -> None:
    """EN01: "playlist frozen, directives ignored"."""
    window = _window(listed=20)
    fill(window, 20)
    window.ended = True
    assert "#EXT-X-SKIP" not in media_playlist(window, 6, PROMISE, skip=True)


def test_decimals_are_plain() -> None:
    """P03: "never 1e-3"."""
    text = media_playlist(_low_latency(), 6, LowLatency(0.00001, 100000.0, 3.0))
    assert "PART-TARGET=0.00001" in text
    assert "PART-HOLD-BACK=100000," in text


def test_audio_only_claims_no_picture() -> None:
    """MV13."""
    text = _multivariant_audio()
    assert "RESOLUTION" not in text
    assert "FRAME-RATE" not in text
    assert 'CODECS="mp4a.40.2"' in text
    assert "avc1" in multivariant_playlist(
        [Variant("v", TrackFacts.of(Tracks(VIDEO)), Rates(1, 1, 0.0))], version=6, independent=False
    )


@pytest.mark.parametrize(
    ("transfer", "preferred", "said"),
    [(1, 0, ""), (2, 0, ""), (14, 0, ""), (16, 0, "PQ"), (18, 0, "HLG"), (14, 18, "HLG")],
)
def test_what_is_not_sdr_says_its_range(transfer: int, preferred: int, said: str) -> None:
    """HE05: by the code point of the transfer characteristics; without the attribute a picture is SDR."""
    track = replace(VIDEO, colour=Colour(9, transfer, 9), aside=Aside(transfer=preferred))
    text = multivariant_playlist(
        [Variant("v", TrackFacts.of(Tracks(track)), Rates(1, 1, 25.0))], version=6, independent=False
    )
    assert (f",VIDEO-RANGE={said}\n" in text) if said else ("VIDEO-RANGE" not in text)
