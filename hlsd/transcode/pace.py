"""Judges whether an encoder keeps pace with its source, and says what is to be left out if it does not.

Law: to be late is mended first by leaving out pictures up to the next key picture, which viewers of that rendition see
as a jerk; what leaves out a fifth of them over ten seconds does not keep pace, and gets less to do. Pure; seconds.
"""

from __future__ import annotations

import enum
from typing import Final

LATE: Final = 1.5
"""How far behind it may be; players stand three parts or segments behind the newest picture."""
BEGINNING: Final = 8.0
"""For so long after it began it may be further behind: what came meanwhile is still to be made up for."""
MOST: Final = 4.0
"""That much further, and no more."""
SPAN: Final = 10.0
"""What is judged in one."""
SHARE: Final = 0.2
"""Of the pictures of that time that may be left out."""


class PaceVerdict(enum.Enum):
    """What becomes of a picture."""

    TAKE = "take"
    SKIP = "skip"
    SHED = "shed"
    """Left out, and too many were: something is to be given up."""


class EncoderPace:
    """Of one encoder, from its start."""

    def __init__(self, now: float) -> None:
        self._began = self._since = now
        self._taken = self._skipped = 0
        self._skipping = False

    def judge(self, now: float, lag: float, *, key: bool) -> PaceVerdict:
        """What becomes of the next picture, when the newest that was made is `lag` behind it."""
        limit = MOST if now - self._began < BEGINNING else LATE
        if key:
            self._skipping = lag > limit
        elif lag > limit:
            self._skipping = True
        if now - self._since >= SPAN:
            late = self._skipped > SHARE * (self._taken + self._skipped)
            self._since, self._taken, self._skipped = now, 0, 0
            if late:
                self._began = now  # with less to do it may make up for what waits
                self._skipping = not key
                return PaceVerdict.SHED
        if self._skipping:
            self._skipped += 1
            return PaceVerdict.SKIP
        self._taken += 1
        return PaceVerdict.TAKE
