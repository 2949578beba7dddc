"""Who wants the segments of a run: recorders, time shift."""

from __future__ import annotations

from typing import Protocol

from hlsd.ports.outputs import LiveStream, MediaRun


class SinkPart(Protocol):
    """A part as a sink gets it."""

    @property
    def number(self) -> int:
        """One running count through the run."""
        ...

    @property
    def duration(self) -> int:
        """Ticks."""
        ...

    @property
    def independent(self) -> bool:
        """It begins with a picture that needs no other."""
        ...

    @property
    def gap(self) -> bool:
        """There is nothing in it."""
        ...

    @property
    def body(self) -> bytes | memoryview | None:
        """Its bytes, never altered; None where it was not muxed, which no sink is told that wants media."""
        ...


class SinkSegment(Protocol):
    """A segment as a sink gets it; what it says of its length is true once it is closed."""

    @property
    def msn(self) -> int:
        """Its media sequence number, the same in every rendition."""
        ...

    @property
    def uri(self) -> str:
        """`{run}/{name}`, as in playlists."""
        ...

    @property
    def date(self) -> float:
        """Wall clock of its first frame, seconds since the epoch; that of a run's first may be set right once."""
        ...

    @property
    def discontinuity(self) -> bool:
        """It does not continue the one before it."""
        ...

    @property
    def independent(self) -> bool:
        """It begins with a picture that needs no other."""
        ...

    @property
    def duration(self) -> int:
        """Ticks."""
        ...

    @property
    def body(self) -> bytes | None:
        """The parts joined; None while it is not closed. Joined when somebody first asks, so ask only to use it."""
        ...


class SegmentSink(Protocol):
    """Who wants a run's segments as they are made: a recorder, a DVR, a store. Calls must not block.

    Of a segment come `opened`, its parts in order, `closed`. One of which no `closed` came before the next `opened` is
    void: it was never listed, and its number may be used again. What a sink raises is its own: it is counted, and it
    hears nothing more before the next segment; after several faults in a minute, before the next discontinuity.
    """

    @property
    def wants_media(self) -> bool:
        """Whether parts are to be muxed for it though nobody watches. Read when it is attached."""
        ...

    def opened(self, run: MediaRun, rendition: str, segment: SinkSegment, init: bytes | None) -> None:
        """A segment begins; `init` is the initialisation section it needs, None for MPEG-TS."""
        ...

    def part(self, run: MediaRun, rendition: str, segment: SinkSegment, part: SinkPart) -> None:
        """The next part of the segment that was opened last."""
        ...

    def closed(self, run: MediaRun, rendition: str, segment: SinkSegment) -> None:
        """It is whole: its duration and its bytes are what they will be."""
        ...


class SinkFactory(Protocol):
    """Makes a sink for every run that there will be."""

    @property
    def name(self) -> str:
        """Of its sinks, in the figures of faults."""
        ...

    def sink(self, stream: LiveStream) -> SegmentSink | None:
        """The stream's sink; None where it wants nothing of it."""
        ...
