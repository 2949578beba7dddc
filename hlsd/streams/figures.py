"""Reports what publishers send, and what all streams take up."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.base.figures import STREAM, Figure, Reporter, Spec
from hlsd.media.codecs import codecs_attribute
from hlsd.stats import Stats
from hlsd.streams.hub import Hub

STREAMS = Spec("hlsd_streams", "gauge", "Streams with a publisher.", ("app",))
UP = Spec("hlsd_stream_up", "gauge", "1 while somebody publishes, 0 while the stream is kept after that.", STREAM)
INFO = Spec(
    "hlsd_stream_info",
    "gauge",
    "How it comes in and goes out; always 1.",
    ("app", "codec", "container", "protocol", "stream"),
)
INGEST_BYTES = Spec("hlsd_stream_ingest_bytes", "counter", "Bytes received from the publisher.", STREAM)
FRAMES = Spec("hlsd_stream_ingest_frames", "counter", "Frames received, by track.", ("app", "media", "stream"))
KEYFRAMES = Spec(
    "hlsd_stream_keyframe_interval_seconds", "gauge", "Seconds of media between the last two key pictures.", STREAM
)
REPAIRS = Spec(
    "hlsd_stream_timestamp_repairs",
    "counter",
    "Repairs of the publisher's timestamps, by kind.",
    ("app", "kind", "stream"),
)
EVENTS = Spec(
    "hlsd_timed_metadata",
    "counter",
    "Timed metadata, by who said it and what became of it.",
    ("app", "result", "source", "stream"),
)
LAST_MEDIA = Spec(
    "hlsd_stream_last_media_timestamp_seconds",
    "gauge",
    "When the newest frame arrived, seconds since the epoch.",
    STREAM,
)
PUBLISHES = Spec("hlsd_publishes", "counter", "Publishers at the door, by result.", ("app", "result"))
TAKEOVERS = Spec("hlsd_publish_takeovers", "counter", "Publishers that replaced another one.", ("app", "policy"))
MEMORY = Spec("hlsd_media_memory_bytes", "gauge", "Media held for all streams, of ended ones too.")
MEMORY_LIMIT = Spec("hlsd_media_memory_limit_bytes", "gauge", "limits.max_memory: above it no new publisher is let in.")


class StreamFigures(Reporter):
    """The figures of a hub; `memory_limit` in bytes."""

    SPECS = (
        STREAMS,
        UP,
        INFO,
        INGEST_BYTES,
        FRAMES,
        KEYFRAMES,
        REPAIRS,
        EVENTS,
        LAST_MEDIA,
        PUBLISHES,
        TAKEOVERS,
        MEMORY,
        MEMORY_LIMIT,
    )

    def __init__(self, hub: Hub, stats: Stats, memory_limit: int = 0) -> None:
        self._hub = hub
        self._stats = stats
        self._memory_limit = memory_limit

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """Memory."""
        yield MEMORY, (), self._hub.media_bytes()
        yield MEMORY_LIMIT, (), self._memory_limit

    def apps(self) -> Iterator[Figure]:
        """Who publishes, and who wanted to."""
        publishing = dict.fromkeys(self._stats.apps, 0)
        for stream in self._hub.streams:
            publishing[self._stats.label(stream.app)] += stream.claim is not None
        for app, figures in self._stats.shown():
            yield STREAMS, (app,), publishing[app]
            for spec, counter in ((PUBLISHES, figures.publishes), (TAKEOVERS, figures.takeovers)):
                for one, count in counter.items():
                    yield spec, (app, one), count

    def stream(self, app: str, name: str) -> Iterator[Figure]:
        """What comes in."""
        stream = self._hub.get(app, name)
        if stream is None:
            return
        stats, tracks, claim = stream.stats, stream.tracks, stream.claim
        yield UP, (), int(claim is not None)
        yield LAST_MEDIA, (), stats.last_unit
        yield INGEST_BYTES, (), stats.received_bytes
        if tracks is not None:
            if tracks.video is not None:
                yield FRAMES, ("video",), stats.video_frames
                yield KEYFRAMES, (), stats.keyframe_interval
            if tracks.audio is not None:
                yield FRAMES, ("audio",), stats.audio_frames
            container = "fmp4" if stream.run is not None and stream.run.counts.get("fmp4") else "ts"
            way = claim.request.protocol if claim is not None else ""
            yield INFO, (codecs_attribute(tracks), container, way), 1
        for kind, count in stats.repairs.items():
            yield REPAIRS, (kind,), count
        for (source, result), count in stats.events.items():
            yield EVENTS, (result, source), count
