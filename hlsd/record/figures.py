"""Counts what recordings do, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from hlsd.base.figures import Figure, Reporter, Spec

RECORD_OPEN = Spec("hlsd_record_open", "gauge", "Recordings that are being written now.", ("rule",))
RECORD_BYTES = Spec("hlsd_record_bytes", "counter", "Bytes of recordings handed to their writer.", ("rule",))
RECORD_FILES = Spec(
    "hlsd_record_files", "counter", "Files of recordings that ended, by what became of them.", ("result", "rule")
)
RECORD_GAPS = Spec(
    "hlsd_record_gaps", "counter", "Times that media was left out because the disk was too slow.", ("rule",)
)
RECORD_QUEUE = Spec("hlsd_record_queue_bytes", "gauge", "Bytes of recordings that wait to be written.")
RECORD_FREE = Spec("hlsd_record_disk_free_bytes", "gauge", "Free on the disk of the recordings.")
RECORD_FULL = Spec("hlsd_record_disk_full", "gauge", "1 while less is free than record.min_free: nothing is recorded.")
RECORD_KEPT = Spec("hlsd_record_kept_files", "gauge", "Finished recordings that are kept.")
RECORD_KEPT_BYTES = Spec("hlsd_record_kept_bytes", "gauge", "Bytes of finished recordings that are kept.")
RECORD_DELETED = Spec("hlsd_record_deleted_files", "counter", "Recordings deleted, by whom.", ("by",))

RESULTS = ("done", "repaired", "lost", "broken")
DELETERS = ("limits", "api")


@dataclass(slots=True)
class RuleStats:
    """What is counted of one rule."""

    bytes: int = 0
    gaps: int = 0
    files: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(RESULTS, 0)))


class RecordStats:
    """What recordings count into; rules are of the configuration, so there are not many."""

    def __init__(self) -> None:
        self.rules: dict[str, RuleStats] = {}
        self.deleted: Counter[str] = Counter(dict.fromkeys(DELETERS, 0))
        self.kept = (0, 0)
        """Finished files and their bytes, as of the last look."""

    def rule(self, name: str) -> RuleStats:
        """Those of a rule."""
        return self.rules.setdefault(name or "-", RuleStats())


class Instant(NamedTuple):
    """How it stands now: files open by rule, bytes that wait, bytes free, whether that is too little."""

    open: Counter[str]
    waiting: int
    free: int
    full: bool


class RecordFigures(Reporter):
    """The figures of all recordings."""

    SPECS = (
        RECORD_OPEN,
        RECORD_BYTES,
        RECORD_FILES,
        RECORD_GAPS,
        RECORD_QUEUE,
        RECORD_FREE,
        RECORD_FULL,
        RECORD_KEPT,
        RECORD_KEPT_BYTES,
        RECORD_DELETED,
    )

    def __init__(self, stats: RecordStats, instant: Callable[[], Instant]) -> None:
        self._stats = stats
        self._instant = instant

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them: rules are the node's."""
        instant, stats = self._instant(), self._stats
        for rule, counted in sorted(stats.rules.items()):
            yield RECORD_OPEN, (rule,), instant.open[rule]
            yield RECORD_BYTES, (rule,), counted.bytes
            yield RECORD_GAPS, (rule,), counted.gaps
            for result, count in counted.files.items():
                yield RECORD_FILES, (result, rule), count
        yield RECORD_QUEUE, (), instant.waiting
        yield RECORD_FREE, (), instant.free
        yield RECORD_FULL, (), int(instant.full)
        yield RECORD_KEPT, (), stats.kept[0]
        yield RECORD_KEPT_BYTES, (), stats.kept[1]
        for by, count in stats.deleted.items():
            yield RECORD_DELETED, (by,), count
