"""Counts what players report of their playback, as much of it as may be read in a second.

Law: a report never changes an answer and is never kept. Stalls are looked for in every report; lengths of buffers and
throughputs are read of every n-th one, where n follows the load, so that players cannot make the server read more than
`per_second` reports: a sample of all, not the first ones of each second.
"""

from __future__ import annotations

from typing import Final

from hlsd.delivery.cmcd import parse, stalled
from hlsd.stats import Stats

PER_SECOND: Final = 500
"""Reports read in a second: about 3 ms of it."""


class Quality:
    """What players of this server report. `now` in seconds of one monotonic clock."""

    def __init__(self, stats: Stats, per_second: int = PER_SECOND) -> None:
        self._stats = stats
        self._most = per_second
        self._second = 0.0
        self._seen = 0
        self._every = 1
        self._read = 0

    def report(self, app: str, name: str, raw: bytes, now: float) -> None:
        """A player of `/{app}/{name}`, a stream that there is, sent the report `raw` with a request."""
        if now - self._second >= 1.0:
            self._every = 1 + self._seen // self._most if self._most else 0
            self._second, self._seen, self._read = now, 0, 0
        self._seen += 1
        quality = self._stats.quality_of(app, name)
        quality.reports += 1
        if stalled(raw):
            quality.stalls += 1
        if self._read >= self._most or self._seen % self._every:
            return
        self._read += 1
        report = parse(raw)
        if report.buffer is not None:
            quality.buffer.observe(report.buffer)
        if report.throughput is not None:
            quality.throughput.observe(report.throughput)
