"""Holds where each fragment of a recording stands: sixteen bytes for each, in memory and at the end of the file.

A finished file has it in a `uuid` box of its full moov, so that whoever plays it first need not look at every fragment.
Law: fragments stand one behind the other without a gap. A box that does not fit its file is passed over, and the file
is looked through as one that has none. Pure.
"""

from __future__ import annotations

import struct
import sys
import uuid
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Final, NamedTuple, overload

from hlsd.media.date_range import is_line
from hlsd.record.boxes import box

INDEX: Final = uuid.UUID("c4f1a3d2-6a3e-5f0b-9a57-686c73640003").bytes
FURTHEST: Final = 1 << 40
"""Ticks at which a fragment may begin: 141 days."""
LONGEST: Final = 1 << 24
"""Ticks that a fragment may last: three minutes, and ours last seconds."""
MOST: Final = 1 << 20
"""Fragments that are read from a box: twelve days of them."""
_KEY: Final = 1
_FLAGS: Final = 8  # bits below an offset
_HEAD: Final = struct.Struct(">16sIIIIQ")
_MARK: Final = struct.Struct(">IIQ")
_LINE: Final = struct.Struct(">II")
MOST_LINES: Final = 4096
"""Date ranges that are read from a box."""


class Mark(NamedTuple):
    """What stands before a fragment: `wall` is when its first picture was there, seconds since the epoch."""

    wall: float
    seam: bool


class Fragment(NamedTuple):
    """One moof with its mdat, and the mark before it if there is one. Ticks of 90 kHz on the leading track."""

    offset: int
    size: int
    start: int
    end: int
    key: bool
    """It begins with a picture that needs no other."""
    mark: Mark | None = None
    ranges: tuple[str, ...] = ()
    """Lines of EXT-X-DATERANGE that were told of in it."""


