"""Keeps timed metadata until the part is cut that holds its time.

Law: an event goes out once, in the order of time, with the part in whose span its time lies, as sound does (TS16,
FM10); one that comes too late for that is the next part's, at its beginning: "The presentation_time must be within the
time interval of the fragment" (AOM, ID3 in CMAF). What a gap would carry waits for media. Bounded: the newest `MOST`
events and `MOST_BYTES` of them wait; a publisher's data may be ahead of its frames, and a stream may stand still.
Times are ticks of the stream. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hlsd.media.timed_event import TimedEvent
    from hlsd.segmenter.cut import Cut

MOST: Final = 256
MOST_BYTES: Final = 1 << 20
AHEAD: Final = 30 * 90_000
"""Ticks by which an event may be ahead of the media: who is further ahead has another clock."""


class PendingEvents:
    """The events of one output, in order of time."""

    __slots__ = ("_events", "bytes")

    def __init__(self) -> None:
        self._events: list[TimedEvent] = []
        self.bytes = 0
        """Of those that wait."""

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: TimedEvent) -> None:
        """One more; the oldest go where there is no room."""
        events = self._events
        at = len(events)
        while at and events[at - 1].pts > event.pts:
            at -= 1
        events.insert(at, event)
        self.bytes += _size(event)
        while len(events) > MOST or self.bytes > MOST_BYTES:
            self.bytes -= _size(events.pop(0))

    def onto(self, cuts: Iterable[Cut], left_out: int = 0) -> list[Cut]:
        """The cuts, each with the events that are its own; `left_out` ticks of the source's time are not in them."""
        return [self._onto(cut, left_out) if cut.video or cut.audio else cut for cut in cuts]

    def _onto(self, cut: Cut, left_out: int) -> Cut:
        events, start, end = self._events, cut.start, cut.start + cut.duration
        due = 0
        while due < len(events) and not end <= events[due].pts - left_out < end + AHEAD:
            due += 1
        if not due:
            return cut
        taken, self._events = events[:due], events[due:]
        self.bytes -= sum(map(_size, taken))
        times = [min(max(event.pts - left_out, start), end - 1) for event in taken]
        return replace(cut, events=tuple([one._replace(pts=at) for one, at in zip(taken, times, strict=True)]))


def _size(event: TimedEvent) -> int:
    return len(event.tag) + len(event.script)
