"""Knows every stream by name: lets publishers in, finds streams for viewers, ends what nobody feeds any more.

It is `hlsd.ports.Admission` to the ways in and `hlsd.ports.Directory` to delivery. Time comes in through `sweep`, once
a second, so that a thousand streams need no timers of their own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.ports import (
    Denial,
    Gate,
    OnDemand,
    PlayRequest,
    Publication,
    PublishRequest,
    Refuse,
    RefuseCode,
    StreamSummary,
)
from hlsd.stream import Hold, State, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hlsd.clock import Clock
    from hlsd.ingest.settings import PublishSettings
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.segmenter import Segmenter

_NAME: Final = re.compile(r"(?!\.|~)(?!.*\.\.)[A-Za-z0-9._~-]{1,128}")
RESERVED_APPS: Final = frozenset({"_", "api", "healthz", "metrics", "readyz"})
"""First path parts that belong to the server itself."""
_ABSENT: Final = Denial(404, "not found", "absent")


class Hub:
    """The streams of one server.

    `segmenter_for(stream)` makes the HLS output of a new stream. `max_streams` and `max_memory` (bytes of media in all
    windows) bound what is let in.
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
    ) -> None:
        self.on_demand: OnDemand | None = None
        """Who can make absent streams come; the relay room puts itself here."""
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
        self._draining = False
        self._log = structlog.get_logger()

    # As the ways in see it.

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        """Claims the name for the publisher, or says why not."""
        refusal = self._refusal(request)
        if refusal is None and self._gate is not None:
            grant = await self._gate.publish(request)
            if isinstance(grant, Denial):
                refusal = Refuse(RefuseCode.LIMIT if grant.reason == "limit" else RefuseCode.DENIED, grant.words)
            else:
                if grant.name:
                    request = replace(request, name=grant.name)
                refusal = self._refusal(request)  # again: another may have come while this one was looked at
        if refusal is not None:
            self._log.info(
                "publish refused",
                app=request.app[:128],
                name=request.name[:128],
                ip=request.ip,
                code=refusal.code.value,
                reason=refusal.reason,
            )
            return refusal
        now = self._clock.monotonic()
        key = (request.app, request.name)
        stream = self._streams.get(key)
        if stream is not None and stream.hold is not None:
            self._drop(stream, "replaced", now)
        if stream is not None and stream.state is State.ENDED:
            self._retire(key, stream)
            stream = None
        if stream is None:
            stream = self._create(request.app, request.name)
        hold = stream.publish(request, now, self._left)
        self._log.info(
            "publish started",
            app=request.app,
            name=request.name,
            ip=request.ip,
            protocol=request.protocol,
            agent=request.user_agent[:128],
        )
        return hold

    # As delivery sees it.

    def find(self, app: str, name: str) -> Live | None:
        """The HLS output of a stream that is live, in its grace or kept after its end."""
        segmenter = self._hls.get((app, name))
        return segmenter.live if segmenter is not None else None

    def obtainable(self, app: str, name: str) -> bool:
        """Whether a stream that is not here can be made to come."""
        return self.on_demand is not None and self.on_demand.obtainable(app, name)

    async def obtain(self, request: PlayRequest) -> Live | Denial:
        """Makes an absent stream come, or says why it will not."""
        if self.on_demand is None:
            return _ABSENT
        denial = await self.on_demand.obtain(request)
        return denial or self.find(request.app, request.name) or _ABSENT

    def summaries(self) -> list[StreamSummary]:
        """The streams that are live or in their grace, by path."""
        return [
            self._summary(stream)
            for _, stream in sorted(self._streams.items())
            if stream.state is not State.ENDED and stream.tracks is not None
        ]

    # As the app sees it.

    def on_stream(self, begun: Callable[[Stream], None]) -> None:
        """Calls `begun(stream)` for every stream from now on, before its first publication: ways out attach to it."""
        self._begun.append(begun)

    @property
    def streams(self) -> Iterable[Stream]:
        """Every stream, in no order."""
        return self._streams.values()

    def segmenter(self, stream: Stream) -> Segmenter:
        """The HLS output of one of `streams`."""
        return self._hls[stream.app, stream.name]

    def media_bytes(self) -> int:
        """Media held in all windows, bytes."""
        windows = [segmenter.window for segmenter in self._hls.values()]
        windows += [segmenter.window for _, segmenter in self._past]
        return sum(window.bytes for window in windows)

    def sweep(self) -> None:
        """Once a second: measures, ends streams whose grace is over, removes those whose viewers had their time."""
        now = self._clock.monotonic()
        for key, stream in list(self._streams.items()):
            stream.measure(now)
            if stream.hold is not None:
                stream.hold.listen(now)
            waited = now - stream.state_since
            if stream.state is State.GRACE and waited >= self._settings.grace:
                stream.finish(now)
                self._log.info("stream ended", app=stream.app, name=stream.name)
            elif stream.state is State.ENDED and waited >= _kept(self._hls[key]):
                del self._streams[key]
                self._hls.pop(key).live.remove()
        for entry in list(self._past):
            old, segmenter = entry
            if now - old.state_since >= _kept(segmenter):
                self._past.remove(entry)
                self._forget(segmenter.live, (old.app, old.name))

    def drain(self) -> None:
        """Lets nobody publish any more and ends every stream, so that its viewers get the end of the playlist."""
        self._draining = True
        now = self._clock.monotonic()
        for stream in self._streams.values():
            self._drop(stream, "shutdown", now)
            if stream.state is not State.ENDED:
                stream.finish(now)

    def _refusal(self, request: PublishRequest) -> Refuse | None:
        if self._draining:
            return Refuse(RefuseCode.DRAINING, "the server is shutting down")
        for what, text in (("app", request.app), ("stream", request.name)):
            if not _NAME.fullmatch(text):
                return Refuse(RefuseCode.BAD_NAME, f"{what} name must be 1 to 128 of A-Z a-z 0-9 . _ ~ -")
        if request.app in RESERVED_APPS:
            return Refuse(RefuseCode.BAD_NAME, f"app name {request.app!r} belongs to the server")
        stream = self._streams.get((request.app, request.name))
        if stream is not None and stream.hold is not None and not self._may_replace(stream.hold):
            return Refuse(RefuseCode.BUSY, f"{stream.path} is already being published")
        if stream is None:
            if len(self._streams) >= self._max_streams:
                return Refuse(RefuseCode.LIMIT, f"the server carries its {self._max_streams} streams already")
            if self.media_bytes() >= self._max_memory:
                return Refuse(RefuseCode.LIMIT, "the server has no memory left for another stream")
        return None

    def _may_replace(self, hold: Hold) -> bool:
        """Whether a second publisher takes over: a dead peer must not lock the owner out (rtmp §7)."""
        if self._settings.takeover == "always":
            return True
        now = self._clock.monotonic()
        hold.listen(now)
        return self._settings.takeover == "stale" and now - hold.last_heard >= self._settings.stale_after

    def _create(self, app: str, name: str) -> Stream:
        key = (app, name)
        stream = Stream(app, name, self._clock.wall())
        segmenter = self._segmenter_for(stream)
        past = [old for earlier, old in self._past if (earlier.app, earlier.name) == key]
        segmenter.live.previous = past[-1].live if past else None
        stream.attach("hls", segmenter)
        self._streams[key] = stream
        self._hls[key] = segmenter
        for begun in self._begun:
            begun(stream)
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

    def _left(self, hold: Hold, reason: str) -> None:
        stream = hold.stream
        if stream is not None:
            self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
            stream.release(self._clock.monotonic())

    def drop(self, stream: Stream, reason: str) -> None:
        """Turns the stream's publisher away."""
        self._drop(stream, reason, self._clock.monotonic())

    def _drop(self, stream: Stream, reason: str, now: float) -> None:
        hold = stream.hold
        if hold is None:
            return
        self._log.info("publish ended", app=stream.app, name=stream.name, reason=reason)
        stream.release(now)
        hold.request.drop(reason)

    def _summary(self, stream: Stream) -> StreamSummary:
        tracks = stream.tracks
        assert tracks is not None
        video = tracks.video
        return StreamSummary(
            app=stream.app,
            name=stream.name,
            codecs=",".join(track.codec_string for track in (video, tracks.audio) if track is not None),
            width=video.width if video else 0,
            height=video.height if video else 0,
            frame_rate=self._hls[stream.app, stream.name].frame_rate if video else 0.0,
            bitrate=stream.stats.bitrate,
            since=stream.since,
            publishing=stream.hold is not None,
        )


def _kept(segmenter: Segmenter) -> float:
    """Seconds that an ended stream stays: "at least the playlist's duration after the end" (EN04)."""
    window = segmenter.window
    return window.duration() + window.target_duration
