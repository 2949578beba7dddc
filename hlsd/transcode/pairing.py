"""Gives each picture that a decoder shows the place of one that it was given: its decode time, and whether it is a key.

Pictures go into a decoder in the order of decoding and come out in that of showing. An encoder without B pictures
decodes in the order in which it shows, so the i-th picture out takes the i-th place of those that went in: it is never
shown before it is decoded, and a key place, where the source's segments may end, gets a key picture. What the decoder
swallows leaves a place empty. Pure; times in ticks.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Final, NamedTuple

MOST: Final = 64
"""Pictures that a decoder may hold back: H.264 and H.265 allow 16; beyond this it has swallowed them."""


class PicturePlace(NamedTuple):
    """Where a picture of the source's stands: its decode time, and whether it is a key picture."""

    dts: int
    key: bool


class Pairing:
    """The pictures that a decoder was given and has not shown."""

    def __init__(self) -> None:
        self._places: deque[PicturePlace] = deque()
        self._shown_at: list[int] = []
        self.settled = -1
        """Up to this tick nothing is under way."""

    def put(self, dts: int, pts: int, *, key: bool) -> None:
        """A picture goes in, to be shown at `pts`."""
        self._places.append(PicturePlace(dts, key))
        insort(self._shown_at, pts)
        if len(self._places) > MOST:
            self._leave()
            del self._shown_at[0]

    def take(self, pts: int) -> PicturePlace | None:
        """A picture comes out: its place; None for one that did not go in.

        Those that should have been shown before it will not come.
        """
        shown = self._shown_at
        if pts not in shown:
            return None
        key = False
        while shown[0] < pts:
            del shown[0]
            key |= self._places[0].key  # what was swallowed at a key place: the next one stands for it
            self._leave()
        del shown[0]
        place = self._places[0]
        self._leave()
        return PicturePlace(place.dts, place.key or key)

    def clear(self) -> None:
        """Nothing more comes out of what went in."""
        while self._places:
            self._leave()
        self._shown_at.clear()

    def _leave(self) -> None:
        self.settled = max(self.settled, self._places.popleft().dts)
