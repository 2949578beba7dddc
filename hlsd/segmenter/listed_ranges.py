"""Keeps the date ranges of a live playlist, each where it was added, until its time has left the window.

Law: a playlist is only appended to (rfc8216bis §6.2.1), so a tag stands behind what was listed when it came, also amid
the parts of a segment. What it stands before may leave the list earlier than it does; then it stands at the head. It
goes when the stretch it tells of ends before the first listed segment begins: "Remove Media Metadata tags that no
longer apply to the presentation". One whose end nobody knows stays. Bounded: of more than `MOST`, or `MOST_BYTES` of
lines, the oldest go: they stand in every playlist, and in each delta update.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from hlsd.media.date_range import DateRange

MOST: Final = 128
MOST_BYTES: Final = 64 << 10


_TOLD_ELSEWHERE: Final = DateRange("", 0.0)
Line = tuple[int, int, str]
"""A line before part `part` of segment `msn`: (msn, part, line)."""


class PlacedRange(NamedTuple):
    """A range, before part `part` of segment `msn`, or what will be that."""

    msn: int
    part: int
    told: DateRange
    line: str


class ListedRanges:
    """The ranges of one rendition, in the order in which they came."""

    __slots__ = ("_placed",)

    def __init__(self) -> None:
        self._placed: list[PlacedRange] = []

    def __len__(self) -> int:
        return len(self._placed)

    def add(self, told: DateRange, msn: int, part: int = 0) -> None:
        """One more, at the end of what is listed: segment `msn` and its part of that number come next."""
        placed = self._placed
        placed.append(PlacedRange(msn, part, told, told.line))
        size = sum(len(one.line) for one in placed)
        while len(placed) > MOST or (size > MOST_BYTES and len(placed) > 1):
            size -= len(placed.pop(0).line)

    @property
    def lines(self) -> list[Line]:
        """All that is told, in order."""
        return [(one.msn, one.part, one.line) for one in self._placed]

    def mirror(self, lines: Iterable[Line]) -> None:
        """Tells these and nothing else: whoever made them says when they go, and `expire` is not to be called."""
        self._placed = [PlacedRange(msn, part, _TOLD_ELSEWHERE, line) for msn, part, line in lines]

    def expire(self, begins: float) -> None:
        """The first listed segment begins then: what is over by that time goes."""
        ends: dict[str, float | None] = {}
        for _, _, told, _ in self._placed:  # the last word on how long it was is that of the tag that knows it
            if told.duration is not None or told.id not in ends:
                ends[told.id] = told.end
        over = {ident for ident, end in ends.items() if end is not None and end < begins}
        if over:
            self._placed = [one for one in self._placed if one.told.id not in over]

    def head(self, msn: int) -> list[str]:
        """The lines that stand before segment `msn` and everything in it."""
        return [one.line for one in self._placed if one.msn < msn]

    def before(self, msn: int, *, parts: bool) -> list[str]:
        """The lines before all of segment `msn`; those amid it too, where `parts` are not listed."""
        return [one.line for one in self._placed if one.msn == msn and not (parts and one.part)]

    def inside(self, msn: int) -> list[tuple[int, str]]:
        """Those amid the parts of segment `msn`, each before a part."""
        return [(one.part, one.line) for one in self._placed if one.msn == msn and one.part]

    def tail(self, msn: int) -> list[str]:
        """The lines behind what is listed: segment `msn` comes next."""
        return [one.line for one in self._placed if one.msn >= msn]
