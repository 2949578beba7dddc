"""Streams as the exporter sees them, by the hundred, and the parsing of what it shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from prometheus_client.parser import text_string_to_metric_families

from hlsd.auth.figures import AuthFigures
from hlsd.base.figures import Reporter
from hlsd.delivery.blocked_requests import BlockedRequests, Bounds
from hlsd.delivery.figures import DeliveryFigures
from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.whep.figures import WhepFigures
from hlsd.delivery.whep.room import WhepStats
from hlsd.ingest.figures import RtmpFigures
from hlsd.ingest.recorder.figures import RecorderFigures, RecorderStats
from hlsd.ingest.webrtc.figures import WebrtcFigures, WebrtcStats
from hlsd.media.unit import Tracks
from hlsd.metrics.node import NodeFigures
from hlsd.metrics.reading import SPECS, Reader
from hlsd.net.figures import TlsFigures
from hlsd.net.handshakes import Handshakes
from hlsd.net.identity import Identity, Pair
from hlsd.notify.figures import NotifyFigures
from hlsd.ports import MediaRun, PublishRequest
from hlsd.record.figures import Instant, RecordFigures, RecordStats
from hlsd.record.remote.stats import StoreFigures, StoreNow, StoreStats
from hlsd.relay.figures import RelayFigures
from hlsd.segmenter.figures import SegmentFigures
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.figures import SessionFigures
from hlsd.snapshots.figures import SnapshotFigures, SnapshotStats
from hlsd.sound.figures import SoundFigures, SoundStats
from hlsd.stats import Stats, StreamStats
from hlsd.streams.figures import StreamFigures
from hlsd.streams.hub import Hub
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
    run: Output = field(default_factory=Output)
    stats: StreamStats = field(default_factory=lambda: StreamStats(received_bytes=1000, last_unit=99.0))

    def __post_init__(self) -> None:
        request = PublishRequest(self.app, self.name, "rtmp", "192.0.2.1", 1, lambda _: None)
        self.claim = self.claim or Publisher(request)


class Streams:
    """The hub, as far as figures go."""

    def __init__(self, *streams: Stream) -> None:
        self.there = {stream.name: (stream, stream.run) for stream in streams}

    def add(self, stream: Stream) -> None:
        self.there[stream.name] = (stream, stream.run)

    @property
    def streams(self) -> list[Stream]:
        return [stream for stream, _ in self.there.values()]

    def get(self, app: str, name: str) -> Stream | None:
        found = self.there.get(name)
        return found[0] if found is not None and found[0].app == app else None

    def media_bytes(self) -> int:
        return sum(output.bytes for _, output in self.there.values())


IDENTITY = Identity(Pair(Path("a.pem"), Path("a.key")), ("a.example",), "ecdsa", 4102444800.0, b"")

REPORTERS: tuple[type[Reporter], ...] = (
    NodeFigures,
    StreamFigures,
    SegmentFigures,
    SessionFigures,
    AuthFigures,
    DeliveryFigures,
    NotifyFigures,
    RecordFigures,
    StoreFigures,
    RecorderFigures,
    RelayFigures,
    SnapshotFigures,
    RtmpFigures,
    SoundFigures,
    TlsFigures,
    WebrtcFigures,
    WhepFigures,
)
FAMILIES = (*(spec for reporter in REPORTERS for spec in reporter.SPECS), *SPECS)
"""Every family that a server shows."""


def reader_of(streams: Streams, stats: Stats, *, max_streams: int, ledger: Ledger | None = None) -> Reader:
    """What reads all figures of a server whose hub is `streams`."""
    hub = cast("Hub", streams)

    def find(app: str, name: str) -> MediaRun | None:
        stream = streams.get(app, name)
        return cast("MediaRun", stream.run) if stream is not None else None

    blocked = BlockedRequests(Bounds(stream=1, node=1, session=1, address=1), stats.faults)
    reporters = (
        NodeFigures(stats),
        StreamFigures(hub, stats),
        SegmentFigures(find, stats),
        SessionFigures(ledger or Ledger(), stats),
        AuthFigures(stats),
        DeliveryFigures(blocked, Connections(HttpSettings(), 0.0, 1000, stats.faults), stats, tuple),
        NotifyFigures(stats.notify),
        RecordFigures(RecordStats(), lambda: Instant(Counter(), 0, 0, full=False)),
        StoreFigures(StoreStats(), lambda: StoreNow(0.0, 0)),
        RecorderFigures(RecorderStats(), list, str),
        RelayFigures(stats.relays),
        SnapshotFigures(SnapshotStats()),
        RtmpFigures(stats.rtmp_ended),
        SoundFigures(SoundStats()),
        WebrtcFigures(WebrtcStats(), list),
        WhepFigures(WhepStats(), list),
        TlsFigures(Handshakes(), lambda: [("https", [IDENTITY])]),
    )
    return Reader(
        lambda: reporters,
        lambda: {(stream.app, stream.name): id(stream) for stream in streams.streams},
        stats,
        max_streams=max_streams,
    )


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
