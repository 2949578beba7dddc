"""Cuts a recording into segments that exist nowhere, each a run of fragments as they stand in the file.

Law: a segment begins with a picture that needs no other, unless none comes for long, and lasts at least `SHORTEST`, but
for the last one before a seam. What was cut stays while the file grows. Pure; many are cut in a thread, which lets
others run.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, overload

from hlsd.media.unit import TICKS
from hlsd.record.fragments import Fragment, Fragments

SHORTEST: Final = 6 * TICKS
LARGEST: Final = 32 << 20
"""Bytes after which a segment ends at any fragment."""
LONGEST: Final = TICKS * 104 // 10
"""Ticks after which a segment ends at any fragment: an encoder's 250 pictures between key pictures at 25 a second are
ten seconds, and "EXTINF, rounded to the nearest integer" (RFC 8216 §4.3.3.1) is then never above ten."""
BREATH: Final = 1024
"""Fragments after which others run."""
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


class Segments(Sequence[SegmentSpan]):
    """The segments of a file: four bytes each, since its fragments, which stand without a gap, tell the rest.

    They are cut by `grow`, in one thread; others may read meanwhile. What is cut stays.
    """

    __slots__ = ("_bounds", "_fragments", "_seen")

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._bounds = array("I")  # where each begins, and the next one will
        self._seen = 0

    def grow(self, *, whole: bool) -> None:
        """Looks at the fragments that are new; `whole`: nothing more comes, so that what is left is the last one."""
        bounds, fragments = self._bounds, self._fragments
        if not bounds and fragments:
            bounds.append(0)
        if bounds:
            opening = fragments[bounds[-1]]
            offset, begin = opening.offset, opening.start
        for at, (place, start, end, key, seam) in enumerate(fragments.rows(self._seen), self._seen):
            if not at % BREATH:
                time.sleep(0)
            late = place - offset >= LARGEST or end - begin > LONGEST
            if at and (late or seam or (key and start - begin >= SHORTEST)):
                bounds.append(at)
                offset, begin = place, start
        self._seen = len(fragments)
        if whole and bounds and bounds[-1] < self._seen:
            bounds.append(self._seen)

    def __len__(self) -> int:
        return max(0, len(self._bounds) - 1)

    @overload
    def __getitem__(self, at: int) -> SegmentSpan: ...

    @overload
    def __getitem__(self, at: slice) -> list[SegmentSpan]: ...

    def __getitem__(self, at: int | slice) -> SegmentSpan | list[SegmentSpan]:
        if isinstance(at, slice):
            return list(map(self._one, range(*at.indices(len(self)))))
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._one(at % len(self))

    def __iter__(self) -> Iterator[SegmentSpan]:
        return map(self._one, range(len(self)))

    def _one(self, at: int) -> SegmentSpan:
        fragments, low, high = self._fragments, self._bounds[at], self._bounds[at + 1]
        offset, size, start, end, key = fragments.stretch(low, high)
        mark = fragments.mark(low)
        seam, wall = (mark.seam, mark.wall) if mark is not None else (False, None)
        return SegmentSpan(offset, size, start, max(end, start + 1), seam, wall, key, fragments.told(low, high))


def spans(fragments: Iterable[Fragment], *, whole: bool) -> Segments:
    """The segments of a file; `whole`: nothing more comes, so that what is left is the last one."""
    found = Segments(fragments if isinstance(fragments, Fragments) else Fragments(fragments))
    found.grow(whole=whole)
    return found
