"""Writes the playlist of a recording: segments that exist nowhere, each a run of fragments as they stand in the file.

Law: a segment begins with a picture that needs no other, unless none comes for long, and lasts at least `SHORTEST`, but
for the last one before a seam. A seam is EXT-X-DISCONTINUITY with a date of its own. Segments have URLs of their own:
by EXT-X-BYTERANGE ffmpeg 9 stops after the first one, and others cannot seek. While the recording is being written it
is an EVENT playlist that grows, and then VOD; what was listed stays as it is. Sources: RFC 8216 §4.3.3.5, §4.3.4.3,
§3.3 ("The Media Initialization Section of an fMP4 Segment"). Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from hlsd.media.date_range import date_of
from hlsd.media.unit import TICKS
from hlsd.record.fragments import Fragment

SHORTEST: Final = 6 * TICKS
LARGEST: Final = 32 << 20
"""Bytes after which a segment ends at any fragment."""
LONGEST: Final = TICKS * 104 // 10
"""Ticks after which a segment ends at any fragment: an encoder's 250 pictures between key pictures at 25 a second are
ten seconds, and "EXTINF, rounded to the nearest integer" (RFC 8216 §4.3.3.1) is then never above ten."""
FIRST: Final = 1
"""Number of the first segment: "MSN starts at ≥ 1" (MP22), since some players take 0 for none."""


class SegmentSpan(NamedTuple):
    """One segment: bytes of the file, times in ticks of the file, `wall` if its date is to be told."""

    offset: int
    size: int
    start: int
    end: int
    seam: bool
    wall: float | None
    key: bool
    ranges: tuple[str, ...] = ()
    """Lines of date ranges that were told of in it."""


_PIECE: Final = re.compile(r"s([0-9]{1,9})-([0-9]{1,9})\.m4s", re.ASCII)


def piece_name(first: int, last: int) -> str:
    """What is called of a segment the part from one fragment of the file to another, counted from 0."""
    return f"s{first}-{last}.m4s"


def piece_of(name: str, fragments: Sequence[Fragment]) -> tuple[int, int] | None:
    """Where the bytes of such a part are: offset and size; None if it is none, or longer than a segment may be."""
    found = _PIECE.fullmatch(name)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    if not first <= last < len(fragments) or fragments[last].end - fragments[first].start > 2 * LONGEST:
        return None
    offset = fragments[first].offset
    return offset, fragments[last].offset + fragments[last].size - offset


def spans(fragments: Sequence[Fragment], *, whole: bool) -> list[SegmentSpan]:
    """The segments of a file; `whole`: nothing more comes, so that what is left is the last one."""
    found: list[SegmentSpan] = []
    run: list[Fragment] = []
    size = 0
    for fragment in fragments:
        seam = fragment.mark is not None and fragment.mark.seam
        if run:
            lasted = fragment.start - run[0].start
            late = fragment.end - run[0].start > LONGEST
            if seam or (fragment.key and lasted >= SHORTEST) or size >= LARGEST or late:
                found.append(_span(run, None if seam else fragment.start))
                run, size = [], 0
        run.append(fragment)
        size += fragment.size
    if run and whole:
        found.append(_span(run, None))
    return found


def _span(run: Sequence[Fragment], until: int | None) -> SegmentSpan:
    first, last = run[0], run[-1]
    seam = first.mark is not None and first.mark.seam
    end = last.end if until is None else until
    wall = first.mark.wall if first.mark is not None else None
    return SegmentSpan(
        first.offset,
        last.offset + last.size - first.offset,
        first.start,
        max(end, first.start + 1),
        seam,
        wall,
        first.key,
        tuple([line for fragment in run for line in fragment.ranges]),
    )


def playlist(found: Sequence[SegmentSpan], name: str, *, whole: bool) -> str:
    """The playlist; URIs are `{name}/i.mp4` and `{name}/s{n}.m4s`."""
    target = max([math.ceil((one.end - one.start) / TICKS) for one in found], default=1)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{max(target, 1)}"]
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{FIRST}", "#EXT-X-DISCONTINUITY-SEQUENCE:0"]
    lines.append(f"#EXT-X-PLAYLIST-TYPE:{'VOD' if whole else 'EVENT'}")
    if found and all(one.key for one in found):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    lines.append(f'#EXT-X-MAP:URI="{name}/i.mp4"')
    for number, one in enumerate(found):
        lines += one.ranges
        if one.seam and number:
            lines.append("#EXT-X-DISCONTINUITY")
        if one.wall is not None and (one.seam or not number):
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_of(one.wall)}")
        lines.append(f"#EXTINF:{(one.end - one.start) / TICKS:.5f},")
        lines.append(f"{name}/s{FIRST + number}.m4s")
    if whole:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"
