"""Counts what transcoding does and costs, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from hlsd.base.figures import Figure, Reporter, Spec

REASONS: Final = ("full", "source")
"""Why a stream is not transcoded: no room, or its pictures cannot be decoded here."""

CONVERTED: Final = "main"
"""What stands there for a profile: no profile can have that name."""

STREAMS = Spec("hlsd_transcode_streams", "gauge", "Streams whose pictures are encoded now.")
ROOM = Spec("hlsd_transcode_room", "gauge", "How many of them there may be (transcode.max).")
REFUSED = Spec("hlsd_transcode_refused", "counter", "Streams that were offered as they came, by reason.", ("reason",))
SHED = Spec("hlsd_transcode_shed", "counter", "Renditions given up, by profile.", ("profile",))
RESTARTS = Spec("hlsd_transcode_restarts", "counter", "Ends of encoding processes while needed.", ("reason",))
CPU = Spec("hlsd_transcode_cpu_seconds", "counter", "Processor time of encoding processes, decoding included.")
ENCODE = Spec("hlsd_transcode_encode_seconds", "counter", "Processor time of scaling and encoding.", ("profile",))
PICTURES = Spec("hlsd_transcode_pictures", "counter", "Pictures encoded.", ("profile",))
DROPPED = Spec("hlsd_transcode_dropped", "counter", "Pictures of sources left out, because it could not keep pace.")
LAG = Spec("hlsd_transcode_lag_seconds", "gauge", "How far the stream that is latest is behind its source.")


class TranscodeStats:
    """What is counted. By profile: names of the configuration."""

    def __init__(self, room: int = 0, profiles: tuple[str, ...] = ()) -> None:
        self.room = room
        self.streams = 0
        self.refused: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.shed: Counter[str] = Counter(dict.fromkeys(profiles, 0))
        self.restarts: Counter[str] = Counter(died=0, hung=0, start=0)
        self.cpu = 0
        """Nanoseconds."""
        self.encode: Counter[str] = Counter(dict.fromkeys(profiles, 0))
        """Nanoseconds."""
        self.pictures: Counter[str] = Counter(dict.fromkeys(profiles, 0))
        self.dropped = 0
        self.lags: dict[object, float] = {}
        """Of each stream, seconds."""


class TranscodeFigures(Reporter):
    """The figures of one node."""

    SPECS = (STREAMS, ROOM, REFUSED, SHED, RESTARTS, CPU, ENCODE, PICTURES, DROPPED, LAG)

    def __init__(self, stats: TranscodeStats) -> None:
        self._stats = stats

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them: processes are the node's."""
        stats = self._stats
        yield STREAMS, (), stats.streams
        yield ROOM, (), stats.room
        for spec, counter in (
            (REFUSED, stats.refused),
            (SHED, stats.shed),
            (RESTARTS, stats.restarts),
            (PICTURES, stats.pictures),
        ):
            for label, count in counter.items():
                yield spec, (label,), count
        for profile, spent in stats.encode.items():
            yield ENCODE, (profile,), spent / 1e9
        yield CPU, (), stats.cpu / 1e9
        yield DROPPED, (), stats.dropped
        yield LAG, (), max(stats.lags.values(), default=0.0)
