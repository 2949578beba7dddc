"""Leaves out of the media what was not sent: a stretch in which no track has anything, longer than parts can cover.

Players stand still at an empty part: hls.js gives up the rest of its segment for one with GAP=YES, and waits for three
target durations at one without frames. So the stretch is closed, and what arrives behind it is shown at once; the next
key picture begins behind a discontinuity, where the clock is set right. Nobody freezes for longer than the source did.

A hole is in both tracks, and in what arrived: sound may run seconds ahead of its picture, a sender may send a second of
one track and then a second of the other, and a camera may send a picture each second. Times are ticks of 90 kHz.
"""

from __future__ import annotations

from typing import Final

from hlsd.media.unit import TICKS, AccessUnit

LONGEST: Final = 30 * TICKS
"""How far a track may go ahead of everything at once: nothing that a source sends explains more."""
_HALF: Final = 0.5 / TICKS
"""Seconds a tick of a hole during which nothing may have arrived: what came before it may have been late."""


class Holes:
    """The holes of one uninterrupted timeline; `left_out` ticks have been left out of it so far."""

    __slots__ = ("_beside", "_came", "_last", "_out", "_slow", "left_out")

    def __init__(self) -> None:
        self.left_out = 0
        self._last: list[int | None] = [None, None]  # the last time of each track, as sent
        self._out = [0, 0]  # the same, as given
        self._beside = [0, 0]  # where the other track was then
        self._came = 0.0  # when the last unit came
        self._slow = False  # whether the last two units of a track by itself were further apart than `keep`

    def cross(self, unit: AccessUnit, longest: int, keep: int) -> AccessUnit | None:
        """The unit where it belongs on the timeline without holes: those over `longest` shrink to `keep`.

        None if it lies so far ahead that this is another timeline.
        """
        kind, dts = unit.kind, unit.dts
        last, other = self._last[kind], self._last[1 - kind]
        if last is not None:
            distance = dts - last
            if distance > keep:
                if other is None:
                    # One long distance is spread over two parts; when all are long, each takes one.
                    if distance > longest or self._slow:
                        self.left_out += distance - keep
                    self._slow = True
                elif distance > longest and other - self._beside[kind] < longest:
                    if unit.arrived - self._came >= distance * _HALF:
                        self.left_out += distance - keep
                    elif distance > LONGEST:
                        return None
            else:
                self._slow = False
        if self.left_out:
            if last is not None:
                # Never back: the other track has shown that there was less of a hole.
                self.left_out = max(0, min(self.left_out, dts - self._out[kind] - 1))
            unit = unit._replace(dts=dts - self.left_out, pts=unit.pts - self.left_out)
        self._last[kind] = dts
        self._out[kind] = unit.dts
        self._beside[kind] = other or 0
        self._came = unit.arrived
        return unit
