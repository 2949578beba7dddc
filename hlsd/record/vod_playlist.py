"""Writes the playlist of a recording: segments that exist nowhere, each a run of fragments as they stand in the file.

Law: a segment begins with a picture that needs no other, unless none comes for long, and lasts at least `SHORTEST`, but
for the last one before a seam. A seam is EXT-X-DISCONTINUITY with a date of its own. Segments have URLs of their own:
by EXT-X-BYTERANGE ffmpeg 9 stops after the first one, and others cannot seek. While the recording is being written it
is an EVENT playlist that grows, and then VOD; what was listed stays as it is. Sources: RFC 8216 §4.3.3.5, §4.3.4.3,
§3.3 ("The Media Initialization Section of an fMP4 Segment"). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.record.fragments import Fragment

SHORTEST: Final = 6 * TICKS
LARGEST: Final = 32 << 20
"""Bytes after which a segment ends at any fragment."""
LONGEST: Final = 30 * TICKS
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


def spans(fragments: Sequence[Fragment], *, whole: bool) -> list[SegmentSpan]:
    """The segments of a file; `whole`: nothing more comes, so that what is left is the last one."""
    found: list[SegmentSpan] = []
    run: list[Fragment] = []
    size = 0
    for fragment in fragments:
        seam = fragment.mark is not None and fragment.mark.seam
        if run:
            lasted = fragment.start - run[0].start
            if seam or (fragment.key and lasted >= SHORTEST) or size >= LARGEST or lasted >= LONGEST:
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
        if one.seam and number:
            lines.append("#EXT-X-DISCONTINUITY")
        if one.wall is not None and (one.seam or not number):
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(one.wall)}")
        lines.append(f"#EXTINF:{(one.end - one.start) / TICKS:.5f},")
        lines.append(f"{name}/s{FIRST + number}.m4s")
    if whole:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _date(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
