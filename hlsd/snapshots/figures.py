"""Counts what snapshots do and cost, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from hlsd.base.figures import Counts, Figure, Histogram, Reporter, Spec

TIME: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Bounds for how long pictures take, seconds."""

UP = Spec("hlsd_snapshot_up", "gauge", "1 while the process that decodes runs; it does while it is needed.")
REQUESTS = Spec(
    "hlsd_snapshot_requests", "counter", "Requests for a picture of a live stream, by what they got.", ("result",)
)
PICTURES = Spec("hlsd_snapshot_pictures", "counter", "Pictures made, by format.", ("format",))
ERRORS = Spec("hlsd_snapshot_errors", "counter", "Key pictures of which no picture came, by reason.", ("reason",))
BARRED = Spec("hlsd_snapshot_barred_streams", "gauge", "Streams that are left alone for now: they failed repeatedly.")
RESTARTS = Spec("hlsd_snapshot_restarts", "counter", "Ends of that process while needed, by reason.", ("reason",))
CPU = Spec("hlsd_snapshot_cpu_seconds", "counter", "Processor time of that process, start included.")
WAIT = Spec("hlsd_snapshot_seconds", "histogram", "From when a picture is wanted to when it is there.")
FILES = Spec("hlsd_snapshot_files", "counter", "Timed pictures, by what became of them.", ("result",))


class SnapshotStats:
    """What is counted. `restarts`: `died`, `hung`, or at its `start`."""

    def __init__(self) -> None:
        self.up = 0
        self.requests: Counter[str] = Counter(made=0, kept=0, busy=0, denied=0, absent=0, blind=0, barred=0)
        """`kept`: one that was there already; `blind`: the stream has no picture; `busy`: 503, ask again."""
        self.pictures: Counter[str] = Counter(jpg=0, webp=0)
        self.errors: Counter[str] = Counter(bad=0, lost=0, large=0)
        self.barred = 0
        self.restarts: Counter[str] = Counter(died=0, hung=0, start=0)
        self.cpu = 0.0
        self.wait = Histogram(TIME)
        self.files: Counter[str] = Counter(written=0, failed=0, late=0)
        """`late`: left out, because there was no picture in time."""


class SnapshotFigures(Reporter):
    """The figures of one node's snapshots."""

    SPECS = (UP, REQUESTS, PICTURES, ERRORS, BARRED, RESTARTS, CPU, WAIT, FILES)

    def __init__(self, stats: SnapshotStats) -> None:
        self._stats = stats

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them: the process is the node's."""
        stats = self._stats
        yield UP, (), stats.up
        yield BARRED, (), stats.barred
        yield CPU, (), stats.cpu
        yield WAIT, (), Counts.of(stats.wait)
        for spec, counter in (
            (REQUESTS, stats.requests),
            (PICTURES, stats.pictures),
            (ERRORS, stats.errors),
            (RESTARTS, stats.restarts),
            (FILES, stats.files),
        ):
            for label, count in counter.items():
                yield spec, (label,), count
