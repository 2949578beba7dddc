"""Streams as the exporter sees them, by the hundred, and the parsing of what it shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from hlsd.media.unit import Tracks
from hlsd.ports import PublishRequest
from hlsd.stats import StreamStats
from tests.support.playable import MemoryPlayable


@dataclass
class Output:
    """A stream's HLS output, as far as figures go."""

    live: MemoryPlayable = field(default_factory=lambda: MemoryPlayable(low_latency=True))
    bytes: int = 1_000_000
    counts: Counter[str] = field(default_factory=lambda: Counter({"ts": 10, "part": 60}))
    forced_cuts: int = 0
    frame_rate: float = 25.0


@dataclass
class Publisher:
    request: PublishRequest


@dataclass
class Stream:
    """A stream with a publisher."""

    app: str
    name: str
    since: float = 0.0
    tracks: Tracks | None = None
    claim: Publisher | None = None
    stats: StreamStats = field(default_factory=lambda: StreamStats(received_bytes=1000, last_unit=99.0))

    def __post_init__(self) -> None:
        request = PublishRequest(self.app, self.name, "rtmp", "192.0.2.1", 1, lambda _: None)
        self.claim = self.claim or Publisher(request)


class Streams:
    """The hub, as far as figures go."""

    def __init__(self, *streams: Stream) -> None:
        self.there = {stream.name: (stream, Output()) for stream in streams}

    def add(self, stream: Stream) -> None:
        self.there[stream.name] = (stream, Output())

    def figures(self) -> list[tuple[Stream, Output]]:
        return list(self.there.values())

    def media_bytes(self) -> int:
        return sum(output.bytes for _, output in self.there.values())


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Every sample of an exposition by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    """One sample, or None."""
    return found.get((name, frozenset(labels.items())))
