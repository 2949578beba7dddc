"""Keeps parts of a stream that nobody asks for, until somebody does or nobody can any more; then they are muxed.

Bounded by the window: what that does not hold any more is let go with each segment.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hlsd.media.unit import TICKS

if TYPE_CHECKING:
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.window import Part, Segment, Window
    from hlsd.segmenter.writer import Writer

DENSE = 300
"""Units of a second's media, beyond which it is muxed as it comes, at its publisher's cost: who asks first after a
while would have everybody wait for all that was put off. 120 pictures and 94 frames of sound are the most in use."""
FEW = 50
"""Units that are never dense, however short their part."""


def ordinary(cut: Cut) -> bool:
    """Whether a part has no more units than cameras and encoders make of its time."""
    return len(cut.video) + len(cut.audio) <= FEW + DENSE * cut.duration / TICKS


class PutOff:
    """The parts of `window` that have no body yet, oldest first."""

    __slots__ = ("_parts", "_window")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._parts: deque[tuple[Writer, Segment, Part, Cut]] = deque()

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, cut: Cut, writer: Writer) -> Part:
        """Puts a part into the open segment that `writer` will write."""
        segment = self._window.open
        assert segment is not None
        size = sum([len(sample.unit.payload) for sample in cut.video])
        size += sum([len(sample.unit.payload) for sample in cut.audio])
        part = self._window.put_off(size, cut.duration, independent=cut.independent)
        self._parts.append((writer, segment, part, cut))
        return part

    def write(self) -> None:
        """Writes all of them, in order."""
        parts, window = self._parts, self._window
        while parts:
            writer, segment, part, cut = parts[0]
            if window.holds(part):
                if writer.lost and cut.opens:
                    window.part_company(segment)
                    writer.begin_anew()  # what was lost is one segment, not all that nobody has watched
                window.fill(segment, part, writer.part(cut))
            else:
                writer.skip(cut)
            parts.popleft()  # only now: a part without a body must never be one that nobody will write

    def let_go(self) -> None:
        """Passes over those that the window does not hold any more."""
        parts = self._parts
        while parts and not self._window.holds(parts[0][2]):
            writer, _, _, cut = parts.popleft()
            writer.skip(cut)

    def waiting(self) -> set[int]:
        """The `id` of each part."""
        return {id(part) for _, _, part, _ in self._parts}
