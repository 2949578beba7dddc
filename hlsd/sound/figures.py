"""Counts what the sound process does, and reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from hlsd.base.figures import Counts, Figure, Histogram, Reporter, Spec
from hlsd.media.sounds import SOUNDS

DELAY: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)
"""Bounds for how long packets are in the process, seconds."""

STREAMS = Spec("hlsd_sound_streams", "gauge", "Streams whose sound is converted now, to AAC or for WebRTC to Opus.")
UP = Spec("hlsd_sound_up", "gauge", "1 while the sound process runs; it does while it is needed.")
PACKETS = Spec("hlsd_sound_packets", "counter", "Packets of sound handed over to be converted, by codec.", ("codec",))
ERRORS = Spec("hlsd_sound_errors", "counter", "Packets of which no sound came, by reason.", ("reason",))
SILENCE = Spec("hlsd_sound_silence_seconds", "counter", "Silence put in where sound was missing.")
RESTARTS = Spec("hlsd_sound_restarts", "counter", "Times the sound process died or hung.", ("reason",))
CPU = Spec("hlsd_sound_cpu_seconds", "counter", "Processor time of the sound process, start included.")
WAIT = Spec("hlsd_sound_wait_seconds", "histogram", "From handing a packet over to what came of it.")


class SoundStats:
    """What is counted. `reason` of errors: `bad`, `busy` (the stream's share of the processor), `large`, `full`."""

    def __init__(self) -> None:
        self.streams = 0
        self.up = 0
        self.packets: Counter[str] = Counter(dict.fromkeys(SOUNDS, 0))
        self.errors: Counter[str] = Counter(bad=0, busy=0, large=0, full=0)
        self.silence = 0
        """Samples of 48 kHz."""
        self.restarts: Counter[str] = Counter(died=0, hung=0)
        self.cpu_before = 0
        """Nanoseconds of processes that are gone."""
        self.cpu = 0
        """And of the one that runs."""
        self.wait = Histogram(DELAY)


class SoundFigures(Reporter):
    """The figures of one sound process."""

    SPECS = (STREAMS, UP, PACKETS, ERRORS, SILENCE, RESTARTS, CPU, WAIT)

    def __init__(self, stats: SoundStats) -> None:
        self._stats = stats

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them: the process is the node's."""
        stats = self._stats
        yield STREAMS, (), stats.streams
        yield UP, (), stats.up
        for spec, counter in ((PACKETS, stats.packets), (ERRORS, stats.errors), (RESTARTS, stats.restarts)):
            for label, count in counter.items():
                yield spec, (label,), count
        yield SILENCE, (), stats.silence / 48_000
        yield CPU, (), (stats.cpu_before + stats.cpu) / 1e9
        yield WAIT, (), Counts.of(stats.wait)
