"""Remembers the last hour of each stream: bits per second that came in, and viewers, each `EVERY` seconds.

Law: a point is 8 bytes, a stream has `POINTS` of them at most, and is forgotten an hour after its last one. There are
`STREAMS` at most; the one that ended longest ago makes room.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from hlsd.streams.stream import Stream, StreamState

EVERY: Final = 10.0
POINTS: Final = 360
STREAMS: Final = 2_000
_BITS: Final = 1_000
"""What a bit rate is kept in: kilobits."""
_MOST: Final = 2**32 - 1


class StreamPoint(NamedTuple):
    """A stream at an instant."""

    path: str
    bitrate: float
    viewers: int


def points_of(streams: Iterable[Stream], viewers: Callable[[str], int]) -> Iterator[StreamPoint]:
    """The points of the streams that are live or in their grace; `viewers(path)` says how many watch one."""
    for stream in streams:
        if stream.state is not StreamState.ENDED:
            yield StreamPoint(stream.path, stream.stats.bitrate, viewers(stream.path))


class _Line:
    __slots__ = ("kilobits", "last", "viewers")

    def __init__(self) -> None:
        self.kilobits = array("I")
        self.viewers = array("I")
        self.last = 0
        """The turn of the newest point; they follow one another without a hole."""


class History:
    """Of one server. `samples()` are the streams now; `wall` seconds of the epoch."""

    def __init__(self, samples: Callable[[], Iterable[StreamPoint]], wall: Callable[[], float]) -> None:
        self._samples = samples
        self._wall = wall
        self._lines: dict[str, _Line] = {}
        self._turn = 0
        self._at = 0.0

    def __len__(self) -> int:
        return len(self._lines)

    def turn(self) -> None:
        """Takes a point of each stream."""
        self._turn += 1
        self._at = self._wall()
        for sample in self._samples():
            if len(self._lines) >= STREAMS and sample.path not in self._lines and not self._forget():
                continue
            line = self._lines.pop(sample.path, None)
            if line is None or line.last < self._turn - POINTS:
                line = _Line()
            self._lines[sample.path] = line  # the newest last
            if line.kilobits:
                hole = array("I", [0]) * (self._turn - 1 - line.last)
                line.kilobits.extend(hole)
                line.viewers.extend(hole)
            line.kilobits.append(min(_MOST, round(sample.bitrate / _BITS)))
            line.viewers.append(min(_MOST, sample.viewers))
            line.last = self._turn
            del line.kilobits[:-POINTS], line.viewers[:-POINTS]
        for path in [path for path, line in self._lines.items() if line.last < self._turn - POINTS]:
            del self._lines[path]

    def _forget(self) -> bool:
        """Makes room: the one that ended longest ago goes. False if all are live."""
        oldest = min(self._lines, key=lambda path: self._lines[path].last)
        if self._lines[oldest].last >= self._turn - 1:
            return False
        del self._lines[oldest]
        return True

    def of(self, path: str) -> tuple[int, list[int], list[int]]:
        """When the first point was taken (ms of the epoch), bits per second, viewers; the last point is the newest."""
        line = self._lines.get(path)
        if line is None:
            return int(self._at * 1000), [], []
        first = self._at - (self._turn - line.last + len(line.kilobits) - 1) * EVERY
        return int(first * 1000), [one * _BITS for one in line.kilobits], list(line.viewers)
