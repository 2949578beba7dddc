"""Is the store of recordings as the rest of the recorder sees it: uploads, what is kept where, what is shown."""

from __future__ import annotations

from typing import Final

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.logger import Log
from hlsd.record.index import RecordIndex, Row
from hlsd.record.remote.address import parse_store
from hlsd.record.remote.bucket import Bucket
from hlsd.record.remote.copy import STORED, StoredCopy
from hlsd.record.remote.far import PATIENCE, FarRecordings
from hlsd.record.remote.keeper import StoreHost, StoreKeeper
from hlsd.record.remote.placed import Placed, UploadView
from hlsd.record.remote.stats import StoreFigures, StoreNow, StoreStats
from hlsd.record.remote.uploads import Uploads
from hlsd.record.retention import RetentionLimits
from hlsd.record.settings import RecordSettings
from hlsd.record.store import RecordingStore

REQUEST: Final = 300.0
"""Seconds for one request of an upload: a part of 8 MiB by a line of 30 kB a second."""


class Offload:
    """The store of one server; made only where `record.store` is set. Raises ConfigError."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on
        self,
        settings: RecordSettings,
        index: RecordIndex,
        store: RecordingStore,
        host: StoreHost,
        clock: Clock,
        log: Log,
        faults: Faults,
    ) -> None:
        address = parse_store(settings.store)
        keys = (settings.store_key, settings.store_secret)
        bucket = Bucket(address, *keys, timeout=REQUEST, retries=2)
        self.stats = StoreStats()
        self.far = FarRecordings(Bucket(address, *keys, timeout=PATIENCE, retries=1), index, log, self.stats)
        """Where viewers read from."""
        self._index = index
        self._store = store
        self._clock = clock
        self.uploads = Uploads(
            bucket,
            index,
            store.folder,
            clock,
            log,
            faults,
            self.stats,
            most=settings.uploads,
            rate=settings.upload_rate,
            finished=lambda: sum(sum(rule.files.values()) for rule in store.stats.rules.values()),
            told=self._told,
        )
        limits = RetentionLimits(settings.store_keep_for, settings.store_keep_bytes)
        self.keeper = StoreKeeper(
            bucket,
            index,
            store.folder,
            store.do,
            host,
            self.stats,
            log,
            keep_local=settings.keep_local,
            limits=limits,
        )

    def figures(self) -> StoreFigures:
        """What it reports."""
        return StoreFigures(self.stats, lambda: StoreNow(self._clock.wall(), self.uploads.sending))

    def impaired(self) -> list[str]:
        """Whether recordings wait for it that should be there by now."""
        return ["record: store"] if self.uploads.health.failures > 1 else []

    async def keep(self, limits: RetentionLimits, *, calm: bool) -> tuple[int, int]:
        """Lets go what is not to be kept; how many files are here, and their bytes."""
        under_way = sum(take.bytes for take in self._store.takes.values())
        free, now = self._store.writer.free, self._clock.wall()
        await self.keeper.run(limits, now=now, calm=calm, under_way=under_way, free=free)
        totals = self.stats.totals
        return totals.waiting + totals.both, totals.waiting_bytes + totals.both_bytes

    def placed(self, row: Row, copy: StoredCopy | None) -> Placed:
        """Where a recording is."""
        if copy is None:
            return Placed("local", None)
        upload = self.uploads.active.get(row.id)
        there = copy.state == STORED
        view = UploadView(
            state=copy.state,
            sent=upload.sent if upload is not None else copy.bytes if there else 0,
            bytes=upload.size if upload is not None else copy.bytes,
            tries=copy.tries,
            next_try=copy.next_ms,
            error=copy.error,
            stored_at=copy.stored_ms,
        )
        return Placed(("both" if copy.local else "store") if there else "local", view)

    def _told(self, copy: StoredCopy) -> None:
        self._index.tell(lambda table: self._store.heard_stored(table.get(copy.id)))
