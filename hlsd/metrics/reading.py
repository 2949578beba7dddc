"""Reads every figure of the server as it stands, in slices: the families of one scrape.

Law: it looks at live objects only while it is asked, so a stream's series end with the stream; it never looks at
sessions one by one. Streams get series of their own in the order in which they came, up to `max_streams` and until
they end; what the others do is counted under `_other`, from one scrape to the next, so that these counters only rise.
Whatever would go beyond the bound (`hlsd.metrics.bounds`) is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from hlsd.base.figures import Counts, Figure, Reporter, Sample, Spec
from hlsd.metrics.bounds import SeriesBudget
from hlsd.metrics.exposition import Family
from hlsd.stats import OTHER, Stats

DROPPED = Spec("hlsd_metrics_series_dropped", "counter", "Series that scrapes left out for the bound.")
SCRAPE = Spec(
    "hlsd_metrics_scrape_duration_seconds", "gauge", "What the scrape before this one took, waiting included."
)


SPECS = (DROPPED, SCRAPE)
STREAMS_A_SLICE = 20
"""Streams that are read before others have their turn: about a millisecond."""

Extra = tuple[str, ...]
"""Values of a stream's labels besides app and stream, in the family's order."""
Key = tuple[str, str]
"""A stream's app and name."""


class Reader:
    """Reads the figures of one server, scrape after scrape, from those who own them.

    `reporters()` are asked for once, at the first scrape; `streams()` gives every stream, oldest first; the same name
    with another value is another stream.
    """

    def __init__(
        self,
        reporters: Callable[[], Sequence[Reporter]],
        streams: Callable[[], Mapping[Key, Hashable]],
        stats: Stats,
        *,
        max_streams: int,
    ) -> None:
        self._make = reporters
        self._streams = streams
        self._stats = stats
        self._guard = stats.faults.guard("figures")
        self._max = max_streams
        self.scrape_seconds = 0.0
        self._named: dict[Key, Hashable] = {}
        self._rest: dict[tuple[str, str, Extra], Sample] = {}
        """Counters of unnamed streams: (app, family, extra labels)."""
        self._seen: dict[Key, dict[tuple[str, Extra], Sample]] = {}
        """What unnamed streams had at the last scrape."""

    @cached_property
    def _reporters(self) -> tuple[Reporter, ...]:
        return tuple(self._make())

    def families(self, now: float) -> tuple[list[Family], Iterator[None]]:
        """The families of this instant (`now`: wall clock), and the work of filling them, one step a slice."""
        found = {spec.name: Family(spec) for spec in self.specs}
        return list(found.values()), self._fill(found, now)

    @cached_property
    def specs(self) -> tuple[Spec, ...]:
        """All families there are."""
        return tuple(spec for reporter in self._reporters for spec in reporter.SPECS) + SPECS

    # -- slices

    def _fill(self, found: dict[str, Family], now: float) -> Iterator[None]:
        streams = self._streams()
        self._name(streams)
        apps = {self._stats.label(app) for app, _ in streams} | {*self._stats.apps}
        budget = SeriesBudget(found, len(apps), self._max)
        for reporter in self._reporters:
            with self._guard:  # who cannot say what it is costs its own figures, not the scrape
                for figure in reporter.node(now):
                    budget.add(*figure)
        budget.add(SCRAPE, (), self.scrape_seconds)
        yield
        for reporter in self._reporters:
            with self._guard:
                for figure in reporter.apps():
                    budget.add(*figure)
        yield
        rest: dict[tuple[str, str, Extra], float] = {}
        for number, (key, stream) in enumerate(list(streams.items()), 1):
            if self._named.get(key) is stream:
                for spec, extra, sample in self._of_stream(key):
                    budget.add(spec, _labels(spec, *key, extra), sample)
            else:
                self._put_by(key, self._of_stream(key), rest)
            if not number % STREAMS_A_SLICE:
                yield
        for (app, family, extra), sample in [*self._rest.items(), *rest.items()]:
            spec = found[family].spec
            budget.add(spec, _labels(spec, app, OTHER, extra), sample)
        self._stats.series_dropped += budget.dropped
        budget.add(DROPPED, (), self._stats.series_dropped)

    def _of_stream(self, key: Key) -> Iterator[Figure]:
        for reporter in self._reporters:
            found: list[Figure] = []
            with self._guard:
                found += reporter.stream(*key)
            yield from found

    def _name(self, there: Mapping[Key, Hashable]) -> None:
        for key, stream in list(self._named.items()):
            if there.get(key) is not stream:
                del self._named[key]
        for key in list(self._seen):
            if key not in there:
                del self._seen[key]
        for key, stream in there.items():
            if len(self._named) >= self._max:
                break
            if key not in self._seen and key[0] in self._stats.apps:
                self._named[key] = stream

    def _put_by(self, key: Key, figures: Iterable[Figure], rest: dict[tuple[str, str, Extra], float]) -> None:
        """Adds an unnamed stream to `_other`: what it has, or what it did since the last scrape."""
        app = self._stats.label(key[0])
        seen = self._seen.setdefault(key, {})
        for spec, extra, sample in figures:
            if spec.kind == "gauge":
                if spec.adds_up:  # of the others a sum says nothing
                    assert not isinstance(sample, Counts)
                    rest[app, spec.name, extra] = rest.get((app, spec.name, extra), 0) + sample
                continue
            whole = (app, spec.name, extra)
            self._rest[whole] = _plus(self._rest.get(whole), sample, seen.get((spec.name, extra)))
            seen[spec.name, extra] = sample


def _labels(spec: Spec, app: str, name: str, extra: Extra) -> tuple[str, ...]:
    """The values of a stream's labels in the family's order, where `extra` has those besides app and stream."""
    if not extra:
        return app, name
    others = iter(extra)
    return tuple([app if label == "app" else name if label == "stream" else next(others) for label in spec.labels])


def _plus(whole: Sample | None, now: Sample, before: Sample | None) -> Sample:
    """`whole` and what has come since `before`."""
    if isinstance(now, Counts):
        none = Counts(now.bounds, (0,) * len(now.counts), 0.0)
        one = whole if isinstance(whole, Counts) else none
        old = before if isinstance(before, Counts) else none
        counts = tuple([a + b - c for a, b, c in zip(one.counts, now.counts, old.counts, strict=True)])
        return Counts(now.bounds, counts, one.total + now.total - old.total)
    assert not isinstance(whole, Counts)
    assert not isinstance(before, Counts)
    return (whole or 0) + now - (before or 0)
