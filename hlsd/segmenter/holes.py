"""Leaves out of the media what was not sent: a stretch in which no track has anything, longer than parts can cover.

Players stand still at an empty part: hls.js gives up the rest of its segment for one with GAP=YES, and waits for three
target durations at one without frames. So the stretch is closed, and what arrives behind it is shown at once; the next
key picture begins behind a discontinuity, where the clock is set right. Nobody freezes for longer than the source did.

A hole is in what arrived: sound may run seconds ahead of its picture, a sender may send a second of one track and then
a second of the other, and a camera may send a picture each second. Times are ticks of 90 kHz.
"""

from __future__ import annotations

from typing import Final

from hlsd.media.unit import TICKS, AccessUnit

LONGEST: Final = 30 * TICKS
"""How far a track may go ahead of everything at once: nothing that a source sends explains more."""
NONE: Final = -(1 << 62)
"""No time: nothing has come yet, and what comes lies far behind."""
_HALF: Final = 0.5 / TICKS
"""Seconds a tick of a hole during which nothing may have arrived: what came before it may have been late."""


class Holes:
    """The holes of one uninterrupted timeline; `left_out` ticks have been left out of it so far.

    Only units that lie far behind the one before, and all while it is `open`, need `cross`: of others it is enough to
    note the time in `last`.
    """

    __slots__ = ("_out", "_slow", "last", "left_out", "open")

    def __init__(self) -> None:
        self.left_out = 0
        self.last = [NONE, NONE]
        """The last time of each track (`Kind`), as sent; `NONE` before the first."""
        self.open = False
        """Whether something has been left out, or is about to be."""
        self._slow = False  # whether the last two units of a track by itself were further apart than `keep`
        self._out = [0, 0]  # as `last`, as given

    def cross(self, unit: AccessUnit, quiet: float, longest: int, keep: int) -> AccessUnit | None:
        """The unit where it belongs on the timeline without holes: those over `longest` ticks shrink to `keep`.

        `quiet` is for how many seconds nothing of any track had come before it. None if it lies so far ahead that this
        is another timeline.
        """
        kind, dts = unit.kind, unit.dts
        last = self.last[kind]
        before = self.left_out
        if last != NONE and not self._close(dts - last, self.last[1 - kind] == NONE, quiet, longest, keep):
            return None
        if self.left_out:
            if not before:
                self._out = list(self.last)
            if last != NONE:
                # Never back: the other track has shown that there was less of a hole.
                self.left_out = max(0, min(self.left_out, dts - self._out[kind] - 1))
            unit = unit._replace(dts=dts - self.left_out, pts=unit.pts - self.left_out)
            self._out[kind] = unit.dts
        self.last[kind] = dts
        self.open = self.left_out > 0 or self._slow
        return unit

    def _close(self, distance: int, alone: bool, quiet: float, longest: int, keep: int) -> bool:
        """Leaves out what is to be left out of the distance of two units; False if that cannot be one."""
        if distance <= keep:
            self._slow = False
        elif alone:
            # One long distance is spread over two parts; when all are long, each takes one.
            if distance > longest or self._slow:
                self.left_out += distance - keep
            self._slow = True
        elif distance > longest:
            if quiet >= distance * _HALF:
                self.left_out += distance - keep
            else:
                return distance <= LONGEST
        return True
