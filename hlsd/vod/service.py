"""Is VOD as a service: takes jobs by API, tells of their ends, serves what came of them. Workers do the work.

Law: it reads no film. What it does for a job is a row of the ledger, and bytes that go to the disk as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from starlette.routing import BaseRoute, Route
from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.figures import Reporter
from hlsd.base.upkeep import end, keep
from hlsd.delivery.judge import Judge
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import job_facts
from hlsd.media.key_vault import KeyVault
from hlsd.ports import Entrance, PictureMaker, Service, Sessions
from hlsd.record.folder import RecordFolder
from hlsd.record.open_recordings import OpenRecordings
from hlsd.record.remote.stats import StoreStats
from hlsd.record.sprites import Sprites
from hlsd.vod.compat import CompatRoutes
from hlsd.vod.desk import JobRefused, VodDesk
from hlsd.vod.figures import VodFigures
from hlsd.vod.film_endpoint import CoverEndpoint, FilmEndpoint, film_routes
from hlsd.vod.film_shelf import FilmShelf
from hlsd.vod.film_store import FarFilms, bucket_of
from hlsd.vod.folder import VodFolder
from hlsd.vod.job import VodJob
from hlsd.vod.ledger import JobLedger, ledger_urls
from hlsd.vod.routes import job_operations
from hlsd.vod.settings import CompatSettings, VodSettings
from hlsd.vod.sound_tracks import seen_tracks, views_of
from hlsd.vod.workshop import root_of

LOOK: Final = 1.0
"""Seconds between two looks at which jobs are over."""
TIDY: Final = 60
"""Looks between two rounds of tidying."""


class VodSubject:
    """A job that is over, as handlers of events see it (`hlsd.subjects.FilmJob`)."""

    protocol = "vod"
    ip = ""

    def __init__(self, job: VodJob, app: str) -> None:
        self.id = self.name = job.id
        self.app = app
        self.path = f"/{app}/{job.id}"
        self.query: Mapping[str, str] = {}
        self.state: str = job.state
        self.error = job.error

    def reject(self, reason: str = "kicked") -> None:
        """It is over."""


class VodService(Service):
    """Of one server. `pictures()` is whoever makes pictures, if anybody does."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a room is given
        self,
        settings: VodSettings,
        compat: CompatSettings,
        state: Path,
        clock: Clock,
        bus: Bus,
        log: FilteringBoundLogger,
        faults: Faults,
        entrance: Entrance,
        sessions: Sessions,
        judge: Judge,
        pictures: Callable[[], PictureMaker | None],
        vault: KeyVault | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._bus = bus
        self._log = log
        self._faults = faults
        self._state = state
        folder = VodFolder(root_of(settings, state))
        bucket = bucket_of(settings, patient=False)
        far = FarFilms(bucket, log, StoreStats(), "films") if bucket is not None else None
        ledger = JobLedger(ledger_urls(settings.database, str(state))[0])
        store = (bucket, far) if bucket is not None and far is not None else None
        self.desk = VodDesk(settings, ledger, folder, self._gone, store)
        beside = RecordFolder(folder.root)
        self.films = OpenRecordings(FilmShelf(beside, settings.app, self.desk.find), far, seen_tracks)
        self._sprites = Sprites(self.films, beside, pictures, lambda: False)
        self._film = FilmEndpoint(
            self.films, self._sprites, judge, entrance, sessions, clock, self.desk.find, self.desk.file, vault
        )
        self._cover = CoverEndpoint(judge, entrance, self.desk.cover)
        self._compat = CompatRoutes(self.desk, compat) if compat.vod else None
        self._counts: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look which jobs are over. Raises OSError where the jobs cannot be had."""
        self._state.mkdir(parents=True, exist_ok=True)
        try:
            await self.desk.start()
        except JobRefused as error:
            raise OSError(0, f"vod: {error}") from None
        self._looking = keep(self._look, "vod_look", self._faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends; workers go on."""
        await end(self._looking)
        self._looking = None
        await self._sprites.stop()
        self.films.close()
        await self.desk.stop()

    def routes(self) -> Sequence[BaseRoute]:
        """Playback, and what programs ask that were written for another server."""
        played = film_routes(self._film, self._cover, self._settings.app)
        return [*(self._compat.routes() if self._compat is not None else ()), *played]

    def operations(self) -> Sequence[Route]:
        """Jobs and uploads."""
        return job_operations(self.desk)

    def figures(self) -> Sequence[Reporter]:
        """How many jobs there are."""
        return (VodFigures(self._counts),)

    def _gone(self, job: VodJob, first: bool) -> None:
        """A film is deleted: whoever watches it is cut off at the next piece."""
        if first:
            self._tell(job)
        for one in job.outcome.renditions if job.outcome is not None else ():
            for view in views_of(one.file):
                self.films.drop(view)

    async def _look(self) -> None:
        guard, turn = self._faults.guard("vod_look"), 0
        while True:
            with guard:
                try:
                    for job in await self.desk.over():
                        self._tell(job)
                    if not turn % TIDY:
                        await self.desk.tidy()
                    if not turn % 5:
                        self._counts |= dict.fromkeys(self._counts, 0) | await self.desk.counts()
                except JobRefused as error:
                    self._log.warning("the jobs cannot be had for now", reason=str(error))
            turn += 1
            await asyncio.sleep(LOOK)

    def _tell(self, job: VodJob) -> None:
        app, outcome = self._settings.app, job.outcome
        facts = job_facts(
            app=app,
            ident=job.id,
            state=job.state,
            code=job.code,
            detail=job.error,
            url=f"/{app}/{job.id}/v/index.m3u8" if outcome is not None else "",
            since=job.created / 1000,
            at=job.ended / 1000,
            duration_ms=outcome.duration_ms if outcome is not None else 0,
            size=sum(one.bytes for one in outcome.renditions) if outcome is not None else 0,
        )
        self._bus.emit(Event(Action.JOB_DONE, job.id, 1, self._clock.wall(), facts), VodSubject(job, app))
