"""Cuts a part out of a recording as a file of its own, without copying it: a moov in front, then bytes as they stand.

Law: it begins at the last key picture at or before the time that is asked for, and ends at the first after the other
one, so that what was asked for is in it, whole. How long it is is known before its first byte goes out, so that it can
be fetched in ranges. Pure.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Final, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.record.boxes import BadBox, head
from hlsd.record.fragments import Fragment, Fragments
from hlsd.record.moov import Movie
from hlsd.record.repair import BREATH
from hlsd.record.shape import Layout, Read, walk

EPOCH: Final = 100_000_000.0
"""Seconds from which on a time is one of the clock, since 1970; below it is one of the recording."""


class Excerpt(NamedTuple):
    """`front` goes out first, then `size` bytes of the file from `offset` on."""

    front: bytes
    offset: int
    size: int


def ticks_of(fragments: Sequence[Fragment], seconds: float) -> float:
    """Where in the file a time is: of the recording, or by the clock, which is told at seams and each minute."""
    if seconds < EPOCH:
        return seconds * TICKS + (fragments[0].start if fragments else 0)
    at = 0.0
    for fragment in fragments:
        if fragment.mark is not None:
            if fragment.mark.wall > seconds:
                return min(at, float(fragment.start)) if at else float(fragment.start)
            at = fragment.start + (seconds - fragment.mark.wall) * TICKS
    return at


def chosen(fragments: Sequence[Fragment], begin: float | None, end: float | None) -> tuple[int, int]:
    """The fragments from key picture to key picture that hold what is between two times: first, and one past the last.

    They are the same where there is nothing.
    """
    count = len(fragments)
    from_ = ticks_of(fragments, begin) if begin is not None else -inf
    until = ticks_of(fragments, end) if end is not None else inf
    first, last = 0, count
    for number, fragment in enumerate(fragments):
        starts = fragment.key or (fragment.mark is not None and fragment.mark.seam)
        if starts and fragment.start <= from_:
            first = number
        if starts and fragment.start >= until and number > first:
            last = number
            break
    if not count or from_ >= fragments[-1].end or until <= fragments[0].start or until <= from_:
        return 0, 0
    return first, last


def excerpt(read: Read, layout: Layout, first: int, last: int) -> Excerpt:
    """The fragments `first` up to `last` as a file. Raises BadBox if the file is not what it was."""
    if not first < last <= len(layout.fragments):
        raise BadBox("nothing is in it")
    offset, final = layout.fragments[first].offset, layout.fragments[last - 1]
    size = final.offset + final.size - offset
    movie = Movie(layout.init)
    here = replace(layout, end=offset, fragments=Fragments())
    for count, (_, runs) in enumerate(walk(read, here, offset + size), 1):
        movie.add(runs)
        if not count % BREATH:
            time.sleep(0)  # the event loop's turn
    ftyp = head(layout.init[:16])
    assert ftyp is not None
    movie.close()
    length = ftyp.size + len(movie.moov()) + 16
    movie.moved(length - offset)
    front = layout.init[: ftyp.size] + movie.moov() + struct.pack(">I4sQ", 1, b"mdat", 16 + size)
    assert len(front) == length
    return Excerpt(front, offset, size)
