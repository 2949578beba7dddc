"""Is a table of runs as `stts` and `ctts` have it: how often a value comes, and which.

Law: what is added one by one is looked at in bulk, by what walks over arrays in C: a recording of an hour has hundreds
of thousands of samples. Memory is eight bytes a run, and four for each of the last `BULK` values. Pure.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from itertools import chain, compress
from operator import ne, sub
from typing import Final, Literal

from hlsd.record.fragments import wire

BULK: Final = 1 << 16
"""Values that are looked at together."""
SAMPLE: Final = 512
"""Of these, those that tell whether it is worth looking for runs."""


class RunTable:
    """One table; values are of an array's type `kind`."""

    __slots__ = ("_counts", "_kind", "_loose", "_values")

    def __init__(self, kind: Literal["I", "i"]) -> None:
        self._kind = kind
        self._counts = array("I")
        self._values = array(kind)
        self._loose = array(kind)  # not in a run yet

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._loose or self._values)

    @property
    def any(self) -> bool:
        """Whether any value is not 0."""
        self._settle()
        return any(self._values)

    def append(self, value: int) -> None:
        """One more."""
        self._loose.append(value)

    def extend(self, values: array[int]) -> None:
        """More of them, of the same type."""
        self._loose.extend(values)
        if len(self._loose) >= BULK:
            self._settle()

    def repeat(self, value: int, count: int) -> None:
        """The same one so many times."""
        if count:
            self._settle()
            self._join([count], [value])

    def wire(self) -> tuple[bytes, bytes]:
        """How many runs there are, and all of them, big-endian."""
        self._settle()
        rows = array("I", bytes(8 * len(self._counts)))
        rows[::2], rows[1::2] = self._counts, array("I", self._values.tobytes())
        return struct.pack(">I", len(self._counts)), wire(rows)

    def _settle(self) -> None:
        """Makes runs of what is loose."""
        loose = self._loose
        count = len(loose)
        if not count:
            return
        if loose.count(loose[0]) == count:
            self._join([count], loose[:1])
        elif sum(map(ne, loose[:SAMPLE], loose[1:SAMPLE])) > SAMPLE * 9 // 10:
            self._join(array("I", [1]) * count, loose)  # shifts of B-frames: there is nothing to find
        else:
            change = _changes(loose)
            ends = array("I", compress(range(1, count), change))
            ends.append(count)
            self._join(map(sub, ends, chain((0,), ends)), chain(compress(loose, change), loose[-1:]))
        self._loose = array(self._kind)

    def _join(self, counts: Iterable[int], values: Iterable[int]) -> None:
        """Adds runs, the first of which may go on with the last one."""
        at = len(self._values)
        self._counts.extend(counts)
        self._values.extend(values)
        if at and self._values[at] == self._values[at - 1]:
            self._counts[at - 1] += self._counts.pop(at)
            self._values.pop(at)


def _changes(values: array[int]) -> array[int]:
    """Of each value, whether the next one is another: not 0. As one long number it is a third of the work of a loop."""
    octets, width = values.tobytes(), values.itemsize
    differ = int.from_bytes(octets[:-width], "little") ^ int.from_bytes(octets[width:], "little")
    return array("I", differ.to_bytes(len(octets) - width, "little"))
