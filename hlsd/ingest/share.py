"""Measures what one source's media costs, and says when others must have their turn.

Neither bytes nor messages tell: a picture of twenty bytes may bring a new configuration, with a muxer, a segment and a
discontinuity of its own (0.8 ms), and 64 KiB hold hundreds of them. So it is the processor's time of this thread that
is measured: what other processes take on a busy machine does not count. Seconds.
"""

from __future__ import annotations

from time import thread_time
from typing import Final

TURN: Final = 0.01
"""What one source may take before the event loop goes on to others; an ordinary one takes that much in a second."""
PART: Final = 0.25
"""Of a second, over all its turns; a source that catches up after a stall needs less."""


class Share:
    """That of one source. Between `start` and `stop` its media is worked on."""

    __slots__ = ("_since", "_turn", "spent")

    def __init__(self) -> None:
        self.spent = 0.0
        """In the second under way."""
        self._turn = 0.0
        self._since = 0.0

    def start(self) -> None:
        """Work begins, or goes on in the same turn."""
        self._since = thread_time()

    def used_up(self) -> bool:
        """Whether this turn is over, in the midst of work."""
        return self._turn + thread_time() - self._since >= TURN

    def stop(self) -> None:
        """Work pauses."""
        took = thread_time() - self._since
        self.spent += took
        self._turn += took

    def turn(self) -> None:
        """A new turn begins."""
        self._turn = 0.0

    @property
    def exhausted(self) -> bool:
        """Whether the second's part is used up."""
        return self.spent >= PART

    def rest(self) -> float | None:
        """For who is not told of seconds: None while the turn lasts, else how long others work before the next one."""
        if self._turn < TURN:
            return None
        pause = self._turn / PART - self._turn
        self._turn = self.spent = 0.0
        return pause
