"""Date ranges in live playlists: where they stand, how long, and that a playlist is only appended to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hlsd.media.date_range import TAG, DateRange
from hlsd.media.unit import TICKS
from hlsd.segmenter.listed_ranges import MOST, MOST_BYTES, ListedRanges
from tests.support.frames import BOTH, WALL, audio, interleaved, video
from tests.support.runs import feed, segmenter, text

UNITS = interleaved(video(25, 60, 2.0), audio(60))


def told(ident: str, at: float, **more: object) -> DateRange:
    """A break that begins so many seconds into the stream."""
    return DateRange(ident, WALL + at, splice="SCTE35-OUT", section=b"\xfc", **more)  # type: ignore[arg-type]


def ids(playlist: str) -> list[str]:
    """Of the ranges in it."""
    return [line.split('"')[1] for line in playlist.splitlines() if line.startswith(TAG)]


@pytest.mark.parametrize("low_latency", [True, False])
def test_a_range_is_appended_and_stays_while_its_time_is_in_the_window(low_latency: bool) -> None:
    """rfc8216bis §6.2.1: lines are appended at the end and removed at the head, and none comes between others."""
    target = segmenter(low_latency=low_latency, list=4)
    target.tracks(BOTH)
    seen: list[str] = []
    told_at, gone_at = 0.0, 0.0
    for unit in UNITS:
        target.unit(unit)
        seconds = unit.dts / TICKS
        if unit.kind == 0 and seconds == 20.52:
            target.date_range(told("ad", seconds, planned=6.0))
            assert ids(text(target.live)) == ["ad"], "at once"
            told_at = seconds
        rendering = target.live.playlist()
        if rendering is None or not told_at:
            continue
        playlist = rendering.body.decode()
        if seen and playlist != seen[-1]:
            _is_appended(seen[-1], playlist)
        if not seen or playlist != seen[-1]:
            seen.append(playlist)
        if not gone_at and not ids(playlist):
            gone_at = seconds
    first = target.window.segments[0].date - WALL
    assert first > 26.52
    # It ends at 26.52; the first segment that begins behind that is the fourteenth, at 28 s.
    assert gone_at == pytest.approx(36.0, abs=2.2)


def _is_appended(before: str, after: str) -> None:
    """What of `before` is still there is in `after` in the same order, with nothing new amid it."""
    # Of numbers and hints it is said that they change; lengths are not told apart.
    gone = ("#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PRELOAD-HINT", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXTINF")
    old = [line for line in before.splitlines() if not line.startswith(gone)]
    new = [line for line in after.splitlines() if not line.startswith(gone)]
    kept = [line for line in new if line in old]
    assert kept == [line for line in old if line in new]
    last = max(new.index(line) for line in kept)
    assert all(line in old for line in new[: last + 1]), "nothing comes between"


def test_a_delta_update_has_every_range() -> None:
    target = segmenter(list=30)
    feed(target, UNITS[: len(UNITS) // 3])
    target.date_range(told("early", 20, planned=60))
    feed(target, UNITS[len(UNITS) // 3 :], None)
    target.date_range(told("late", 60, planned=60))
    delta = text(target.live, skip=True)
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=" in delta
    assert ids(delta) == ids(text(target.live)) == ["early", "late"]
    assert "RECENTLY-REMOVED-DATERANGES" not in delta
    assert "CAN-SKIP-DATERANGES" not in delta


def test_a_break_that_nobody_ended_stays_and_one_that_ended_goes_with_its_end() -> None:
    ranges = ListedRanges()
    ranges.add(told("open", 0), 2)
    ranges.add(told("planned", 0, planned=10), 2)
    ranges.add(told("longer", 0, planned=10), 2)
    ranges.add(DateRange("longer", WALL, duration=30, splice="SCTE35-IN", section=b"\xfc"), 3)
    ranges.add(told("shorter", 0, planned=50), 2)
    ranges.add(DateRange("shorter", WALL, duration=5, splice="SCTE35-IN", section=b"\xfc"), 3)
    ranges.expire(WALL + 11)
    assert [line.split('"')[1] for line in ranges.tail(0)] == ["open", "longer", "longer"]
    ranges.expire(WALL + 31)
    assert [line.split('"')[1] for line in ranges.tail(0)] == ["open"]


def test_ranges_are_bounded() -> None:
    ranges = ListedRanges()
    for number in range(3 * MOST):
        ranges.add(told(f"ad{number}", 0), 2)
    assert len(ranges) == MOST
    assert ranges.tail(0)[-1].startswith(f'{TAG}ID="ad{3 * MOST - 1}"')
    long = DateRange("long", 0.0, attributes={"X-WORDS": "w" * (MOST_BYTES // 4)})
    for number in range(9):
        ranges.add(replace(long, id=f"long{number}"), 2)
    lines = ranges.tail(0)
    assert len(lines) == 3
    assert sum(map(len, lines)) <= MOST_BYTES
    ranges.add(replace(long, attributes={"X-WORDS": "w" * 2 * MOST_BYTES}), 2)
    assert len(ranges) == 1, "the newest is told whatever its size"


def test_an_ended_playlist_keeps_them() -> None:
    target = segmenter()
    feed(target, UNITS[:600])
    target.date_range(told("ad", 8, planned=30))
    target.end()
    playlist = text(target.live)
    assert ids(playlist) == ["ad"]
    assert playlist.endswith("#EXT-X-ENDLIST\n")
