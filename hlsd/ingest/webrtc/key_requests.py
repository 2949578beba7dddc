"""Says when a publisher is asked for a key picture. Pure; times are monotonic seconds.

A key picture costs as much as ten others, so none is asked for without need: when a picture was lost, when a viewer
has to begin with one, and when none has come for `interval`, which bounds how long a segment gets. Some senders never
answer (OBS): they are asked `TRIES` times, then their own distance has to do.
"""

from __future__ import annotations

from typing import Final, Literal

LEAST: Final = 0.5
"""Seconds between two requests."""
TRIES: Final = 3
"""Requests in a row without an answer, after which only a loss is asked for, and that seldom."""
SELDOM: Final = 4.0
"""Seconds between such requests."""

Cause = Literal["loss", "interval", "start", "viewer"]


class KeyRequests:
    """Those of one picture stream, which begins at `now`."""

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._key = now  # when the last one came, or the stream began
        self._begun = False
        self._asked = 0.0
        self._tries = 0
        self._wanted = False
        self.missing = False
        """A picture was lost: what follows cannot be decoded until the next key picture."""

    def want(self) -> None:
        """Somebody who watches needs one to begin with."""
        self._wanted = True

    @property
    def unanswered(self) -> bool:
        """Whether the sender seems not to answer."""
        return self._tries >= TRIES

    def came(self, now: float) -> None:
        """A key picture has come, whole."""
        self._key = now
        self._begun = True
        self._tries = 0
        self.missing = self._wanted = False

    def due(self, now: float) -> Cause | None:
        """Whether to ask now, and why; it counts as asked then."""
        if now - self._asked < (SELDOM if self.unanswered else LEAST):
            return None
        if self.missing:
            cause: Cause = "loss"
        elif self._wanted and self._begun:
            cause = "viewer"
        elif not self._begun:
            if now - self._key < LEAST:
                return None
            cause = "start"
        elif now - max(self._key, self._asked) >= self._interval and not self.unanswered:
            cause = "interval"
        else:
            return None
        self._asked = now
        self._tries += 1
        return cause
