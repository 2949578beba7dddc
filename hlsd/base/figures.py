"""Says what a figure is, and how whoever owns one reports it when it is asked.

Law: one prefix; base units (seconds, bytes); no viewer, address, token or URL in a label; values of labels are names of
the configuration, names of publishers up to a bound, or closed enumerations. Who owns a figure says its name and what
it is now (`Reporter`); `hlsd.metrics` collects them, keeps the bound on their number and writes them down.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

STREAM: Final = ("app", "stream")
"""The labels of what each stream has one of."""


@dataclass(frozen=True)
class Spec:
    """One metric family. `name` is without the suffixes of samples; `labels` in alphabetical order.

    `adds_up`: whether the sum of a gauge over streams says something; of a counter it always does.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    words: str
    labels: tuple[str, ...] = ()
    adds_up: bool = False

    @property
    def scope(self) -> Literal["node", "app", "stream"]:
        """By the labels: `stream`, else `app`, else the node."""
        return "stream" if "stream" in self.labels else "app" if "app" in self.labels else "node"


class Histogram:
    """Counts observations by fixed upper bounds, Prometheus' way: `le` means up to and including."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each bucket alone (not of those below it); the last one has no bound."""
        self.total = 0.0
        """Sum of all observations."""

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: list[float]) -> None:
        """Counts many observations at once; `values` is sorted in place."""
        values.sort()
        counts, before = self.counts, 0
        for number, bound in enumerate(self.bounds):
            below = bisect_right(values, bound)
            counts[number] += below - before
            before = below
        counts[-1] += len(values) - before
        self.total += sum(values)

    @property
    def count(self) -> int:
        """How many observations."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Counts:
    """A histogram as it was at the scrape: counts of each bucket alone, and the sum of all values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @classmethod
    def of(cls, histogram: Histogram, more: int = 0) -> Counts:
        """A copy; `more` observations too small to have been measured."""
        first, *others = histogram.counts
        return cls(histogram.bounds, (first + more, *others), histogram.total)


Sample = float | Counts
Figure = tuple[Spec, tuple[str, ...], Sample]
"""A family, the values of its labels in the family's order, and what it is now."""


class Reporter:
    """Whoever owns figures. Each method is asked once a scrape, `stream` once for each stream; no figures: ()."""

    SPECS: ClassVar[tuple[Spec, ...]] = ()
    """All families of it, in the order in which they are shown."""

    def node(self, now: float) -> Iterable[Figure]:  # noqa: ARG002 - for those who override it
        """What there is of the process as a whole; `now`: wall clock, seconds since the epoch."""
        return ()

    def apps(self) -> Iterable[Figure]:
        """What is counted by app."""
        return ()

    def stream(self, app: str, name: str) -> Iterable[Figure]:  # noqa: ARG002
        """What there is of one stream: the labels besides app and stream. Those that may be left out come last."""
        return ()
