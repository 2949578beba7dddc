"""What a stream feeds: outputs, who makes them, what one of them keeps to be asked for, and who wants its segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from hlsd.media.date_range import DateRange
from hlsd.media.sounds import SoundFormat
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import AccessUnit, Tracks
from hlsd.ports.playable import Playable
from hlsd.ports.publishing import PublishRequest
from hlsd.ports.renditions import Ladder, OfferedRendition
from hlsd.stats import StreamStats

MAIN: Final = "main"
"""The rendition that every run has: the media as it was published."""
AUDIO_ONLY: Final = "audio"
"""The rendition of its sound alone, where there is one."""


class Output(Protocol):
    """A way out as a stream sees it. Calls come in order, from the event loop, and must not block."""

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows; also called first thing on attaching, if they are known."""
        ...

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        ...

    def jump(self) -> None:
        """A discontinuity stands before the next unit (clock jump or another publisher)."""
        ...

    def pause(self) -> None:
        """The publisher has left; it may be back within the grace."""
        ...

    def end(self) -> None:
        """The stream is over: nothing will follow."""
        ...


@runtime_checkable
class EventTaker(Protocol):
    """An output that carries timed metadata; one that is no such is not told of any."""

    def event(self, event: TimedEvent) -> None:
        """Something is to be said at an instant, mostly that of the newest unit; its time may lie behind or ahead."""
        ...


@runtime_checkable
class RangeTaker(Protocol):
    """An output that tells of stretches of the wall clock; one that is no such is not told of any."""

    def date_range(self, told: DateRange) -> None:
        """One more, or more of one that was told of."""
        ...


@runtime_checkable
class AsSentTaker(Protocol):
    """An output that takes sound as its publisher sent it, beside the AAC that became of it."""

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """A packet that is to be heard at `ticks` of the stream's clock; it comes before its AAC."""
        ...


class Feed(Protocol):
    """A stream as a way out sees it: what it may be attached to."""

    app: str
    name: str

    def attach(self, name: str, output: Output) -> None:
        """Feeds `output` from now on, under that name."""
        ...

    def detach(self, name: str) -> None:
        """Ends `attach`; nothing happens if it is over already."""
        ...


class LiveStream(Feed, Protocol):
    """A stream as those see it who make its outputs."""

    id: str
    """Of this run of the name, as in events and in its media's URLs."""
    stats: StreamStats
    run: MediaRun | None
    """What an output keeps of it to be asked for, once there is one that does."""

    @property
    def path(self) -> str:
        """`/{app}/{stream}`."""
        ...

    @property
    def over(self) -> bool:
        """Whether nobody will publish into this run any more."""
        ...

    def refresh(self) -> bool:
        """Asks its publisher for a key picture; False where it cannot be asked."""
        ...

    def turn_away(self, reason: str, words: str) -> None:
        """Lets its publisher go; `words` say to it, in the log and in the event what `reason` does not."""
        ...


class OutputFactory(Protocol):
    """Makes one way out of every stream: HLS, FLV, pushes. The hub is given all of them."""

    @property
    def name(self) -> str:
        """Of its outputs, among those of a stream and in the figures of faults."""
        ...

    def output(self, stream: LiveStream, request: PublishRequest) -> Output | None:
        """What to feed from the first unit on; asked at each publication while the stream has no such output.

        None where there is nothing to be fed, or where it attaches itself when somebody wants it. What this raises
        costs the stream this way out, and neither the publisher nor another one.
        """
        ...


class MediaRun(Protocol):
    """What an output keeps of one run of a stream to be asked for: its renditions, each with its media."""

    @property
    def id(self) -> str:
        """Of the run, as in events and in its media's URLs."""
        ...

    @property
    def live(self) -> Playable:
        """The main rendition."""
        ...

    @property
    def ladder(self) -> Ladder:
        """Its renditions beside the main one."""
        ...

    def offered(self) -> Sequence[OfferedRendition]:
        """What viewers are offered, the main one first."""
        ...

    @property
    def about(self) -> tuple[str, str]:
        """The run's id, and the codecs as a multivariant playlist says them: what events tell of the stream."""
        ...

    @property
    def bytes(self) -> int:
        """Of media held."""
        ...

    @property
    def kept(self) -> float:
        """Seconds that it stays after its end: "at least the playlist's duration after the end" (EN04)."""
        ...

    @property
    def frame_rate(self) -> float:
        """Of the main rendition, as measured; 0.0 while that is not known."""
        ...

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Listed so far, by kind: `ts`, `fmp4`, `part`."""
        ...

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame."""
        ...

    def allow(self, bitrate: float) -> None:
        """Lets what it holds grow with what comes in, bits per second by the clock."""
        ...

    def shrink(self, to: int) -> None:
        """Lets go of old media until `to` bytes are held, or as little as is lawful."""
        ...

    def follow(self, previous: MediaRun | None) -> None:
        """Answers for the ended run of the same name too, whose media somebody may still be reading (EN04)."""
        ...

    def remove(self) -> None:
        """The stream is gone from the server: whoever waits is answered with nothing."""
        ...

    def attach(self, name: str, sink: SegmentSink) -> None:
        """Tells `sink` of every segment that is opened from now on; `name` is what its faults are counted under."""
        ...

    def detach(self, name: str) -> None:
        """Ends `attach`; nothing happens if it is over already."""
        ...


@runtime_checkable
class Keeping(Output, Protocol):
    """An output that keeps what it makes: HLS."""

    @property
    def run(self) -> MediaRun:
        """What it keeps."""
        ...


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
