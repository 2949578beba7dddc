"""Reports the process itself: what runs here, how late the event loop is, what went wrong inside."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from hlsd import __version__
from hlsd.base.figures import Counts, Figure, Reporter, Spec
from hlsd.stats import Stats

BUILD = Spec("hlsd_build_info", "gauge", "What runs here; always 1.", ("av", "python", "version"))
LAG = Spec("hlsd_event_loop_lag_seconds", "histogram", "How late the event loop was, looked at four times a second.")
OUTPUT_FAULTS = Spec(
    "hlsd_output_faults", "counter", "Exceptions in what a stream feeds: that output began anew.", ("output",)
)
OUTPUTS_OFF = Spec("hlsd_outputs_off", "gauge", "Outputs of streams that failed too often and stay off.", ("output",))
TASK_FAULTS = Spec("hlsd_task_faults", "counter", "Exceptions in sweeps, tasks and callbacks.", ("task",))


class NodeFigures(Reporter):
    """The figures that belong to no service."""

    SPECS = (BUILD, LAG, OUTPUT_FAULTS, OUTPUTS_OFF, TASK_FAULTS)

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._build: tuple[str, str, str] | None = None

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """All of them."""
        if self._build is None:
            from importlib.metadata import version  # noqa: PLC0415 - it loads much, and for this alone

            self._build = (version("av"), platform.python_version(), __version__)
        yield BUILD, self._build, 1
        yield LAG, (), Counts.of(self._stats.loop_lag)
        faults = self._stats.faults
        for spec, counter in (
            (OUTPUT_FAULTS, faults.outputs),
            (OUTPUTS_OFF, faults.off),
            (TASK_FAULTS, faults.tasks),
        ):
            for part, count in sorted(counter.items()):
                yield spec, (part,), count
