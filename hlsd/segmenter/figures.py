"""Reports what was cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hlsd.base.figures import STREAM, Counts, Figure, Reporter, Spec
from hlsd.ports import MediaRun
from hlsd.stats import Stats

FRAME_RATE = Spec("hlsd_stream_frame_rate", "gauge", "Frames per second of the leading track, as measured.", STREAM)
FORCED = Spec(
    "hlsd_stream_forced_cuts", "counter", "Segments that began without a key picture, for none came in time.", STREAM
)
SEGMENTS = Spec("hlsd_segments", "counter", "Segments and parts listed, by kind.", ("app", "kind", "stream"))
SEGMENT_DURATION = Spec("hlsd_segment_duration_seconds", "histogram", "Length of segments and parts.", ("app", "kind"))
SEGMENT_DELAY = Spec(
    "hlsd_segment_ready_delay_seconds",
    "histogram",
    "From the end of the media of a segment or part to when it was listed.",
    ("app", "kind"),
)
SEGMENT_MEMORY = Spec("hlsd_segment_memory_bytes", "gauge", "Media held in the live window.", STREAM, adds_up=True)


class SegmentFigures(Reporter):
    """The figures of all runs; `find(app, name)` knows that of a stream."""

    SPECS = (FRAME_RATE, FORCED, SEGMENTS, SEGMENT_DURATION, SEGMENT_DELAY, SEGMENT_MEMORY)

    def __init__(self, find: Callable[[str, str], MediaRun | None], stats: Stats) -> None:
        self._find = find
        self._stats = stats

    def apps(self) -> Iterator[Figure]:
        """How long what was cut is, and how late it was listed."""
        for app, figures in self._stats.shown():
            for spec, histograms in (
                (SEGMENT_DURATION, figures.segment_duration),
                (SEGMENT_DELAY, figures.segment_delay),
            ):
                for kind, histogram in histograms.items():
                    yield spec, (app, kind), Counts.of(histogram)

    def stream(self, app: str, name: str) -> Iterator[Figure]:
        """What was cut of one stream."""
        run = self._find(app, name)
        if run is None:
            return
        if run.frame_rate:
            yield FRAME_RATE, (), round(run.frame_rate, 3)
        yield FORCED, (), run.forced_cuts
        for kind, count in run.counts.items():
            if count:
                yield SEGMENTS, (kind,), count
        yield SEGMENT_MEMORY, (), run.bytes
