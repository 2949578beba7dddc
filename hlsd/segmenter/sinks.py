"""Tells those who want a run's segments of each as it is made; what one of them raises is its own.

Law: a sink is told of whole segments only: from the `opened` on that comes after it was attached, or after it raised.
After `MOST` faults within `WITHIN` seconds it stays off until the next discontinuity of the run, so that what fails at
each segment costs no trace in the log for ever. It costs a call a part, and nothing a unit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from hlsd.base.faults import Faults
from hlsd.ports import MediaRun, SegmentSink, SinkPart, SinkSegment

MOST: Final = 5
"""Faults within `WITHIN` seconds; the next one switches off."""
WITHIN: Final = 60.0


class Sinks:
    """The sinks of one run, by name."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = monotonic) -> None:
        self.wanted = False
        """Whether one that is in order wants media: then parts are muxed though nobody watches."""
        self._faults = faults
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._all: tuple[_Held, ...] = ()
        """The same, made when one comes or goes, not for each part."""

    def attach(self, name: str, sink: SegmentSink) -> None:
        """Tells `sink` of what is opened from now on; one of the same name before it hears nothing more."""
        self.detach(name)
        self._held[name] = _Held(name, sink, wants_media=sink.wants_media)
        self._all = tuple(self._held.values())
        self._count()

    def detach(self, name: str) -> None:
        """Ends `attach`; nothing happens if it is over already."""
        held = self._held.pop(name, None)
        if held is not None:
            held.told.clear()
            self._faults.off[name] -= held.off
        self._all = tuple(self._held.values())
        self._count()

    def clear(self) -> None:
        """The run is gone."""
        for name in list(self._held):
            self.detach(name)

    def revive(self) -> None:
        """Behind a discontinuity everybody has another chance."""
        for held in self._all:
            if held.off:
                held.off = False
                held.times.clear()
                self._faults.off[held.name] -= 1
        self._count()

    def opened(self, run: MediaRun, rendition: str, segment: SinkSegment, init: bytes | None) -> None:
        """A segment of a rendition begins."""
        for held in self._all:
            if held.off:
                continue
            try:
                held.sink.opened(run, rendition, segment, init)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this sink's
                self._failed(held, error)
            else:
                held.told[rendition] = segment

    def part(self, run: MediaRun, rendition: str, segment: SinkSegment, part: SinkPart) -> None:
        """The segment's next part."""
        for held in self._all:
            if held.told.get(rendition) is segment:
                try:
                    held.sink.part(run, rendition, segment, part)
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed(held, error)

    def closed(self, run: MediaRun, rendition: str, segment: SinkSegment) -> None:
        """The segment is whole."""
        for held in self._all:
            if held.told.pop(rendition, None) is segment:
                try:
                    held.sink.closed(run, rendition, segment)
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed(held, error)

    def _failed(self, held: _Held, error: Exception) -> None:
        """It hears nothing more of the segments that are open now."""
        held.told.clear()
        self._faults.output(held.name, error)
        now = self._clock()
        if len(held.times) == MOST and now - held.times[0] < WITHIN and not held.off:
            held.off = True
            self._faults.off[held.name] += 1
            self._count()
        held.times.append(now)

    def _count(self) -> None:
        self.wanted = any(held.wants_media and not held.off for held in self._all)


class _Held:
    """One sink, and what it has been told."""

    __slots__ = ("name", "off", "sink", "times", "told", "wants_media")

    def __init__(self, name: str, sink: SegmentSink, *, wants_media: bool) -> None:
        self.name = name
        self.sink = sink
        self.wants_media = wants_media
        self.off = False
        self.times: deque[float] = deque(maxlen=MOST)
        self.told: dict[str, SinkSegment] = {}
        """The open segment of each rendition of whose beginning it was told."""
