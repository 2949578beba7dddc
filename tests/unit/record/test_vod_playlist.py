"""The playlist of a recording that grows: what it says is what it would say if it were written whole each time."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from random import Random

import pytest

from hlsd.media.date_range import date_of
from hlsd.media.unit import TICKS
from hlsd.ports import Rendering
from hlsd.record.fragments import Fragment, Fragments, Mark
from hlsd.record.segments import FIRST, LARGEST, LONGEST, SHORTEST, Segments, SegmentSpan, spans
from hlsd.record.vod_playlist import BLOCK, VodPlaylist
from tests.support.seeds import rng


def drawn(random: Random, count: int) -> list[Fragment]:
    """The fragments of a file with seams, date ranges, large and long ones, one behind the other."""
    found: list[Fragment] = []
    offset, start = 1000, 0
    for number in range(count):
        length = random.choice([TICKS, TICKS // 2, TICKS * 3, TICKS * 9])
        size = random.choice([1000, 400_000, LARGEST // 3])
        mark = Mark(1.7e9 + number, seam=random.random() < 0.3) if random.random() < 0.1 else None
        ranges = (f'#EXT-X-DATERANGE:ID="{number}"',) if random.random() < 0.05 else ()
        hole = TICKS if mark is not None and mark.seam else 0
        key = random.random() < 0.5 or not number
        found.append(Fragment(offset, size, start + hole, start + hole + length, key, mark, ranges))
        offset, start = offset + size, start + hole + length
    return found


def cut(fragments: Sequence[Fragment], *, whole: bool) -> list[SegmentSpan]:
    """The segments of a file as they are said to be, one after the other."""
    found: list[SegmentSpan] = []
    run: list[Fragment] = []

    def close(until: int | None) -> None:
        first, last = run[0], run[-1]
        mark, end = first.mark, last.end if until is None else until
        size = last.offset + last.size - first.offset
        told = tuple(line for one in run for line in one.ranges)
        seam, wall = mark is not None and mark.seam, mark.wall if mark is not None else None
        found.append(SegmentSpan(first.offset, size, first.start, end, seam, wall, first.key, told))
        run.clear()

    for one in fragments:
        seam = one.mark is not None and one.mark.seam
        large = sum(each.size for each in run) >= LARGEST
        if run and (
            seam or large or (one.key and one.start - run[0].start >= SHORTEST) or one.end - run[0].start > LONGEST
        ):
            close(None if seam else one.start)
        run.append(one)
    if run and whole:
        close(None)
    return found


def written(found: Sequence[SegmentSpan], *, whole: bool) -> str:
    """The whole playlist."""
    target = max([10, *[int((one.end - one.start) / TICKS + 0.5) for one in found]])
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target}"]
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{FIRST}", "#EXT-X-DISCONTINUITY-SEQUENCE:0"]
    lines.append(f"#EXT-X-PLAYLIST-TYPE:{'VOD' if whole else 'EVENT'}")
    if found and all(one.key for one in found):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    lines.append('#EXT-X-MAP:URI="abc/i.mp4"')
    for number, one in enumerate(found):
        lines += one.ranges
        if one.seam and number:
            lines.append("#EXT-X-DISCONTINUITY")
        if one.wall is not None and (one.seam or not number):
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_of(one.wall)}")
        lines += [f"#EXTINF:{(one.end - one.start) / TICKS:.5f},", f"abc/s{FIRST + number}.m4s"]
    return "\n".join([*lines, *["#EXT-X-ENDLIST"] * whole]) + "\n"


@pytest.mark.parametrize("seed", range(10))
def test_what_grows_says_what_it_would_say_if_it_were_written_whole(seed: int) -> None:
    random = rng(str(seed))
    given = drawn(random, random.choice([0, 1, 5, 400]))
    fragments = Fragments()
    segments, text = Segments(fragments), VodPlaylist("abc")
    at = 0
    while at < len(given):
        step = random.choice([1, 1, 2, 50])
        for one in given[at : at + step]:
            fragments.append(one)
        at += step
        segments.grow(whole=False)
        known = cut(given[:at], whole=False)
        assert list(segments) == known
        text.grow(segments)
        said, packed = text.render(whole=False)
        assert said.decode() == written(known, whole=False)
        assert gzip.decompress(packed) == said
    assert list(spans(given, whole=True)) == cut(given, whole=True)
    assert spans(given, whole=True)[1:3] == cut(given, whole=True)[1:3]


def steady(count: int) -> list[SegmentSpan]:
    return [
        SegmentSpan(100 * at, 100, 6 * TICKS * at, 6 * TICKS * (at + 1), seam=False, wall=None, key=True)
        for at in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_it_is_the_same_in_however_many_blocks_it_is_compressed(count: int) -> None:
    found = steady(count)
    at_once, one_by_one = VodPlaylist("abc"), VodPlaylist("abc")
    assert at_once.grow(found) == (count > 0)
    for number in range(count):
        one_by_one.grow(found[: number + 1])
    for whole in (False, True):
        results = [one.render(whole=whole) for one in (at_once, one_by_one)]
        assert results[0] == results[1]
        text, packed = results[0]
        assert text.decode() == written(found, whole=whole)
        assert gzip.decompress(packed) == text
        assert packed[4:8] == bytes(4), "no time: the same playlist is the same bytes"


def test_blocks_cost_little_and_what_was_said_stays_as_it_was() -> None:
    text = VodPlaylist("0123456789abcdef")
    found = steady(14_400)
    text.grow(found)
    day, packed = text.render(whole=True)
    assert len(packed) < 1.25 * len(gzip.compress(day, 1))
    kept = Rendering(*text.render(whole=False), "")
    text.grow([*found, *steady(1)])
    assert gzip.decompress(kept.gzip) == kept.body, "whoever holds it goes on to read that instant"


@pytest.mark.parametrize("gop", [0.5, 2.0, 4.166, 8.333, 10.0, 13.0])
def test_the_target_duration_stays_while_it_grows(gop: float) -> None:
    """RFC 8216 §6.2.1: it "MUST NOT change". It rose with the longest segment there was."""
    fragments = Fragments()
    segments, text = Segments(fragments), VodPlaylist("abc")
    ticks, targets = round(TICKS / 24 * 25), set()
    for number in range(120):
        begin, key = number * ticks, int(number * ticks / TICKS / gop) != int((number - 1) * ticks / TICKS / gop)
        seam = Mark(1.7e9 + number, seam=True) if number == 2 else None
        fragments.append(Fragment(1000 + number, 1, begin, begin + ticks, key or seam is not None, seam))
        segments.grow(whole=False)
        text.grow(segments)
        targets.add(text.render(whole=False)[0].split(b"\n")[2])
    assert targets == {b"#EXT-X-TARGETDURATION:10"}
    assert len(segments) > 9
