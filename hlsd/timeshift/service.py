"""Is time shift as a service: playlists of what the recordings of a stream have kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from starlette.routing import BaseRoute

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end
from hlsd.delivery.judge import Judge
from hlsd.events import Action, Bus
from hlsd.media.key_vault import KeyVault
from hlsd.ports import Entrance, Service, Sessions
from hlsd.record.index import IndexStopped
from hlsd.record.service import RecordService
from hlsd.subjects import Subject
from hlsd.timeshift.settings import DvrSettings
from hlsd.timeshift.shift_endpoint import ShiftEndpoint, shift_routes
from hlsd.timeshift.shifted import ShiftedPlaylists
from hlsd.timeshift.tape_table import TapeTable
from hlsd.timeshift.tapes import Tapes

LATER: Final = 10_000
"""Streams that may wait to be looked at; one that finds no place is looked at when somebody asks for it."""


class TimeshiftService(Service):
    """Of one server. `record` is what records; `on_air(app, name)`: whether more of a stream may come."""

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        settings: DvrSettings,
        record: RecordService,
        clock: Clock,
        bus: Bus,
        faults: Faults,
        *,
        on_air: Callable[[str, str], bool],
        entrance: Entrance,
        sessions: Sessions,
        judge: Judge,
        vault: KeyVault | None = None,
    ) -> None:
        self._settings = settings
        self._record = record
        self._bus = bus
        self._faults = faults
        self._table = TapeTable(record.state_file)
        record.index.beside(self._table.close)
        self.tapes = Tapes(
            record.store,
            record.open_recordings,
            self._table,
            clock,
            settings.max,
            lambda: record.recordings.repair.running,
        )
        """What was recorded of each stream, in a row."""
        self.playlists = ShiftedPlaylists(self.tapes, record.open_recordings, clock, settings.max, on_air, vault)
        self._endpoint = ShiftEndpoint(self.playlists, judge, entrance, sessions, clock)
        self._ended: dict[tuple[str, str], None] = {}
        self._some = asyncio.Event()
        self._numbering: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to number what was recorded, and what will be."""
        if self._settings.on:
            self._bus.on(Action.RECORD_DONE, self._done)
            self._numbering = asyncio.create_task(self._number(), name="timeshift_number")

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends; the table is let go of with the list of recordings."""
        if self._settings.on:
            self._bus.off(Action.RECORD_DONE, self._done)
        await end(self._numbering)
        self._numbering = None

    def routes(self) -> Sequence[BaseRoute]:
        """The past of streams."""
        return shift_routes(self._endpoint) if self._settings.on else ()

    def _done(self, subject: Subject) -> None:
        """A file has ended."""
        if len(self._ended) < LATER:
            self._ended[subject.app, subject.name] = None
            self._some.set()

    async def _number(self) -> None:
        """One stream after the other, whenever a file of it has ended; first all that there are."""
        guard = self._faults.guard("timeshift_number")
        with guard, contextlib.suppress(IndexStopped):
            await self.tapes.number_all()
        while True:
            await self._some.wait()
            self._some.clear()
            while self._ended:
                app, name = next(iter(self._ended))
                del self._ended[app, name]
                with guard, contextlib.suppress(IndexStopped):
                    await self.tapes.number(app, name)
