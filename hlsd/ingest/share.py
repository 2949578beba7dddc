"""Measures what one source's media costs, and says when others must have their turn.

Neither bytes nor messages tell: a picture of twenty bytes may bring a new configuration, with a muxer, a segment and a
discontinuity of its own (0.8 ms), and 64 KiB hold hundreds of them. So it is the processor's time of this thread that
is measured: what other processes take on a busy machine does not count. Seconds.

Law: asking for that time is a call into the kernel (0.8 µs, twice for each read: 2 % of all that an ordinary source
costs), so the first `TRUSTED` seconds of each second are taken by the clock on the wall, which is read without one.
What is wrong by that is bounded: on a busy machine a source is charged `TRUSTED` too much at most, and of a single
message that takes longer than `TRUSTED` the rest goes free once, for the clock is the exact one from there on.
"""

from __future__ import annotations

from time import perf_counter, thread_time
from typing import Final

TURN: Final = 0.01
"""What one source may take before the event loop goes on to others; an ordinary one takes that much in a second."""
PART: Final = 0.25
"""Of a second, over all its turns; a source that catches up after a stall needs less."""
HELD_BACK: Final = "publisher held back: what it sends costs more than its part of the processor"
"""What the log says of a source whose part is used up."""
TRUSTED: Final = 0.02
"""What a source may take in a second before its time is looked at exactly: three times what an ordinary one takes."""


class Share:
    """That of one source. Between `start` and `stop` its media is worked on."""

    __slots__ = ("_clock", "_since", "_turn", "spent")

    def __init__(self) -> None:
        self.spent = 0.0
        """In the second under way."""
        self._turn = 0.0
        self._since = 0.0
        self._clock = perf_counter

    def start(self) -> None:
        """Work begins, or goes on in the same turn."""
        self._since = self._clock()

    def begin(self) -> None:
        """Work begins, and with it a new turn."""
        self._turn = 0.0
        self._since = self._clock()

    def used_up(self) -> bool:
        """Whether this turn is over, in the midst of work."""
        return self._turn + self._clock() - self._since >= TURN

    def stop(self) -> None:
        """Work pauses."""
        took = self._clock() - self._since
        if self.spent < TRUSTED:
            if took > TRUSTED:  # noqa: PLR1730 - min() is a call
                took = TRUSTED  # more of it is not known to be this thread's
            if self.spent + took >= TRUSTED:
                self._clock = thread_time
        self.spent += took
        self._turn += took

    def second(self) -> None:
        """A new second begins."""
        self.spent = 0.0
        self._clock = perf_counter

    @property
    def exhausted(self) -> bool:
        """Whether the second's part is used up."""
        return self.spent >= PART

    def rest(self) -> float | None:
        """For who is not told of seconds: None while the turn lasts, else how long others work before the next one."""
        if self._turn < TURN:
            return None
        pause = self._turn / PART - self._turn
        self._turn = 0.0
        return pause
