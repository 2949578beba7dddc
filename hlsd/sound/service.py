"""Is the desk for sound that is not AAC: one process for the node, a converter for each publisher."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.ports import Service, SoundConverter, SoundSink, SoundTeller
from hlsd.sound.converter import Converter
from hlsd.sound.figures import SoundFigures, SoundStats
from hlsd.sound.process import SoundProcess
from hlsd.sound.settings import SoundSettings


class SoundService(Service):
    """The service, and `hlsd.ports.SoundDesk`. Nothing runs before it is needed."""

    def __init__(
        self, settings: SoundSettings, clock: Clock, log: FilteringBoundLogger, faults: Faults | None = None
    ) -> None:
        self.settings = settings
        self.stats = SoundStats()
        self.process = SoundProcess(settings.audio_memory, clock, log, self.stats, faults or Faults())
        """Where sound is decoded."""
        self._clock = clock

    def converter(self, sink: SoundSink, teller: SoundTeller, channels: int = 0) -> SoundConverter:
        """As `hlsd.ports.SoundDesk`."""
        return Converter(
            self.process, sink, teller, self._clock, self.stats, self.settings.audio_bitrate, self._has_room, channels
        )

    def warm(self) -> None:
        """Begins the process if it does not run."""
        self.process.want()

    def figures(self) -> tuple[SoundFigures, ...]:
        """What it does and costs."""
        return (SoundFigures(self.stats),)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - nothing is waited for
        """Ends the process: its publishers are gone."""
        await self.process.stop()

    def _has_room(self) -> bool:
        return self.stats.streams < self.settings.audio_streams
