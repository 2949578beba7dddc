"""Is the tape of a stream: the segments of all its recordings in a row, each with a number that is its own for ever.

Law: a segment is a span of a recording's file as `hlsd.record.segments` cuts it, and has the same address there; no
second copy, no second cut. Numbers run on over files without a hole, in the order of time: what stands in two files at
once (a rule and the API may record one stream) is on the tape once, as the one that began first has it. A file that is
deleted takes its numbers with it. Walls are seconds of the epoch; they never fall along the tape. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.record.segments import FIRST, SegmentSpan

_PACKED: Final = struct.Struct(">QIIB")
_TAG, _KEY = 1, 2
OVERLAP: Final = 0.5
"""Seconds by which a segment may begin before the file before it has ended."""
LAST_MS: Final = 250_000_000_000_000
"""Whatever a damaged file says, nothing is later: the year 9892, which still has a date."""
LONGEST: Final = 3600 * TICKS
"""Likewise of a segment."""
PACE: Final = 3
"""Seconds for each number that a new tape begins behind: segments last twice as long, so that numbers rise even where
what was counted has been forgotten."""


class TapeSegment(NamedTuple):
    """One segment: when it began (ms of the epoch), ticks, bytes; whether it does not continue the one before it."""

    began_ms: int
    ticks: int
    size: int
    tag: bool
    key: bool

    @property
    def ended_ms(self) -> int:
        """When it ended."""
        return self.began_ms + self.ticks * 1000 // TICKS


class TapeFacts(NamedTuple):
    """What a player must know of a file before it plays it."""

    codecs: str = ""
    width: int = 0
    height: int = 0
    rate: float = 0.0
    """Pictures in a second."""


class TapeEnd(NamedTuple):
    """Where a tape ends: the next number, the tags that stand on it, when its last segment ended (ms of the epoch)."""

    number: int
    tags: int
    ended_ms: int


class SegmentClock:
    """Dates the segments of a file that began at `started`: the first, and each behind a seam, has its own clock."""

    def __init__(self, started: float) -> None:
        self.count = 0
        """Segments so far."""
        self._anchor_ms, self._anchor = round(started * 1000), 0
        self._last: TapeSegment | None = None

    def take(self, found: Iterable[SegmentSpan]) -> list[TapeSegment]:
        """What follows those that it had."""
        made: list[TapeSegment] = []
        last = self._last
        for one in found:
            if last is None or one.seam:
                told = min(round(one.wall * 1000), LAST_MS) if one.wall is not None else self._anchor_ms
                self._anchor_ms, self._anchor = max(told, last.ended_ms if last is not None else 0), one.start
            at = self._anchor_ms + (one.start - self._anchor) * 1000 // TICKS
            at = min(max(at, last.began_ms if last is not None else 0), LAST_MS)
            last = TapeSegment(at, min(one.end - one.start, LONGEST), one.size, one.seam or last is None, one.key)
            made.append(last)
        self.count, self._last = self.count + len(made), last
        return made


def segments_of(found: Iterable[SegmentSpan], started: float) -> list[TapeSegment]:
    """The segments of a file that began at `started`."""
    return SegmentClock(started).take(found)


def skipped(segments: Sequence[TapeSegment], ended_ms: int) -> int:
    """How many of them are on the tape already, which has come to `ended_ms`."""
    bound = ended_ms - OVERLAP * 1000
    return next((number for number, one in enumerate(segments) if one.began_ms >= bound), len(segments))


def pack(segments: Iterable[TapeSegment]) -> bytes:
    """As they are stored: 17 bytes each."""
    return b"".join(
        _PACKED.pack(one.began_ms, one.ticks, min(one.size, 0xFFFF_FFFF), _TAG * one.tag | _KEY * one.key)
        for one in segments
    )


def unpack(octets: bytes) -> list[TapeSegment]:
    """What `pack` made."""
    whole = len(octets) - len(octets) % _PACKED.size
    return [
        TapeSegment(began, ticks, size, bool(flags & _TAG), bool(flags & _KEY))
        for began, ticks, size, flags in _PACKED.iter_unpack(octets[:whole])
    ]


def first_number(started: float) -> int:
    """What the first segment of a new tape is called."""
    return int(max(0.0, started)) // PACE + 1


class TapeFile:
    """One recording on the tape. Segments are counted from 0; `first` is the number of the first one on the tape.

    `tags`: how many EXT-X-DISCONTINUITY stand before it on the tape. `skip`: segments of the file that are not on it.
    While the file is written it grows by `restore`; what is there stays.
    """

    def __init__(  # noqa: PLR0913 - a row of the table
        self, ident: str, *, first: int, tags: int, skip: int, facts: TapeFacts, began_ms: int
    ) -> None:
        self.id = ident
        self.first = first
        self.tags = tags
        self.skip = skip
        self.facts = facts
        self.segments: list[TapeSegment] = []
        self.tagged: list[int] = []
        """For each segment, how many tags stand up to it, its own included, from the tape's beginning on."""
        self.longest = 0
        """Of its segments, in seconds as EXT-X-TARGETDURATION counts them."""
        self._texts: dict[int, str] = {}  # threads fill it too
        self._began_ms = began_ms

    def restore(self, segments: Iterable[TapeSegment]) -> None:
        """More of it: what follows on the tape."""
        for each in segments:
            one = each if self.segments or each.tag else each._replace(tag=True)
            self.segments.append(one)
            self.tagged.append(self.next_tags + one.tag)
            self.longest = max(self.longest, int(one.ticks / TICKS + 0.5))

    @property
    def next(self) -> int:
        """The number behind its last segment."""
        return self.first + len(self.segments)

    @property
    def next_tags(self) -> int:
        """How many tags stand before what follows it."""
        return self.tagged[-1] if self.tagged else self.tags

    @property
    def began_ms(self) -> int:
        """When its first segment on the tape began."""
        return self.segments[0].began_ms if self.segments else self._began_ms

    @property
    def ended_ms(self) -> int:
        """When its last segment ended."""
        return self.segments[-1].ended_ms if self.segments else self._began_ms

    def init(self) -> str:
        """The EXT-X-MAP of all its segments."""
        return f'#EXT-X-MAP:URI="../r/{self.id}/i.mp4"\n'

    def name(self, number: int) -> str:
        """The address of a segment, from where playlists are."""
        return f"../r/{self.id}/s{FIRST + self.skip + number}.m4s"

    def text(self, number: int) -> str:
        """How a segment is listed, made once."""
        text = self._texts.get(number)
        if text is None:
            one = self.segments[number]
            head = "#EXT-X-DISCONTINUITY\n" * one.tag + (self.init() if not number else "")
            text = self._texts[number] = head + listed(one.began_ms, one.ticks, self.name(number))
        return text


