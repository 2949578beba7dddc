"""Keeps parts of a stream that nobody asks for, until somebody does or nobody can any more; then they are muxed.

Bounded by the window: what that does not hold any more is let go with each segment.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.window import Part, Segment, Window
    from hlsd.segmenter.writer import Writer


class PutOff:
    """The parts of `window` that have no body yet, oldest first."""

    __slots__ = ("_parts", "_window")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._parts: deque[tuple[Writer, Segment, Part, Cut]] = deque()

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, cut: Cut, writer: Writer) -> None:
        """Puts a part into the open segment that `writer` will write."""
        segment = self._window.open
        assert segment is not None
        size = sum([len(sample.unit.payload) for sample in cut.video])
        size += sum([len(sample.unit.payload) for sample in cut.audio])
        part = self._window.put_off(size, cut.duration, independent=cut.independent)
        self._parts.append((writer, segment, part, cut))

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
