"""Is one name: who publishes it, the run that is on air, the ended one that is still read, and who waits for it.

A channel is there as long as any of these is. What happens to a run is its stream's; when something is to happen is the
hub's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hlsd.streams.expected import Expected

if TYPE_CHECKING:
    from hlsd.ports import MediaRun, Playable
    from hlsd.streams.claim import Claim
    from hlsd.streams.publisher import PublisherEntry
    from hlsd.streams.stream import Stream


class Channel:
    """One app and name."""

    __slots__ = ("app", "expected", "live", "name", "past", "publisher", "started", "stream")

    def __init__(self, app: str, name: str) -> None:
        self.app = app
        self.name = name
        self.publisher: PublisherEntry | None = None
        """Who holds the name, or held it last, for as long as the stream is here."""
        self.stream: Stream | None = None
        """The run that is here: live, in its grace, or ended and kept; with its outputs."""
        self.past: Stream | None = None
        """The ended run before it, whose media is still read (EN04)."""
        self.live: Playable | None = None
        """The main rendition of the stream's run, as viewers find it."""
        self.started = False
        """`streamStart` was told of the stream, and `streamStop` was not."""
        self.expected: Expected | None = None
        """What stands for a stream that is not here, for those who wait for it."""

    @property
    def claim(self) -> Claim | None:
        """The publisher's claim to the name at this instant."""
        return self.stream.claim if self.stream is not None else None

    @property
    def idle(self) -> bool:
        """Whether there is nothing about this name."""
        return self.stream is None and self.past is None and self.expected is None

    @property
    def runs(self) -> Iterator[MediaRun]:
        """Whose media is kept, the older one first."""
        for stream in (self.past, self.stream):
            if stream is not None and stream.run is not None:
                yield stream.run

    @property
    def held(self) -> int:
        """Bytes of media kept for the name, those that wait for something included."""
        return sum([run.bytes for run in self.runs]) + (self.stream.held if self.stream is not None else 0)

    def begin(self, stream: Stream) -> None:
        """A new run is here; there is none before it, or it was retired."""
        assert self.stream is None
        self.stream = stream

    def serve(self) -> None:
        """The run's outputs are there: viewers find it from now on, and whoever waits looks again."""
        stream = self.stream
        assert stream is not None
        run = stream.run
        if run is not None:
            run.follow(self.past.run if self.past is not None else None)
            self.live = run.live
        expected, self.expected = self.expected, None
        if expected is not None:
            expected.came()

    def retire(self) -> None:
        """Makes way for a new run; the ended one's segments stay for those who still read them (EN04)."""
        self.forget()
        self.past, self.stream, self.live = self.stream, None, None

    def forget(self) -> None:
        """Removes the run before, also from the one that still looked after its viewers."""
        past, self.past = self.past, None
        if past is not None and past.run is not None:
            if self.stream is not None and self.stream.run is not None:
                self.stream.run.follow(None)
            past.run.remove()

    def remove(self) -> None:
        """Removes the stream: its viewers had their time."""
        stream, self.stream = self.stream, None
        self.publisher = self.live = None
        if stream is not None and stream.run is not None:
            stream.run.remove()