def placed(ident: str, end: TapeEnd, facts: TapeFacts, segments: Sequence[TapeSegment]) -> TapeFile | None:
    """A file behind the end of a tape, with all that it has; None while all of that is on the tape already."""
    skip = skipped(segments, end.ended_ms)
    if skip >= len(segments):
        return None
    began = segments[skip].began_ms
    file = TapeFile(ident, first=end.number, tags=end.tags, skip=skip, facts=facts, began_ms=began)
    file.restore(segments[skip:])
    return file


class TapeTail:
    """The file that is being written behind the end of a tape; each segment of it is taken up once."""

    def __init__(self, ident: str, started: float, end: TapeEnd, facts: TapeFacts) -> None:
        self.id = ident
        self.grown: TapeFile | None = None
        """What there is of it; None while all of that is on the tape already."""
        self._clock = SegmentClock(started)
        self._end = end
        self._facts = facts

    @property
    def count(self) -> int:
        """Segments of the file that it has seen."""
        return self._clock.count

    def grow(self, found: Sequence[SegmentSpan]) -> None:
        """The segments of the file from its first on."""
        before = self._clock.count
        fresh = self._clock.take(found[before:])
        if self.grown is None:
            skip = skipped(fresh, self._end.ended_ms)
            if skip >= len(fresh):
                return
            end, fresh = self._end, fresh[skip:]
            began = fresh[0].began_ms
            self.grown = TapeFile(
                self.id, first=end.number, tags=end.tags, skip=before + skip, facts=self._facts, began_ms=began
            )
        self.grown.restore(fresh)


def listed(began_ms: int, ticks: int, uri: str, *, gap: bool = False) -> str:
    """A segment's own lines."""
    at = datetime.fromtimestamp(began_ms / 1000, UTC)
    date = f"{at:%Y-%m-%dT%H:%M:%S}.{began_ms % 1000:03d}Z"
    hole = "#EXT-X-GAP\n" if gap else ""
    return f"#EXT-X-PROGRAM-DATE-TIME:{date}\n{hole}#EXTINF:{ticks / TICKS:.5f},\n{uri}\n"


class TapeStretch(NamedTuple):
    """Segments `low` up to `high` of one file."""

    source: TapeFile
    low: int
    high: int


def stretches(files: Iterable[TapeFile], low: int, high: int) -> Iterator[TapeStretch]:
    """The stretches of the tape from the number `low` up to `high`."""
    for file in files:
        begin, end = max(0, low - file.first), min(len(file.segments), high - file.first)
        if begin < end:
            yield TapeStretch(file, begin, end)


def spoken(files: Sequence[TapeFile], since_ms: int, until_ms: int) -> list[list[int]]:
    """The times between two of which there is something on the tape: pairs of ms, with what is nearly one joined."""
    found: list[list[int]] = []
    for file in files:
        for one in file.segments:
            if one.ended_ms <= since_ms or one.began_ms >= until_ms:
                continue
            if found and one.began_ms - found[-1][1] < 2000:
                found[-1][1] = max(found[-1][1], one.ended_ms)
            else:
                found.append([max(one.began_ms, since_ms), one.ended_ms])
    return found
