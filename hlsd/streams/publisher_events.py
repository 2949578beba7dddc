"""Tells of publishers and runs: who came, who left and why, what began and what is over (`hlsd.events`).

It keeps the order that events have: `postPublish` before anything else of a publication, `donePublish` once and last;
`streamStart` once a run's tracks are known, `streamStop` once for each of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hlsd.events import Action, Bus, Event
from hlsd.events.facts import address, publisher_facts
from hlsd.media.codecs import codecs_attribute
from hlsd.streams.publisher import PublisherEntry

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.streams.channel import Channel
    from hlsd.streams.stream import Stream


class PublisherEvents:
    """The events of one hub. `interval` is how often `updatePublish` is told, seconds; 0 for never."""

    def __init__(self, bus: Bus, clock: Clock, interval: float) -> None:
        self._bus = bus
        self._clock = clock
        self._interval = interval

    def admitted(self, channel: Channel, publisher: PublisherEntry, close: Callable[[str], None]) -> None:
        """The publisher holds the name; `close(reason)` sends it away."""
        stream = channel.stream
        assert stream is not None
        publisher.stream_id = stream.id
        publisher.describe(stream.tracks, stream.dropped, stream.converted)
        publisher.next_update = self._clock.monotonic() + self._interval
        publisher.admitted(close)
        channel.publisher = publisher
        self._tell(Action.POST_PUBLISH, publisher, stream)

    def announced(self, channel: Channel, stream: Stream) -> None:
        """The run's first tracks are known."""
        publisher = channel.publisher
        assert publisher is not None
        publisher.describe(stream.tracks, stream.dropped, stream.converted)
        channel.started = True
        self._tell_stream(Action.STREAM_START, stream, publisher, 1)

    def update(self, channel: Channel, now: float) -> None:
        """What has come by now, if it is time to say so."""
        publisher, stream = channel.publisher, channel.stream
        assert publisher is not None
        assert stream is not None
        if self._interval and now >= publisher.next_update:
            publisher.next_update = now + self._interval
            publisher.describe(stream.tracks, stream.dropped, stream.converted)
            self._tell(Action.UPDATE_PUBLISH, publisher, stream)

    def done(self, channel: Channel, stream: Stream, reason: str, words: str = "") -> None:
        """The publisher is gone."""
        publisher = channel.publisher
        assert publisher is not None
        publisher.over()
        publisher.describe(stream.tracks, stream.dropped, stream.converted)
        self._tell(Action.DONE_PUBLISH, publisher, stream, reason, words)

    def stopped(self, channel: Channel, stream: Stream, reason: str) -> None:
        """The run is over, which is told if its beginning was."""
        if channel.started:
            channel.started = False
            publisher = channel.publisher
            assert publisher is not None
            self._tell_stream(Action.STREAM_STOP, stream, publisher, 2, reason)

    def _tell(
        self, action: Action, publisher: PublisherEntry, stream: Stream, reason: str = "", detail: str = ""
    ) -> None:
        at = self._clock.wall()
        received = stream.stats.received_bytes
        self._bus.emit(publisher.event(action, at, received=received, reason=reason, detail=detail), publisher)

    def _tell_stream(
        self, action: Action, stream: Stream, publisher: PublisherEntry, seq: int, reason: str = ""
    ) -> None:
        at = self._clock.wall()
        facts = publisher_facts(
            ip=address(publisher.ip, publisher.port),
            app=stream.app,
            name=stream.name,
            protocol=publisher.protocol,
            stream_id=stream.id,
            since=stream.since,
            at=at,
            over=action is Action.STREAM_STOP,
            received=stream.stats.received_bytes,
            codec=codecs_attribute(stream.tracks),
            dropped=stream.dropped,
            converted=stream.converted,
            user_id=publisher.user_id,
            reason=reason,
        )
        self._bus.emit(Event(action, stream.id, seq, at, facts, publisher.query), publisher)
