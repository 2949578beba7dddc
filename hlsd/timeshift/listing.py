"""Says which segments of a tape are listed for a form at this instant, and makes the playlist of them.

Law (RFC 8216 §6.2.1, rfc8216bis §6.2.5.1): what was listed keeps its number, its address and its lines; a window only
slides forward; nothing is listed that is not whole. A window and what is delayed have no EXT-X-PLAYLIST-TYPE; what
begins at a moment is EVENT while it grows, and VOD when it is whole. An archive begins and ends at the key pictures
nearest to what was asked for, by addresses of a part of a segment. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.timeshift.forms import Form
from hlsd.timeshift.tape import TapeFile, TapeStretch, listed, stretches

TARGET: Final = 10
"""EXT-X-TARGETDURATION: the same for all and for ever, since it "MUST NOT change"; what segments are never above."""
SKIP: Final = 6
"""Target durations from the end on which no delta update skips."""
LEAST: Final = 6
"""Segments that a window has at least, where there are as many."""
DELAYED: Final = (10, 60_000)
"""Segments, and ms of them, that are listed of what is delayed."""
MOST_BACK: Final = 500
"""Segments that are looked at for that."""


class Trimmed(NamedTuple):
    """What stands for the first or the last segment: a part of it, from key picture to key picture.

    Where one segment is both, `front` of a listing stands for it.
    """

    began_ms: int
    ticks: int
    uri: str


class ShiftListing(NamedTuple):
    """The segments from the number `low` up to `high`, as a playlist of that kind."""

    kind: Literal["window", "event", "vod"]
    low: int
    high: int
    ended: bool
    front: Trimmed | None = None
    back: Trimmed | None = None

    @property
    def tag(self) -> str:
        """What tells its text from others of the same address."""
        return f"{self.kind[0]}{self.low:x}-{self.high:x}{'e' * self.ended}"


class Edge(NamedTuple):
    """How it stands now: the wall clock in ms; whether the stream is on air, so that more may come."""

    now_ms: int
    growing: bool


def choose(form: Form, files: Sequence[TapeFile], edge: Edge, most: float) -> ShiftListing | None:
    """What of `files`, which lie on the tape one behind the other, is listed now; None where there is nothing.

    No playlist is longer than `most` seconds, but for the segment in which that ends.
    """
    files = [file for file in files if file.segments]
    if not files:
        return None
    end, end_ms = files[-1].next, files[-1].ended_ms
    if form.kind == "window":
        low = min(_ending_after(files, end_ms - form.span * 1000), _back(files, end, LEAST, 3 * TARGET * 1000))
        return ShiftListing("window", low, end, not edge.growing)
    if form.kind == "delayed":
        high = _ending_after(files, edge.now_ms - form.start * 1000)
        if high <= files[0].first:
            return None
        return ShiftListing("window", _back(files, high, *DELAYED), high, not edge.growing and high == end)
    span = most if form.kind == "since" else min(form.span, most)
    until = (form.start + int(span)) * 1000
    low, high = _ending_after(files, form.start * 1000), _beginning_from(files, until)
    if low >= high:
        return None
    whole = end_ms >= until or not edge.growing
    return ShiftListing("vod" if whole else "event", low, high, whole)


def _ending_after(files: Sequence[TapeFile], ms: int) -> int:
    """The number of the first segment that ends after `ms`; the one behind the last if none does."""
    for file in files:
        if file.ended_ms > ms:
            return file.first + bisect_right(file.segments, ms, key=lambda one: one.ended_ms)
    return files[-1].next


def _beginning_from(files: Sequence[TapeFile], ms: int) -> int:
    """The number of the first segment that begins at `ms` or later; the one behind the last if none does."""
    for file in files:
        if file.segments[-1].began_ms >= ms:
            return file.first + bisect_left(file.segments, ms, key=lambda one: one.began_ms)
    return files[-1].next


def _back(files: Sequence[TapeFile], high: int, count: int, ms: int) -> int:
    """The number from which on there are `count` segments, and `ms` of them, before `high`; or the first one."""
    low, seen, lasted = high, 0, 0
    for file in reversed(files):
        for at in range(min(len(file.segments), high - file.first) - 1, -1, -1):
            if (seen >= count and lasted >= ms) or seen >= MOST_BACK:
                return low
            low, seen = file.first + at, seen + 1
            lasted += file.segments[at].ticks * 1000 // TICKS
    return low


def render(files: Sequence[TapeFile], chosen: ShiftListing, *, skip: bool = False) -> str:
    """The playlist; with `skip` as a delta update, where one is due."""
    parts = list(stretches(files, chosen.low, chosen.high))
    target = max([TARGET, *[one.source.longest for one in parts]])
    vod = chosen.kind == "vod"
    lines = ["#EXTM3U\n", f"#EXT-X-VERSION:{7 if vod else 9}\n", f"#EXT-X-TARGETDURATION:{target}\n"]
    if not vod:
        lines.append(f"#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={SKIP * target}.0\n")
    elif independent(parts):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS\n")
    first = parts[0]
    tags = first.source.tagged[first.low] - first.source.segments[first.low].tag
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{chosen.low}\n", f"#EXT-X-DISCONTINUITY-SEQUENCE:{tags}\n"]
    if chosen.kind != "window":
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{chosen.kind.upper()}\n")
    skipped = skippable(parts, SKIP * target * 1000) if skip and not vod and not chosen.ended else 0
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n")
    lines += _segments(files, chosen, chosen.low + skipped)
    if chosen.ended:
        lines.append("#EXT-X-ENDLIST\n")
    return "".join(lines)


def _segments(files: Sequence[TapeFile], chosen: ShiftListing, low: int) -> Iterator[str]:
    """The lines of the segments from `low` on."""
    before: TapeStretch | None = None
    for part in stretches(files, low, chosen.high):
        file, begin, end = part
        if before is not None:
            yield from _hole(before, part)
        for at in range(begin, end):
            number = file.first + at
            opens = before is None and at == begin  # the init section of a file is told with its first segment
            trimmed = chosen.front if number == chosen.low else chosen.back if number == chosen.high - 1 else None
            if trimmed is None and not opens:
                yield file.text(at)
                continue
            one = file.segments[at]
            head = "#EXT-X-DISCONTINUITY\n" * one.tag + (file.init() if opens or not at else "")
            yield head + listed(*(trimmed or Trimmed(one.began_ms, one.ticks, file.name(at))))
        before = part


def _hole(before: TapeStretch, part: TapeStretch) -> Iterator[str]:
    """What stands for segments whose file was deleted between two others: their numbers are theirs."""
    low, high = before.source.first + before.high, part.source.first + part.low
    count = high - low
    if count <= 0:
        return
    tags = part.source.tagged[part.low] - part.source.segments[part.low].tag - before.source.tagged[before.high - 1]
    began = before.source.segments[before.high - 1].ended_ms
    each = max(100, min((part.source.segments[part.low].began_ms - began) // count, TARGET * 1000))
    for number in range(count):
        uri = f"../r/{before.source.id}/gap{low + number}.m4s"
        head = "#EXT-X-DISCONTINUITY\n" * (number < tags)
        yield head + listed(began + number * each, each * TICKS // 1000, uri, gap=True)


def skippable(parts: Sequence[TapeStretch], boundary_ms: int) -> int:
    """How many segments at the head end more than `boundary_ms` before the end of the last one."""
    behind = 0
    for part in reversed(parts):
        for at in range(part.high - 1, part.low - 1, -1):
            if behind > boundary_ms * TICKS // 1000:
                low, first = part.source.first + at + 1, parts[0].source.first + parts[0].low
                return low - first
            behind += part.source.segments[at].ticks
    return 0


def independent(parts: Sequence[TapeStretch]) -> bool:
    """Whether each segment begins with a picture that needs no other."""
    return all(one.key for part in parts for one in part.source.segments[part.low : part.high])


def variant(files: Sequence[TapeFile], chosen: ShiftListing) -> str:
    """The multivariant playlist of one variant, up to where the address of its media playlist stands."""
    parts = list(stretches(files, chosen.low, chosen.high))
    some = [one for part in parts for one in part.source.segments[part.low : part.high]]
    peak = max([one.size * 8 * TICKS // max(1, one.ticks) for one in some if one.ticks >= TICKS], default=0)
    total = max(1, sum(one.ticks for one in some))
    average = sum(one.size for one in some) * 8 * TICKS // total
    codecs = dict.fromkeys(codec for part in parts for codec in part.source.facts.codecs.split(",") if codec)
    facts = max([part.source.facts for part in parts], key=lambda one: one.width * one.height)
    about = [f"BANDWIDTH={max(peak, average, 1)}", f"AVERAGE-BANDWIDTH={max(average, 1)}"]
    if codecs:
        about.append(f'CODECS="{",".join(codecs)}"')
    if facts.width and facts.height:
        about.append(f"RESOLUTION={facts.width}x{facts.height}")
        if facts.rate:
            about.append(f"FRAME-RATE={facts.rate:.3f}")
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{7 if chosen.kind == 'vod' else 9}"]
    if independent(parts):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    return "\n".join([*lines, f"#EXT-X-STREAM-INF:{','.join(about)}", ""])
