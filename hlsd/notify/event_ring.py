"""Keeps the last events in memory, for those who ask by HTTP what happened since they last asked.

Law: every event has a number; numbers rise by one, and over restarts too, because the first is the wall clock's
milliseconds. A reader keeps the number it was given and asks for what came after it. Memory is bounded by `size`
events; what a reader missed because it came too late is gone, and it sees that from the numbers.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Final

from hlsd.events import Event

SIZE: Final = 1000
"""Events that are kept, unless told otherwise."""


class EventRing:
    """The last `size` events of one server; `first` is the number of the first event (milliseconds of the epoch)."""

    def __init__(self, first: int, *, size: int = SIZE, server_id: str = "") -> None:
        self._events: deque[Event] = deque(maxlen=size)
        self._server_id = server_id
        self._next = max(1, first)

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        """Keeps `event` (`hlsd.events.Sink`)."""
        self._events.append(event)
        self._next += 1

    def after(self, cursor: int, limit: int) -> tuple[list[dict[str, object]], int]:
        """At most `limit` events whose numbers are above `cursor`, oldest first, and the cursor for the next call.

        Each is the payload of a webhook (secrets masked) with its `number`. A cursor that was never given out (0, or of
        a clock that has been set back) begins with the oldest event there is.
        """
        oldest = self._next - len(self._events)
        begin = cursor + 1 if oldest <= cursor + 1 <= self._next else oldest
        skip = begin - oldest
        chosen = itertools.islice(self._events, skip, skip + max(0, limit))
        found = [
            {**event.payload(self._server_id), "number": number} for number, event in enumerate(chosen, start=begin)
        ]
        return found, begin + len(found) - 1
