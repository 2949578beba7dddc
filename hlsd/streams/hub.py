"""Knows every stream by name: lets publishers in, finds streams for viewers, ends what nobody feeds any more.

It is `hlsd.ports.Admission` to the ways in and `hlsd.ports.Directory` to delivery. Time comes in through `sweep`, once
a second, so that a thousand streams need no timers of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.base import stream_name
from hlsd.base.quantities import in_mib
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import address, publisher_facts
from hlsd.media.codecs import codecs_attribute
from hlsd.ports import (
    ABSENT,
    Denial,
    Gate,
    Grant,
    OnDemand,
    PlayRequest,
    Publication,
    PublishRequest,
    Refuse,
    RefuseCode,
    StreamSummary,
)
from hlsd.stats import Stats
from hlsd.streams.expected import Expected
from hlsd.streams.publisher import Publisher
from hlsd.streams.stream import Claim, Stream, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hlsd.base.clock import Clock
    from hlsd.ingest.settings import PublishSettings
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.segmenter import Segmenter

MAX_BANS: Final = 10_000
"""Kicked publishers that are remembered; beyond it the oldest may come back early."""
RELAY: Final = "relay"
"""The protocol of publishers that this server fetched itself: the operator's rule let them in."""


class Hub:
    """The streams of one server.

    `segmenter_for(stream)` makes the HLS output of a new stream. `max_streams` and `max_memory` (bytes of media in all
    windows) bound what is let in. `bus` is told of publishers and streams.
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        settings: PublishSettings,
        clock: Clock,
        segmenter_for: Callable[[Stream], Segmenter],
        *,
        max_streams: int,
        max_memory: int,
        gate: Gate | None = None,
        bus: Bus | None = None,
        stats: Stats | None = None,
    ) -> None:
        self.bus = bus or Bus()
        self._stats = stats or Stats()
        self._faults = self._stats.faults
        self.over: Callable[[str, str], None] = lambda _app, _name: None
        """Told when a stream has ended, and when it was removed."""
        self.on_demand: OnDemand | None = None
        """Who can make absent streams come; the relay room puts itself here."""
        self.published: list[Callable[[PublishRequest, Stream], None]] = []
        """Called when a publisher has been let in, before its first unit: what feeds on every stream attaches here."""
        self._begun: list[Callable[[Stream], None]] = []
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._segmenter_for = segmenter_for
        self._max_streams = max_streams
        self._max_memory = max_memory
        self._streams: dict[tuple[str, str], Stream] = {}
        self._hls: dict[tuple[str, str], Segmenter] = {}
        self._past: list[tuple[Stream, Segmenter]] = []
        self._expected: dict[tuple[str, str], Expected] = {}
        """Streams that are not here and for which somebody waits."""
        self._draining = False
        self._update_interval = settings.update_interval
        self._publishers: dict[tuple[str, str], Publisher] = {}
        """Who holds a name, or held it last, for as long as the stream is here."""
        self._started: set[str] = set()
        """Runs of which `streamStart` was told and `streamStop` was not."""
        self._bans: dict[tuple[str, str, str], float] = {}
        """Until when (monotonic) an address may not publish under a name."""
        self._log = structlog.get_logger()

    # As the ways in see it.

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        """Claims the name for the publisher, or says why not."""
        publisher = Publisher(request, self._clock.wall())
        refusal = self._refusal(request)
        asked = request.name
        if refusal is None:
            request, refusal = await self._authorise(request, publisher)
        # a stream key is a secret until it has been exchanged for the name that viewers know
        hidden = self._gate is not None and self._gate.hides_names(request.app) and request.name == asked
        if refusal is not None:
            self._stats.app(request.app).publishes[refusal.code.value] += 1
            self._log.info(
                "publish refused",
                app=request.app[:128],
                name="***" if hidden else request.name[:128],
                ip=request.ip,
                code=refusal.code.value,
                reason=refusal.reason,
            )
            return refusal
        now = self._clock.monotonic()
        key = (request.app, request.name)
        stream = self._streams.get(key)
        counted = self._stats.admit(request.app)
        counted.publishes["ok"] += 1
        if stream is not None and stream.hold is not None:
            counted.takeovers[self._settings.takeover] += 1
            self._drop(stream, "replaced", now)
        if stream is not None and stream.state is StreamState.ENDED:
            self._retire(key, stream)
            stream = None
        if stream is None:
            stream = self._create(request.app, request.name)
        publisher.received_before = stream.stats.received_bytes
        hold = stream.publish(request, now, self._left)
        try:
            self._admitted(key, publisher, hold)
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
        guard = self._faults.guard("published")
        for tell in self.published:
            with guard:  # what it is told for is lost for this publication; the publisher is not
                tell(request, stream)
        return hold

    # As delivery sees it.

    def find(self, app: str, name: str) -> Live | None:
        """The HLS output of a stream that is live, in its grace or kept after its end."""
        segmenter = self._hls.get((app, name))
        return segmenter.live if segmenter is not None else None

    def expected(self, app: str, name: str) -> Expected:
        """What stands for a stream that is not here, until it comes."""
        key = (app, name)
        found = self._expected.get(key)
        if found is None:

            def left() -> None:
                self._expected.pop(key, None)

            found = self._expected[key] = Expected(left)
        return found

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a stream that is not here can be made to come."""
        return self.on_demand is not None and self.on_demand.obtainable(app, name)

    async def obtain(self, request: PlayRequest) -> Live | Denial:
        """Makes an absent stream come, or says why it will not."""
        if self.on_demand is None:
            return ABSENT
        denial = await self.on_demand.obtain(request)
        return denial or self.find(request.app, request.name) or ABSENT

    def summaries(self) -> list[StreamSummary]:
        """The streams that are live or in their grace, by path."""
        return [
            self._summary(stream)
            for _, stream in sorted(self._streams.items())
            if stream.state is not StreamState.ENDED and stream.tracks is not None
        ]

    # As the app sees it.

    def on_stream(self, begun: Callable[[Stream], None]) -> None:
        """Calls `begun(stream)` for every stream from now on, before its first publication: ways out attach to it."""
        self._begun.append(begun)

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self._draining

    @property
    def streams(self) -> Iterable[Stream]:
        """Every stream, in no order."""
        return self._streams.values()

    def get(self, app: str, name: str) -> Stream | None:
        """The stream of a name, live or not."""
        return self._streams.get((app, name))

    def segmenter(self, stream: Stream) -> Segmenter:
        """The HLS output of one of `streams`."""
        return self._hls[stream.app, stream.name]

    def hls(self, app: str, name: str) -> Segmenter | None:
        """The HLS output of a name."""
        return self._hls.get((app, name))

    def playables(self) -> Iterator[tuple[str, Live]]:
        """Every stream's playlist, with its app."""
        return ((app, segmenter.live) for (app, _), segmenter in self._hls.items())

    def named(self) -> Mapping[tuple[str, str], Stream]:
        """Every stream by app and name, oldest first."""
        return self._streams

    def figures(self) -> list[tuple[Stream, Segmenter]]:
        """Every stream with its HLS output, oldest first: for the figures."""
        return [(stream, self._hls[key]) for key, stream in self._streams.items()]

    def media_bytes(self) -> int:
        """Media held for all streams, bytes: in their windows, before they get there, and for viewers by other ways."""
        windows = [segmenter.window for segmenter in self._hls.values()]
        windows += [segmenter.window for _, segmenter in self._past]
        return sum(window.bytes for window in windows) + sum(stream.held for stream in self._streams.values())

    def sweep(self) -> None:
        """Once a second: measures, ends streams whose grace is over, removes those whose viewers had their time."""
        now = self._clock.monotonic()
        guard = self._faults.guard("stream_sweep")
        for key, stream in list(self._streams.items()):
            with guard:
                self._look(key, stream, now)
        for ban in [ban for ban, until in self._bans.items() if until <= now]:
            del self._bans[ban]
        for entry in list(self._past):
            old, segmenter = entry
            with guard:
                if now - old.state_since >= _kept(segmenter):
                    self._past.remove(entry)
                    self._forget(segmenter.live, (old.app, old.name))
        with guard:
            self._relieve()

    def _look(self, key: tuple[str, str], stream: Stream, now: float) -> None:
        """What is due of one stream."""
        stream.measure(now)
        if stream.hold is not None:
            self._hls[key].allow(stream.stats.bitrate)
            stream.hold.listen(now)
            with self._faults.guard("update_publish"):
                self._update(self._publishers[key], stream, now)
        waited = now - stream.state_since
        if stream.state is StreamState.GRACE and waited >= self._settings.grace and not self._draining:
            self._finish(stream, now, "stream_end")
            self._log.info("stream ended", app=stream.app, name=stream.name)
        elif stream.state is StreamState.ENDED and waited >= _kept(self._hls[key]):
            del self._streams[key]
            self._publishers.pop(key, None)
            try:
                self._hls.pop(key).live.remove()
            finally:
                self.over(*key)

    def drain(self) -> None:
        """Lets nobody publish any more, and tells the end of every run; no playlist ends.

        To a player EXT-X-ENDLIST means that "no more Media Segments will be added" (rfc8216bis §4.4.3.4): it would
        never ask again, though the same stream goes on a moment later, in the server that takes this one's place.
        """
        self._draining = True
        now = self._clock.monotonic()
        for stream in self._streams.values():
            self._drop(stream, "shutdown", now)
            if stream.state is not StreamState.ENDED:
                self._stopped(stream, "shutdown")

    def kick(self, app: str, name: str, reason: str = "kicked", ban: float = 0.0) -> bool:
        """Sends the publisher of a name away; its address may not come back to that name for `ban` seconds.

        False if nobody publishes it.
        """
        stream = self._streams.get((app, name))
        if stream is None or stream.hold is None:
            return False
        now = self._clock.monotonic()
        if ban > 0:
            key = (app, name, stream.hold.request.ip)
            self._bans.pop(key, None)
            self._bans[key] = now + ban
            if len(self._bans) > MAX_BANS:
                del self._bans[next(iter(self._bans))]
        self._drop(stream, reason, now)
        return True

    def abandon(self, app: str, name: str) -> None:
        """Nobody will come back to the stream: if it is in its grace, it ends now."""
        stream = self._streams.get((app, name))
        if stream is not None and stream.state is StreamState.GRACE and not self._draining:
            self._finish(stream, self._clock.monotonic(), "stream_end")
            self._log.info("stream ended", app=app, name=name)

    def publisher(self, app: str, name: str) -> Publisher | None:
        """Who publishes a name at this instant."""
        found = self._publishers.get((app, name))
        return found if found is not None and found.on_air else None

    def reject(self, publication: str, reason: str) -> bool:
        """Sends a publisher away by the id it has in events; False if it is gone."""
        for publisher in self._publishers.values():
            if publisher.id == publication and publisher.on_air:
                publisher.reject(reason)
                return True
        return False

    async def _authorise(self, request: PublishRequest, publisher: Publisher) -> tuple[PublishRequest, Refuse | None]:
        """The rules first, then whoever listens to `prePublish`; both may rename."""
        if request.protocol == RELAY:
            return request, None
        if self._gate is not None:
            granted = await self._gate.publish(request)
            if isinstance(granted, Denial):
                return request, _refused(granted)
            request = self._granted(request, publisher, granted)
            if (refusal := self._refusal(request)) is not None:
                return request, refusal  # nobody need be asked about a name that cannot be had
        event = publisher.event(Action.PRE_PUBLISH, self._clock.wall())
        verdict = await self.bus.ask(event, publisher, publisher.denial)
        if isinstance(verdict, Denial):
            return request, _refused(verdict)
        if verdict is not None:
            request = self._granted(request, publisher, verdict)
        return request, self._refusal(request)  # again: another may have come while this one was looked at

    def _granted(self, request: PublishRequest, publisher: Publisher, grant: Grant) -> PublishRequest:
        publisher.user_id = grant.user_id or publisher.user_id
        if grant.name:
            publisher.name = grant.name
            return replace(request, name=grant.name)
        return request

    def _admitted(self, key: tuple[str, str], publisher: Publisher, hold: Claim) -> None:
        stream = hold.stream
        assert stream is not None

        def close(reason: str) -> None:
            if stream.hold is hold:
                self._drop(stream, reason, self._clock.monotonic())

        publisher.stream_id = stream.id
        publisher.describe(stream.tracks, stream.dropped)
        publisher.next_update = self._clock.monotonic() + self._update_interval
        publisher.admitted(close)
        self._publishers[key] = publisher
        stream.announced = self._announced
        self._tell(Action.POST_PUBLISH, publisher, stream)

    def _announced(self, stream: Stream) -> None:
        publisher = self._publishers[stream.app, stream.name]
        publisher.describe(stream.tracks, stream.dropped)
        self._started.add(stream.id)
        self._tell_stream(Action.STREAM_START, stream, publisher, 1)

    def _update(self, publisher: Publisher, stream: Stream, now: float) -> None:
        if self._update_interval and now >= publisher.next_update:
            publisher.next_update = now + self._update_interval
            publisher.describe(stream.tracks, stream.dropped)
            self._tell(Action.UPDATE_PUBLISH, publisher, stream)

    def _done(self, stream: Stream, reason: str, words: str = "") -> None:
        publisher = self._publishers[stream.app, stream.name]
        publisher.over()
        publisher.describe(stream.tracks, stream.dropped)
        self._tell(Action.DONE_PUBLISH, publisher, stream, reason, words)

    def _finish(self, stream: Stream, now: float, reason: str) -> None:
        stream.finish(now)
        with self._faults.guard("stream_end"):
            self.over(stream.app, stream.name)
        self._stopped(stream, reason)

    def _stopped(self, stream: Stream, reason: str) -> None:
        """Tells that the run is over, if its beginning was told."""
        if stream.id in self._started:
            self._started.remove(stream.id)
            publisher = self._publishers[stream.app, stream.name]
            self._tell_stream(Action.STREAM_STOP, stream, publisher, 2, reason)

    def _tell(self, action: Action, publisher: Publisher, stream: Stream, reason: str = "", detail: str = "") -> None:
        at = self._clock.wall()
        received = stream.stats.received_bytes
        self.bus.emit(publisher.event(action, at, received=received, reason=reason, detail=detail), publisher)

    def _tell_stream(self, action: Action, stream: Stream, publisher: Publisher, seq: int, reason: str = "") -> None:
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
            user_id=publisher.user_id,
            reason=reason,
        )
        self.bus.emit(Event(action, stream.id, seq, at, facts, publisher.query), publisher)

    def _refusal(self, request: PublishRequest) -> Refuse | None:
        if self._draining:
            return Refuse(RefuseCode.DRAINING, "the server is shutting down")
        if words := stream_name.fault(request.app, request.name):
            return Refuse(RefuseCode.BAD_NAME, words)
        until = self._bans.get((request.app, request.name, request.ip), 0.0) if self._bans else 0.0
        if until > self._clock.monotonic():
            return Refuse(RefuseCode.DENIED, "not allowed")
        stream = self._streams.get((request.app, request.name))
        if stream is not None and stream.hold is not None and not self._may_replace(stream.hold):
            return Refuse(RefuseCode.BUSY, f"{stream.path} is already being published")
        if stream is None:
            if len(self._streams) >= self._max_streams:
                return Refuse(RefuseCode.LIMIT, f"the server carries its {self._max_streams} streams already")
            if self.media_bytes() >= self._max_memory:
                return Refuse(RefuseCode.LIMIT, "the server has no memory left for another stream")
        return None

    def _may_replace(self, hold: Claim) -> bool:
        """Whether a second publisher takes over: a dead peer must not lock the owner out."""
        if self._settings.takeover == "always":
            return True
        now = self._clock.monotonic()
        hold.listen(now)
        return self._settings.takeover == "stale" and now - hold.last_heard >= self._settings.stale_after

    def _create(self, app: str, name: str) -> Stream:
        key = (app, name)
        stream = Stream(app, name, self._clock.wall(), self._faults)
        segmenter = self._segmenter_for(stream)
        stream.id = segmenter.window.run
        past = [old for earlier, old in self._past if (earlier.app, earlier.name) == key]
        segmenter.live.previous = past[-1].live if past else None
        stream.attach("hls", segmenter)
        self._streams[key] = stream
        self._hls[key] = segmenter
        guard = self._faults.guard("stream_begun")
        for begun in self._begun:
            with guard:  # that way out has no such stream; the others do
                begun(stream)
        expected = self._expected.pop(key, None)
        if expected is not None:
            expected.came()
        return stream

    def _retire(self, key: tuple[str, str], stream: Stream) -> None:
        """Makes way for a new run; the ended one's segments stay for those who still read them (EN04)."""
        for entry in [entry for entry in self._past if (entry[0].app, entry[0].name) == key]:
            self._past.remove(entry)
            self._forget(entry[1].live, key)
        del self._streams[key]
        self._past.append((stream, self._hls.pop(key)))

    def _forget(self, live: Live, key: tuple[str, str]) -> None:
        """Removes an ended run of a name, also from the run that still looked after its viewers."""
        live.remove()
        current = self._hls.get(key)
        if current is not None and current.live.previous is live:
            current.live.previous = None

    def _left(self, hold: Claim, reason: str) -> None:
        stream = hold.stream
        if stream is not None:
            self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
            stream.release(self._clock.monotonic())
            with self._faults.guard("publisher_gone"):
                self._done(stream, reason)

    def drop(self, stream: Stream, reason: str, words: str = "") -> None:
        """Turns the stream's publisher away; `words` say to it, in the log and in the event what `reason` does not."""
        self._drop(stream, reason, self._clock.monotonic(), words)

    def _drop(self, stream: Stream, reason: str, now: float, words: str = "") -> None:
        hold = stream.hold
        if hold is None:
            return
        if words:
            self._log.warning("publisher turned away", app=stream.app, name=stream.name, reason=reason, detail=words)
            hold.request.tell(words)
        self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
        stream.release(now)
        guard = self._faults.guard("publisher_gone")
        with guard:
            hold.request.drop(reason)
        with guard:
            self._done(stream, reason, words)

    def _relieve(self) -> None:
        """Keeps the media of all streams within `limits.max_memory`.

        Old segments go first, those of the largest streams before others; then, one at a time, the publisher whose
        stream holds the most. What it leaves behind goes with the grace, so only streams on air count then.
        """
        over = self.media_bytes() - self._max_memory
        if over <= 0:
            return
        past = [segmenter for _, segmenter in self._past]
        for segmenter in sorted([*past, *self._hls.values()], key=lambda one: -one.window.bytes):
            before = segmenter.window.bytes
            segmenter.window.shrink(before - over)
            over -= before - segmenter.window.bytes
            if over <= 0:
                return
        on_air = [
            (self._hls[key].window.bytes + stream.held, stream) for key, stream in self._streams.items() if stream.hold
        ]
        held = sum(size for size, _ in on_air)
        if held <= self._max_memory:
            return
        size, largest = max(on_air, key=lambda one: one[0])
        rate = largest.stats.bitrate / 1e6
        self.drop(
            largest,
            "limit",
            f"the server's memory for media is full (limits.max_memory = {in_mib(self._max_memory)}), and of "
            f"{len(on_air)} streams this one holds the most: {in_mib(size)} at {rate:.1f} Mbit/s",
        )

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
            frame_rate=self._hls[stream.app, stream.name].frame_rate if video else 0.0,
            bitrate=stream.stats.bitrate,
            since=stream.since,
            publishing=stream.hold is not None,
        )


def _refused(denial: Denial) -> Refuse:
    return Refuse(RefuseCode.LIMIT if denial.reason == "limit" else RefuseCode.DENIED, denial.words)


def _kept(segmenter: Segmenter) -> float:
    """Seconds that an ended stream stays: "at least the playlist's duration after the end" (EN04)."""
    window = segmenter.window
    return window.duration() + window.target_duration
