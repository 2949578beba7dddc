"""Knows every channel by name: lets publishers in, finds streams for viewers, ends what nobody feeds any more.

It is `hlsd.ports.Admission` to the ways in, and the better part of `hlsd.ports.Directory` to delivery. What is made of
a stream is made by the factories that it is given, HLS like any other. Time comes in through `sweep`, once a second, so
that a thousand streams need no timers of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from hlsd.events import Bus
from hlsd.media.codecs import codecs_attribute
from hlsd.ports import Gate, MediaRun, OutputFactory, Playable, Publication, PublishRequest, Refuse, StreamSummary
from hlsd.stats import Stats
from hlsd.streams.channel import Channel
from hlsd.streams.claim import Claim
from hlsd.streams.expected import Expected
from hlsd.streams.memory import media_bytes, relieve
from hlsd.streams.publish_rules import PublishRules
from hlsd.streams.publisher import PublisherEntry
from hlsd.streams.publisher_events import PublisherEvents
from hlsd.streams.run_ids import RunIds
from hlsd.streams.stream import Stream, StreamState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from hlsd.base.clock import Clock
    from hlsd.ingest.settings import PublishSettings


class Hub:
    """The channels of one server.

    `outputs()` make the ways out of each stream, in the order in which they are fed: asked when a stream begins.
    `max_streams` and `max_memory` (bytes of media in all windows) bound what
    is let in. `bus` is told of publishers and streams, `over(app, name)` when a stream has ended, and when it was
    removed. `joined(app, name)`: what viewers find where nobody publishes that name itself. `ready()` is waited for
    before a publisher is let in.
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        settings: PublishSettings,
        clock: Clock,
        outputs: Callable[[], Iterable[OutputFactory]],
        *,
        max_streams: int,
        max_memory: int,
        gate: Gate | None = None,
        bus: Bus | None = None,
        stats: Stats | None = None,
        over: Callable[[str, str], None] = lambda _app, _name: None,
        joined: Callable[[str, str], Playable | None] = lambda _app, _name: None,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.bus = bus or Bus()
        self._outputs = outputs
        self._stats = stats or Stats()
        self._faults = self._stats.faults
        self._over = over
        self._joined = joined
        self._ready = ready
        self._settings = settings
        self._clock = clock
        self._channels: dict[tuple[str, str], Channel] = {}
        """By app and name; those with a stream in the order in which their runs began."""
        self._run_ids = RunIds(clock.wall)
        self._events = PublisherEvents(self.bus, clock, settings.update_interval)
        self.rules = PublishRules(
            settings,
            clock,
            self._channels,
            max_streams=max_streams,
            max_memory=max_memory,
            bus=self.bus,
            gate=gate,
        )
        """Who may publish."""
        self._log = structlog.get_logger()

    # As the ways in see it.

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        """Claims the name for the publisher, or says why not."""
        publisher = PublisherEntry(request, self._clock.wall())
        asked = request.name
        if self._ready is not None:
            await self._ready()
        request, refusal = await self.rules.admit(request, publisher)
        if refusal is not None:
            self._stats.app(request.app).publishes[refusal.code.value] += 1
            self._log.info(
                "publish refused",
                app=request.app[:128],
                name="***" if self.rules.hides(request, asked) else request.name[:128],
                ip=request.ip,
                code=refusal.code.value,
                reason=refusal.reason,
            )
            return refusal
        now = self._clock.monotonic()
        counted = self._stats.admit(request.app)
        counted.publishes["ok"] += 1
        channel = self._channel(request.app, request.name)
        if channel.claim is not None:
            counted.takeovers[self._settings.takeover] += 1
            self._drop(channel, "replaced", now)
        if channel.stream is not None and channel.stream.state is StreamState.ENDED:
            channel.retire()
        stream = channel.stream or self._begin(channel)
        publisher.received_before = stream.stats.received_bytes
        claim = stream.publish(request, now, self._left)
        try:
            self._admitted(channel, publisher, claim)
            self._log.info(
                "publish started",
                app=request.app,
                name=request.name,
                ip=request.ip,
                protocol=request.protocol,
                agent=request.user_agent[:128],
            )
        except BaseException:
            stream.release(now)  # whoever is told of the error holds no name
            raise
        self._put_out(channel, stream, request)
        return claim

    # As delivery sees it.

    def find(self, app: str, name: str) -> Playable | None:
        """The main rendition of a stream that is live, in its grace or kept after its end; or what is joined so."""
        channel = self._channels.get((app, name))
        found = channel.live if channel is not None else None
        return found if found is not None else self._joined(app, name)

    def expected(self, app: str, name: str) -> Expected:
        """What stands for a stream that is not here, until it comes."""
        channel = self._channel(app, name)
        if channel.expected is None:

            def left() -> None:
                if channel.expected is expected:
                    channel.expected = None
                    self._tidy(channel)

            expected = channel.expected = Expected(left)
        return channel.expected

    def summaries(self) -> list[StreamSummary]:
        """The streams that are live or in their grace, by path."""
        return [
            self._summary(stream)
            for stream in sorted(self.streams, key=lambda stream: (stream.app, stream.name))
            if stream.state is not StreamState.ENDED and stream.tracks is not None
        ]

    # As the app sees it.

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self.rules.draining

    @property
    def streams(self) -> list[Stream]:
        """Every stream, the one whose run began first in front."""
        return [channel.stream for channel in self._channels.values() if channel.stream is not None]

    def get(self, app: str, name: str) -> Stream | None:
        """The stream of a name, live or not."""
        channel = self._channels.get((app, name))
        return channel.stream if channel is not None else None

    def run(self, app: str, name: str) -> MediaRun | None:
        """What an output keeps of a name's stream."""
        stream = self.get(app, name)
        return stream.run if stream is not None else None

    def playables(self) -> list[tuple[str, Playable]]:
        """What viewers find, each with its app."""
        return [(channel.app, channel.live) for channel in self._channels.values() if channel.live is not None]

    def named(self) -> dict[tuple[str, str], Stream]:
        """Every stream by app and name, the one whose run began first in front."""
        return {(stream.app, stream.name): stream for stream in self.streams}

    def media_bytes(self) -> int:
        """Media held for all streams, bytes."""
        return media_bytes(self._channels.values())

    def sweep(self) -> None:
        """Once a second: measures, ends streams whose grace is over, removes those whose viewers had their time."""
        now = self._clock.monotonic()
        guard = self._faults.guard("stream_sweep")
        for channel in list(self._channels.values()):
            with guard:
                self._look(channel, now)
            with guard:
                self._look_back(channel, now)
        self.rules.sweep(now)
        with guard:
            found = relieve(self._channels.values(), self.rules.max_memory)
            if found is not None:
                self.drop(found[0], "limit", found[1])

    def _look(self, channel: Channel, now: float) -> None:
        """What is due of one stream."""
        stream = channel.stream
        if stream is None:
            return
        stream.measure(now)
        run = stream.run
        if stream.claim is not None:
            if run is not None:
                run.allow(stream.stats.bitrate)
            stream.claim.listen(now)
            with self._faults.guard("update_publish"):
                self._events.update(channel, now)
        waited = now - stream.state_since
        if stream.state is StreamState.GRACE and waited >= self._settings.grace and not self.rules.draining:
            self._finish(channel, stream, now)
        elif stream.state is StreamState.ENDED and waited >= (run.kept if run is not None else 0.0):
            try:
                channel.remove()
            finally:
                self._tidy(channel)
                self._over(channel.app, channel.name)

    def _look_back(self, channel: Channel, now: float) -> None:
        """Lets go of the run before, once its viewers had their time, and of what nobody waits for."""
        if channel.expected is not None and not channel.expected.watched:  # who asked for it was not held after all
            channel.expected = None
            self._tidy(channel)
        past = channel.past
        if past is not None and now - past.state_since >= (past.run.kept if past.run is not None else 0.0):
            channel.forget()
            self._tidy(channel)

    def drain(self) -> None:
        """Lets nobody publish any more, and tells the end of every run; no playlist ends.

        To a player EXT-X-ENDLIST means that "no more Media Segments will be added" (rfc8216bis §4.4.3.4): it would
        never ask again, though the same stream goes on a moment later, in the server that takes this one's place.
        """
        self.rules.draining = True
        now = self._clock.monotonic()
        for channel in self._channels.values():
            self._drop(channel, "shutdown", now)
            stream = channel.stream
            if stream is not None and stream.state is not StreamState.ENDED:
                self._events.stopped(channel, stream, "shutdown")

    def kick(self, app: str, name: str, reason: str = "kicked", ban: float = 0.0) -> bool:
        """Sends the publisher of a name away; its address may not come back to that name for `ban` seconds.

        False if nobody publishes it.
        """
        channel = self._channels.get((app, name))
        claim = channel.claim if channel is not None else None
        if channel is None or claim is None:
            return False
        now = self._clock.monotonic()
        if ban > 0:
            self.rules.ban(app, name, claim.request.ip, now + ban)
        self._drop(channel, reason, now)
        return True

    def abandon(self, app: str, name: str) -> None:
        """Nobody will come back to the stream: if it is in its grace, it ends now."""
        channel = self._channels.get((app, name))
        stream = channel.stream if channel is not None else None
        if channel is not None and stream is not None and stream.state is StreamState.GRACE and not self.rules.draining:
            self._finish(channel, stream, self._clock.monotonic())

    def publisher(self, app: str, name: str) -> PublisherEntry | None:
        """Who publishes a name at this instant."""
        channel = self._channels.get((app, name))
        found = channel.publisher if channel is not None else None
        return found if found is not None and found.on_air else None

    def reject(self, publication: str, reason: str) -> bool:
        """Sends a publisher away by the id it has in events; False if it is gone."""
        for channel in self._channels.values():
            publisher = channel.publisher
            if publisher is not None and publisher.id == publication and publisher.on_air:
                publisher.reject(reason)
                return True
        return False

    def drop(self, stream: Stream, reason: str, words: str = "") -> None:
        """Turns the stream's publisher away; `words` say to it, in the log and in the event what `reason` does not."""
        channel = self._channels.get((stream.app, stream.name))
        if channel is not None and channel.stream is stream:
            self._drop(channel, reason, self._clock.monotonic(), words)

    def _admitted(self, channel: Channel, publisher: PublisherEntry, claim: Claim) -> None:
        def close(reason: str) -> None:
            if channel.claim is claim:
                self._drop(channel, reason, self._clock.monotonic())

        self._events.admitted(channel, publisher, close)

    def _finish(self, channel: Channel, stream: Stream, now: float) -> None:
        stream.finish(now)
        with self._faults.guard("stream_end"):
            self._over(stream.app, stream.name)
        self._events.stopped(channel, stream, "stream_end")
        self._log.info("stream ended", app=stream.app, name=stream.name)

    def _channel(self, app: str, name: str) -> Channel:
        """The channel of a name, a new one if there is nothing about it yet: then something must become of it."""
        found = self._channels.get((app, name))
        if found is None:
            found = self._channels[app, name] = Channel(app, name)
        return found

    def _tidy(self, channel: Channel) -> None:
        """Lets go of a channel of which nothing is left."""
        if channel.idle:
            self._channels.pop((channel.app, channel.name), None)

    def _begin(self, channel: Channel) -> Stream:
        """A new run of the name, without outputs yet."""
        stream = Stream(
            channel.app,
            channel.name,
            self._clock.wall(),
            self._faults,
            id=self._run_ids.next(),
            announced=lambda stream: self._events.announced(channel, stream),
            drop=self.drop,
        )
        channel.begin(stream)
        del self._channels[channel.app, channel.name]  # the newest stands last
        self._channels[channel.app, channel.name] = channel
        return stream

    def _put_out(self, channel: Channel, stream: Stream, request: PublishRequest) -> None:
        """Makes the ways out that the stream does not have yet; one that is not made is missing, and the others are."""
        for factory in self._outputs():
            if factory.name in stream.outlets:
                continue
            try:
                output = factory.output(stream, request)
                if output is not None:
                    stream.attach(factory.name, output)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is that way out's
                self._faults.output(factory.name, error, app=stream.app, name=stream.name)
        if channel.live is None:
            channel.serve()

    def _left(self, stream: Stream, reason: str) -> None:
        self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
        stream.release(self._clock.monotonic())
        with self._faults.guard("publisher_gone"):
            self._events.done(self._channels[stream.app, stream.name], stream, reason)

    def _drop(self, channel: Channel, reason: str, now: float, words: str = "") -> None:
        stream, claim = channel.stream, channel.claim
        if stream is None or claim is None:
            return
        if words:
            self._log.warning("publisher turned away", app=stream.app, name=stream.name, reason=reason, detail=words)
            claim.request.tell(words)
        self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
        stream.release(now)
        guard = self._faults.guard("publisher_gone")
        with guard:
            claim.request.drop(reason)
        with guard:
            self._events.done(channel, stream, reason, words)

    def _summary(self, stream: Stream) -> StreamSummary:
        tracks = stream.tracks
        assert tracks is not None
        video = tracks.video
        return StreamSummary(
            app=stream.app,
            name=stream.name,
            codecs=codecs_attribute(tracks),
            width=video.width if video else 0,
            height=video.height if video else 0,
            frame_rate=stream.run.frame_rate if video and stream.run is not None else 0.0,
            bitrate=stream.stats.bitrate,
            since=stream.since,
            publishing=stream.claim is not None,
        )
