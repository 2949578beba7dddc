"""Says what one HTTP/2 connection may cost: in one turn of the event loop, and by frames of no use to anybody.

Two measures. `effort` is about a microsecond of work: when a turn has taken `TURN` of it, the rest of what was received
waits for the next turn, so that one connection never holds up the others however much it sends at once. The bucket is
for what no player does for long: control frames, crumbs, cancelled and broken requests, whoever resets them
(CVE-2023-44487, CVE-2025-8671, CVE-2019-9511 to -9518). It refills with time; empty, it is the connection's end.
"""

from __future__ import annotations

from typing import Final

TURN: Final = 4000
"""Effort of one turn: about 4 ms with the answers that it begins."""
FRAME: Final = 4
"""Effort of any frame: to find it, and to find out that there is little to do."""
REQUEST: Final = 250
"""Effort of a request: sixteen of them in a turn."""
HOT: Final = 60
"""Effort of a request on the hot path: a tenth if its answer is ready, all of it if it must be made first."""
BUCKET: Final = 200.0
"""Frames without use that may come at once…"""
REFILL: Final = 20.0
"""…and how many a second for ever."""
CRUMB: Final = 256
"""Octets of DATA or of a window below which a frame is not worth sending."""
THANKS: Final = 1024
"""Octets of body that make up for one WINDOW_UPDATE: clients send one for every 4 KiB and more."""
MAX_THANKS: Final = 4 * 1024 * 1024
"""Octets of body for which windows may be opened later."""
LONG_BLOCK: Final = 4096
"""Octets of a header block from which on it counts as waste as well; those of browsers have a tenth."""


class TooMuch(Exception):
    """The bucket is empty: ENHANCE_YOUR_CALM."""


class Budget:
    """Of one connection."""

    __slots__ = ("_bucket", "_now", "_sent", "effort")

    def __init__(self) -> None:
        self.effort = 0
        """Of the turn under way."""
        self._bucket = BUCKET
        self._now = 0.0
        self._sent = 0

    def turn(self, now: float) -> None:
        """A new turn begins."""
        self.effort = 0
        if self._bucket < BUCKET:
            self._bucket = min(BUCKET, self._bucket + (now - self._now) * REFILL)
        self._now = now

    def waste(self, cost: float) -> None:
        """Counts what is of no use to anybody.

        Raises:
            TooMuch: there was too much of it in too short a time.
        """
        self._bucket -= cost
        if self._bucket < 0:
            raise TooMuch

    def note(self, cost: float) -> None:
        """As `waste`, for what we do outside of a turn; what is too much is found at the next waste."""
        self._bucket -= cost

    def sent(self, size: int) -> None:
        """Octets of body went out, for which the peer may open windows again."""
        if self._sent < MAX_THANKS:
            self._sent += size

    def window(self, more: int) -> None:
        """A window was opened by `more`: free for what has been sent, waste beyond it.

        Raises:
            TooMuch: as above.
        """
        if more < CRUMB:
            self.waste(1.0)  # windows in crumbs make us send in crumbs
        elif self._sent >= THANKS:
            self._sent -= THANKS
        else:
            self.waste(0.1)
