"""Hands timed ID3 of a transport stream on as events, within the bounds that hold for a publisher's data messages.

Law: as `hlsd.ingest.script_events`: what is beyond a bound is dropped and counted by its reason; what comes before the
stream begins is kept for it, the newest `KEPT`. `at` gives the place on the stream of a time in ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from hlsd.base.token_bucket import TokenBucket
from hlsd.ingest.script_events import KEPT, EventLimits
from hlsd.media.timed_event import TimedEvent

if TYPE_CHECKING:
    from hlsd.ports import Publication

At = Callable[[int], int | None]


class TimedTags:
    """One publisher's."""

    def __init__(self, publication: Publication, limits: EventLimits | None) -> None:
        self._publication = publication
        self._limits = limits or EventLimits()
        self._room = TokenBucket(self._limits.per_second, 0.0, least=1.0)
        self._early: deque[tuple[int, bytes]] = deque(maxlen=KEPT)

    def take(self, ms: int, packet: bytes, at: At, now: float) -> None:
        """Takes what a PES packet carries."""
        publication, limits = self._publication, self._limits
        if not limits.per_second:
            return
        tag = whole(packet)
        if not tag:
            publication.event_lost("unreadable")
        elif len(tag) > limits.bytes:
            publication.event_lost("large")
        elif not self._room.has(1, now):
            publication.event_lost("often")
        else:
            self._room.take()
            ticks = at(ms)
            if ticks is not None:
                publication.event(TimedEvent(ticks, tag, b""))
                return
            if len(self._early) == KEPT:
                publication.event_lost("early")
            self._early.append((ms, tag))

    def begin(self, at: At) -> None:
        """The stream has begun: what was kept for it is told."""
        while self._early:
            ms, tag = self._early.popleft()
            ticks = at(ms)
            if ticks is None:
                self._publication.event_lost("early")
            else:
                self._publication.event(TimedEvent(ticks, tag, b""))


def whole(packet: bytes) -> bytes:
    """The ID3 tag at the beginning of a packet, if all of it is there (ID3 2.4.0 §3.1); else nothing."""
    if len(packet) < 10 or packet[:3] != b"ID3" or any(one & 0x80 for one in packet[6:10]):
        return b""
    size = 10 + (packet[6] << 21 | packet[7] << 14 | packet[8] << 7 | packet[9]) + (10 if packet[5] & 0x10 else 0)
    return packet[:size] if len(packet) >= size else b""
