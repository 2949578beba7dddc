"""Is the SRT service: a UDP port for publishers and players. Where none is set it is not made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.base.upkeep import ended
from hlsd.ports import OutputFactory, Service

if TYPE_CHECKING:
    from hlsd.ingest.srt.figures import SrtFigures
    from hlsd.ingest.srt.room import SrtRoom


class SrtService(Service):
    """`room` has the connections, `feeder` makes what its players get."""

    def __init__(self, room: SrtRoom, feeder: OutputFactory) -> None:
        self.room = room
        self._feeder = feeder

    async def start(self) -> None:
        """Listens. Raises OSError when it cannot."""
        self.room.start()

    async def stop(self, deadline: float) -> None:
        """Ends every connection."""
        await ended(self.room.stop(), deadline)

    def outputs(self) -> tuple[OutputFactory, ...]:
        """What players are fed from."""
        return (self._feeder,)

    def figures(self) -> tuple[SrtFigures, ...]:
        """What is counted."""
        return (self.room.figures(),)
