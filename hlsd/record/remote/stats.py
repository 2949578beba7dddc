"""Counts what becomes of copies in the store, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.record.remote.copies import CopyTotals

STORE_UPLOADS = Spec("hlsd_record_uploads", "counter", "Tries to upload a recording to the store.", ("result",))
STORE_SENT = Spec("hlsd_record_upload_bytes", "counter", "Bytes of recordings sent to the store, retries included.")
STORE_WAITING = Spec("hlsd_record_upload_waiting_files", "gauge", "Finished recordings that are not in the store yet.")
STORE_AGE = Spec(
    "hlsd_record_upload_oldest_seconds", "gauge", "Since the end of the recording that has waited longest."
)
STORE_KEPT = Spec("hlsd_record_stored_files", "gauge", "Recordings in the store.")
STORE_BYTES = Spec("hlsd_record_stored_bytes", "gauge", "Bytes of recordings in the store.")
STORE_READS = Spec("hlsd_record_store_reads", "counter", "Reads from the store for viewers.", ("result",))
STORE_FREED = Spec("hlsd_record_local_removed_files", "counter", "Files removed here because they are in the store.")
UPLOAD_RESULTS: Final = ("stored", "failed")
READ_RESULTS: Final = ("read", "failed", "late")


class StoreStats:
    """What the store's users count into. `totals` are as of the last look."""

    def __init__(self) -> None:
        self.uploads: Counter[str] = Counter(dict.fromkeys(UPLOAD_RESULTS, 0))
        self.reads: Counter[str] = Counter(dict.fromkeys(READ_RESULTS, 0))
        self.sent = 0
        self.freed = 0
        self.totals = CopyTotals()


class StoreNow(NamedTuple):
    """The wall clock, and bytes of uploads under way."""

    wall: float
    sending: int


class StoreFigures(Reporter):
    """The figures of the store."""

    SPECS = (
        STORE_UPLOADS,
        STORE_SENT,
        STORE_WAITING,
        STORE_AGE,
        STORE_KEPT,
        STORE_BYTES,
        STORE_READS,
        STORE_FREED,
    )

    def __init__(self, stats: StoreStats, now: Callable[[], StoreNow]) -> None:
        self._stats = stats
        self._now = now

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002 - recordings live by the wall clock
        """All of them."""
        stats, at = self._stats, self._now()
        for result, count in stats.uploads.items():
            yield STORE_UPLOADS, (result,), count
        yield STORE_SENT, (), stats.sent + at.sending
        yield STORE_WAITING, (), stats.totals.waiting
        oldest = stats.totals.oldest_ms / 1000
        yield STORE_AGE, (), max(0.0, at.wall - oldest) if oldest else 0
        yield STORE_KEPT, (), stats.totals.stored
        yield STORE_BYTES, (), stats.totals.stored_bytes
        for result, count in stats.reads.items():
            yield STORE_READS, (result,), count
        yield STORE_FREED, (), stats.freed
