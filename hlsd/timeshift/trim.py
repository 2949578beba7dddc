"""Cuts the first and the last segment of an archive down to the key pictures nearest to what was asked for. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from hlsd.media.unit import TICKS
from hlsd.record.fragments import Fragment
from hlsd.record.segments import SegmentSpan, piece_name
from hlsd.timeshift.listing import Trimmed


def trimmed(  # noqa: PLR0913, PLR0917 - what it is cut from
    ident: str, fragments: Sequence[Fragment], span: SegmentSpan, began_ms: int, since_ms: int, until_ms: int
) -> Trimmed | None:
    """The part of a segment that holds what lies between two times; None if that is all of it.

    `fragments` are those of the whole file, `began_ms` is when the segment began.
    """
    first = bisect_left(fragments, span.offset, key=attrgetter("offset"))
    end = bisect_left(fragments, span.offset + span.size, key=attrgetter("offset"))
    low, high = first, end
    for at in range(first + 1, end):
        one = fragments[at]
        wall = began_ms + (one.start - span.start) * 1000 // TICKS
        if one.key and wall <= since_ms:
            low = at
        if one.key and wall >= until_ms:
            high = at
            break
    if (low, high) == (first, end) or low >= high:
        return None
    start = fragments[low].start
    stop = fragments[high].start if high < end else span.end
    at_ms = began_ms + (start - span.start) * 1000 // TICKS
    return Trimmed(at_ms, max(1, stop - start), f"../r/{ident}/{piece_name(low, high - 1)}")
