"""Says how many series there may be at most; whatever would go beyond is left out and counted."""

from __future__ import annotations

from typing import Final

from hlsd.base.figures import Counts, Sample, Spec
from hlsd.metrics.exposition import Family

NODE_SERIES: Final = 700
"""Series about the process as a whole, at most."""
APP_SERIES: Final = 120
"""Series of an app, at most (on average over the apps)."""
STREAM_SERIES: Final = 25
"""Series of a stream, at most (on average over `max_streams`)."""
_FOREIGN: Final = 40
"""Room for process_*, python_gc_* and python_info, which are not ours."""


def bound(apps: int, streams: int) -> int:
    """How many series there are at most with figures of `apps` apps and up to `streams` streams."""
    return NODE_SERIES + apps * APP_SERIES + streams * STREAM_SERIES


class SeriesBudget:
    """Where samples go while there is room: the bound of each scope, for one scrape."""

    def __init__(self, found: dict[str, Family], apps: int, streams: int) -> None:
        self._found = found
        self._left = {
            "node": NODE_SERIES - _FOREIGN,
            "app": apps * APP_SERIES,
            "stream": streams * STREAM_SERIES,
        }
        self.dropped = 0

    def add(self, spec: Spec, labels: tuple[str, ...], sample: Sample) -> None:
        """Takes the sample in, or counts what is left out."""
        size = len(sample.counts) + 2 if isinstance(sample, Counts) else 1
        if self._left[spec.scope] < size:
            self.dropped += size
            return
        self._left[spec.scope] -= size
        self._found[spec.name].rows.append((labels, sample))