class Fragments(Sequence[Fragment]):
    """The fragments of one file, in order."""

    __slots__ = ("_count", "_ends", "_marks", "_places", "_ranges", "_times")

    def __init__(  # noqa: PLR0913, PLR0917 - what stands in a box
        self,
        found: Iterable[Fragment] = (),
        places: array[int] | None = None,
        times: array[int] | None = None,
        marks: dict[int, Mark] | None = None,
        ends: int = 0,
        ranges: dict[int, tuple[str, ...]] | None = None,
    ) -> None:
        self._places = array("Q") if places is None else places  # offset, and whether it begins with a key picture
        self._times = array("Q") if times is None else times  # beginning, and how long it lasts
        self._marks: dict[int, Mark] = {} if marks is None else marks
        self._ranges: dict[int, tuple[str, ...]] = {} if ranges is None else ranges
        self._ends = ends  # where the last one ends in the file
        self._count = len(self._places)
        for one in found:
            self.append(one)

    def append(self, one: Fragment) -> None:
        """The next one, which stands behind the last; begins before `FURTHEST` and lasts less than `LONGEST`.

        Others may read meanwhile: it is there for them when it is whole.
        """
        if one.mark is not None:
            self._marks[self._count] = one.mark
        if one.ranges:
            self._ranges[self._count] = one.ranges
        self._places.append(one.offset << _FLAGS | one.key)
        self._times.append(one.start << 24 | (one.end - one.start))
        self._ends = one.offset + one.size
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Fragment: ...

    @overload
    def __getitem__(self, at: slice) -> list[Fragment]: ...

    def __getitem__(self, at: int | slice) -> Fragment | list[Fragment]:
        if isinstance(at, slice):
            return list(map(self._one, range(*at.indices(len(self)))))
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._one(at % len(self))

    def __iter__(self) -> Iterator[Fragment]:
        return map(self._one, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        raise TypeError("it grows")

    @property
    def end(self) -> int:
        """The byte of the file behind the last one."""
        return self._ends

    def _one(self, at: int) -> Fragment:
        places = self._places
        place, time = places[at], self._times[at]
        offset, start = place >> _FLAGS, time >> 24
        stop = places[at + 1] >> _FLAGS if at + 1 < len(places) else self._ends
        end, key = start + (time & 0xFFFFFF), bool(place & _KEY)
        return Fragment(offset, stop - offset, start, end, key, self._marks.get(at), self._ranges.get(at, ()))

    def rows(self, begin: int) -> Iterator[tuple[int, int, int, int, bool]]:
        """From one on, of each: offset, start, end, whether it begins with a key picture, whether behind a seam."""
        marks, places, times = self._marks, self._places[begin : self._count], self._times[begin : self._count]
        for at, (place, time) in enumerate(zip(places, times, strict=True), begin):
            start = time >> 24
            seam = at in marks and marks[at].seam
            yield place >> _FLAGS, start, start + (time & 0xFFFFFF), place & _KEY, seam

    def stretch(self, low: int, high: int) -> tuple[int, int, int, int, bool]:
        """From one up to another, together: offset, size, start, end, whether it begins with a key picture.

        It ends where the next one begins, but before a seam.
        """
        places, times, last = self._places, self._times, high >= self._count
        offset = places[low] >> _FLAGS
        size = (self._ends if last else places[high] >> _FLAGS) - offset
        if last or (high in self._marks and self._marks[high].seam):
            end = (times[high - 1] >> 24) + (times[high - 1] & 0xFFFFFF)
        else:
            end = times[high] >> 24
        return offset, size, times[low] >> 24, end, bool(places[low] & _KEY)

    def mark(self, at: int) -> Mark | None:
        """What stands before one."""
        return self._marks.get(at)

    def told(self, begin: int, end: int) -> tuple[str, ...]:
        """The lines of date ranges of some."""
        if not self._ranges:
            return ()
        return tuple([line for at in range(begin, end) for line in self._ranges.get(at, ())])

    # -- as it stands in a file

    def box(self) -> bytes:
        """The box that tells of all of them."""
        said = [_MARK.pack(at, mark.seam, round(mark.wall * 1000)) for at, mark in self._marks.items()]
        lines = [(at, line.encode()) for at, told in self._ranges.items() for line in told][:MOST_LINES]
        head = _HEAD.pack(INDEX, 0, len(self), len(said), len(lines), self._ends)
        said += [_LINE.pack(at, len(line)) + line for at, line in lines]
        return box(b"uuid", head, wire(self._places), wire(self._times), *said)

    @classmethod
    def read(cls, content: bytes, begin: int, end: int) -> Fragments | None:
        """Those that a box's content tells of, if they fill a file from `begin` to `end`; None if it is none."""
        if len(content) < _HEAD.size:
            return None
        kind, version, count, marks, lines, ends = _HEAD.unpack_from(content)
        times, behind = _HEAD.size + count * 8, _HEAD.size + count * 16
        if (kind, version, ends) != (INDEX, 0, end) or not 0 < count <= MOST or lines > MOST_LINES:
            return None
        ranges = _lines(content[behind + marks * _MARK.size :], lines)
        if ranges is None or len(content) < behind + marks * _MARK.size:
            return None
        places = _read(content[_HEAD.size : times])
        rising = all(map(lt, places, islice(places, 1, None)))
        if not rising or places[0] >> _FLAGS != begin or places[-1] >> _FLAGS >= end:
            return None
        rows = _MARK.iter_unpack(content[behind : behind + marks * _MARK.size])
        said = {number: Mark(wall / 1000, bool(seam)) for number, seam, wall in rows}
        return cls((), places, _read(content[times:behind]), said, end, ranges)


def wire(values: array[int]) -> bytes:
    """Big-endian, as files have it."""
    if sys.byteorder == "little":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _lines(octets: bytes, count: int) -> dict[int, tuple[str, ...]] | None:
    """The date ranges of a box by fragment, so many, which fill it; None if they do not."""
    found: dict[int, tuple[str, ...]] = {}
    at = 0
    for _ in range(count):
        if at + _LINE.size > len(octets):
            return None
        number, size = _LINE.unpack_from(octets, at)
        line = octets[at + _LINE.size : at + _LINE.size + size].decode("utf-8", "replace")
        at += _LINE.size + size
        if not is_line(line):
            return None
        found[number] = (*found.get(number, ()), line)
    return found if at == len(octets) else None


def _read(octets: bytes) -> array[int]:
    values = array("Q", octets)
    if sys.byteorder == "little":
        values.byteswap()
    return values
