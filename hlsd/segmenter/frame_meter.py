"""Measures how many frames of the leading track a second has, and how far apart they are. Units: 90 kHz ticks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.media.unit import TICKS

if TYPE_CHECKING:
    from hlsd.media.unit import Tracks

SLOW: Final = 1.0
"""Seconds between pictures, without sound, above which parts are of no use to anybody."""


class FrameMeter:
    """Of one timeline with these tracks."""

    __slots__ = ("_declared", "_silent", "frames", "span")

    def __init__(self, tracks: Tracks | None = None) -> None:
        video = tracks.video if tracks is not None else None
        self._declared = float(video.frame_rate) if video is not None and video.frame_rate else 0.0
        self._silent = tracks is not None and tracks.audio is None
        self.frames = 0
        """How many were listed."""
        self.span = 0
        """And for how long they stand."""

    @property
    def rate(self) -> float:
        """Frames per second, as measured (MV07); as declared before there is anything to measure."""
        declared = self._declared
        if not self.span:
            return declared
        measured = self.frames * TICKS / self.span
        # The SPS knows 30000/1001 exactly where RTMP's milliseconds do not, and what an encoder that drops frames
        # means to send; it is not believed where it is far off, as with timing counted in fields.
        return declared if 0.7 * declared < measured < 1.02 * declared else measured

    @property
    def slow(self) -> bool:
        """Whether there is no sound, and pictures are further apart than parts are of use."""
        return self._silent and 0 < self.rate * SLOW < 1

    def distance(self, longest: float, part: float) -> float:
        """How far apart frames are, seconds; 0.0: not known. `longest`: the longest distance so far.

        Without sound a picture that comes late leaves a part empty, so it is somewhat more than the longest distance
        where a part (of `part` seconds) holds few of them.
        """
        usual = 1 / self.rate if self.rate else 0.0
        if not self._silent or 3 * longest < part:
            return usual
        return min(SLOW, (1.1 if longest < 1.5 * usual else 1.25) * longest)
