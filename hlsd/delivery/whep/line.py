"""Judges by a viewer's reports what its line carries: all, key pictures only, or nothing worth watching. Pure.

Nothing here is encoded, so nothing can be sent in fewer bits: a line that is too narrow loses more and more, and what
is sent again makes it worse. So after `PATIENCE` of heavy loss only key pictures go, with the sound; who loses
those too is ended. Times are monotonic seconds, shares 0 to 1.
"""

from __future__ import annotations

from typing import Final, Literal

HEAVY: Final = 0.2
"""Share of packets lost from which on sending again does not help."""
LIGHT: Final = 0.05
"""And below which all may go again."""
NARROW: Final = 0.5
"""Of what is sent: a receiver that says (REMB) that its line carries less than that, and loses some, is believed."""
PATIENCE: Final = 2.0
"""Seconds of heavy loss before only key pictures go."""
REST: Final = 5.0
"""Seconds of light loss before all goes again; doubled each time that was too early, up to `LONGEST`."""
LONGEST: Final = 60.0
GIVE_UP: Final = 20.0
"""Seconds of heavy loss, of key pictures alone too, before the viewer is ended."""
STALE: Final = 5.0
"""Seconds for which an estimate of its holds."""

Passing = Literal["all", "keys", "nothing"]


class LineJudge:
    """That of one viewer."""

    def __init__(self) -> None:
        self.passing: Passing = "all"
        self.lost = 0.0
        """As the newest report has it."""
        self._heavy_since: float | None = None
        self._light_since: float | None = None
        self._rest = REST
        self._most: tuple[float, int] | None = None

    def estimate(self, bitrate: int, now: float) -> None:
        """The receiver says how many bits a second its line carries."""
        self._most = now, bitrate

    def report(self, lost: float, sent: float, now: float) -> None:
        """A report: the share lost since the last one, and what was sent meanwhile in bits a second."""
        self.lost = lost
        most = self._most
        narrow = most is not None and now - most[0] < STALE and most[1] < NARROW * sent and lost > LIGHT
        if lost >= HEAVY or narrow:
            self._light_since = None
            self._heavy_since = since = now if self._heavy_since is None else self._heavy_since
            if now - since >= GIVE_UP:
                self.passing = "nothing"
            elif now - since >= PATIENCE and self.passing == "all":
                self.passing = "keys"
        elif lost <= LIGHT:
            self._heavy_since = None
            self._light_since = since = now if self._light_since is None else self._light_since
            if self.passing == "keys" and now - since >= self._rest:
                self.passing = "all"
                self._rest = min(LONGEST, 2 * self._rest)
