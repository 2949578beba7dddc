"""Notices pictures that are out of order where their way has no decoding times: their sender makes B-frames. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hlsd.base.remarks import Remarks

REORDERED: Final = 1000
"""Milliseconds that a picture may be before the one that came before it: what leaps further is another clock."""


class PictureOrder:
    """`way` is why there are no decoding times, for the log."""

    __slots__ = ("_last", "_remarks", "_words")

    def __init__(self, remarks: Remarks, way: str) -> None:
        self._remarks = remarks
        self._words = f"pictures come out of order: {way} decoding times, switch B-frames off"
        self._last: int | None = None

    def look(self, ms: int, now: float) -> None:
        """A picture of that time (milliseconds, which may wrap at 2^32) has come."""
        last, self._last = self._last, ms
        if last is not None and 0 < (last - ms & 0xFFFFFFFF) < REORDERED:
            self._remarks.note(self._words, now)
