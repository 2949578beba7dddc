"""Makes the HLS of every stream (`hlsd.ports.OutputFactory`): a run with its main rendition, numbered behind the last.

Who writes numbers down keeps nobody off the air: where the journal fails, the clock alone gives the first one (MP04).
A publisher whose stream does not fit into its memory is turned away once the segmenter has returned.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

import structlog

from hlsd.base.clock import Clock
from hlsd.base.quantities import in_mib
from hlsd.media.key_vault import KeyVault
from hlsd.ports import AUDIO_ONLY, LiveStream, PublishRequest, SinkFactory
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.run import Run
from hlsd.segmenter.segmenter import Segmenter
from hlsd.segmenter.settings import HlsSettings
from hlsd.stats import Stats


class HlsOutputs:
    """The HLS side of one server. `sinks()` make who wants the segments of every run: asked when one begins.

    `vault` says whose segments are encrypted.
    """

    name = "hls"

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        settings: HlsSettings,
        clock: Clock,
        journal: SequenceJournal,
        stats: Stats,
        *,
        sinks: Callable[[], Iterable[SinkFactory]] = tuple,
        vault: KeyVault | None = None,
    ) -> None:
        self._vault = vault
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._stats = stats
        self._faults = stats.faults
        self._sinks = sinks
        self._log = structlog.get_logger()

    def output(self, stream: LiveStream, request: PublishRequest) -> Segmenter:  # noqa: ARG002 - whoever publishes
        """The main rendition of a new run; `stream.id` names it in URLs."""
        path, journal = stream.path, self._journal
        run = Run(
            stream.id,
            self._settings,
            first_msn=self._first(path),
            first_discontinuity=journal.timeline(path),
            faults=self._faults,
            keys=self._vault.live(stream.app, stream.name, stream.id) if self._vault is not None else None,
        )

        def overflow() -> None:
            asyncio.get_running_loop().call_soon(too_fat)

        def too_fat() -> None:
            window = main.window
            stream.turn_away(
                "limit",
                f"{in_mib(window.bytes)} are needed for the shortest playlist ({3 * window.target_duration} s) at "
                f"{stream.stats.bitrate / 1e6:.1f} Mbit/s; hls.max_stream_bytes allows {in_mib(window.max_bytes)}",
            )

        def reached(msn: int) -> None:
            journal.reached(path, msn)
            journal.opened(path, main.window.timeline)

        main = Segmenter(
            run,
            finished=reached,
            overflow=overflow,
            stats=self._stats.app(stream.app),
            log=self._log.bind(app=stream.app, name=stream.name),
        )
        if self._settings.audio_only:
            run.ladder.add_sound(AUDIO_ONLY)
        for factory in self._sinks():
            try:
                sink = factory.sink(stream)
                if sink is not None:
                    run.attach(factory.name, sink)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is that factory's
                self._faults.output(factory.name, error, app=stream.app, name=stream.name)
        return main

    def leave(self, streams: Iterable[LiveStream]) -> None:
        """Notes where the runs stand that did not end: they go on in the server that takes this one's place."""
        for stream in streams:
            run = stream.run
            if isinstance(run, Run) and not run.ended:
                window = run.main.window
                self._journal.leave(stream.path, window.last_msn + 1, window.timeline + 1, self._clock.wall())

    def close(self) -> None:
        """Lets go of the journal."""
        self._journal.close()

    def _first(self, path: str) -> int:
        """The first media sequence number of a new run."""
        wall, target = self._clock.wall(), self._settings.time
        try:
            return self._journal.first(path, wall, target)
        except Exception as error:  # noqa: BLE001 - see above
            self._faults.output("journal", error)
            return max(1, math.floor(wall / (target / 2)))
