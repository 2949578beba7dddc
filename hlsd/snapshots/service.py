"""Is the snapshot service: pictures of live streams on demand and timed, by one decode child."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.routing import Route

from hlsd.events import Action
from hlsd.ports import Service
from hlsd.snapshots.endpoint import SnapshotEndpoint
from hlsd.snapshots.figures import SnapshotFigures, SnapshotStats
from hlsd.snapshots.spare import SpareTime
from hlsd.snapshots.studio import Studio
from hlsd.snapshots.timed import TimedPictures

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.delivery.judge import Judge
    from hlsd.events import Bus
    from hlsd.ports import Entrance
    from hlsd.snapshots.portrait import Sitter
    from hlsd.snapshots.settings import SnapshotSettings


class SnapshotService(Service):
    """The service. Nothing is decoded, and no process begun, before somebody asks or a rule matches.

    `find(app, name)` gives a stream that is live or in its grace, `on_air()` those that somebody publishes; `gated`:
    whether rules say who may watch; `state` is where the folder of timed pictures lies.
    """

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        settings: SnapshotSettings,
        *,
        find: Callable[[str, str], Sitter | None],
        on_air: Callable[[], Iterable[Sitter]],
        entrance: Entrance,
        judge: Judge,
        state: Path,
        gated: Callable[[], bool],
        clock: Clock,
        bus: Bus,
        log: Log,
        faults: Faults,
    ) -> None:
        self._settings = settings
        self.stats = SnapshotStats()
        self.studio = Studio(settings, find, clock, log, self.stats, faults)
        """Where pictures are made."""
        self.spare = SpareTime(self.studio)
        """For pictures of what is not live."""
        self._timed = TimedPictures(
            settings.rules, state / settings.folder, self.studio, on_air, clock, bus, log, self.stats, faults
        )
        self._endpoint = SnapshotEndpoint(
            self.studio,
            entrance,
            judge,
            self.stats,
            settings.width,
            guarded=lambda: gated() or bus.asks(Action.PRE_PLAY),
        )

    async def start(self) -> None:
        """Begins to take what is due."""
        self.studio.start()
        self._timed.start()

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends the child."""
        await self._timed.stop()
        await self.studio.stop()

    def routes(self) -> tuple[Route, ...]:
        """Pictures on demand."""
        if not self._settings.on_demand:
            return ()
        return tuple([Route(f"/{{app}}/{{name}}.{form}", self._endpoint) for form in ("jpg", "webp")])

    def figures(self) -> tuple[SnapshotFigures, ...]:
        """What it does and costs."""
        return (SnapshotFigures(self.stats),)
