"""Writes families of samples as Prometheus text or OpenMetrics.

Law: what prometheus_client would write for the same samples means the same (a test compares them); this one is fast
enough to write ten thousand series in slices of a few milliseconds each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hlsd.base.figures import Counts, Spec

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SLICE: Final = 400
"""Rows written before others have their turn: about a millisecond."""


Row = tuple[tuple[str, ...], "float | Counts"]
"""The values of the labels, in the family's order, and the sample."""


@dataclass(slots=True)
class Family:
    """The samples of one metric."""

    spec: Spec
    rows: list[Row] = field(default_factory=list)


def takes_openmetrics(accept: str) -> bool:
    """Whether a scraper prefers OpenMetrics 1.0 (Prometheus names it first)."""
    return any(item.split(";")[0].strip() == "application/openmetrics-text" for item in accept.split(","))


def written(families: Iterable[Family], *, openmetrics: bool) -> Iterator[str]:
    """The exposition, in slices; of OpenMetrics without its end."""
    for family in families:
        spec = family.spec
        counter = spec.kind == "counter"
        name = f"{spec.name}_total" if counter else spec.name
        shown = spec.name if openmetrics else name
        lines = [f"# HELP {shown} {_escaped(spec.words)}\n# TYPE {shown} {spec.kind}\n"]
        for number, (values, sample) in enumerate(family.rows, 1):
            pairs = ",".join([f'{label}="{_escaped(value)}"' for label, value in zip(spec.labels, values, strict=True)])
            if isinstance(sample, Counts):
                _write_histogram(lines, name, pairs, sample)
            else:
                lines.append(f"{name}{{{pairs}}} {sample!r}\n" if pairs else f"{name} {sample!r}\n")
            if not number % SLICE:
                yield "".join(lines)
                lines.clear()
        yield "".join(lines)


def as_metrics(families: Iterable[Family]) -> Iterator[Metric]:
    """The same for prometheus_client's own registry and writers."""
    from prometheus_client.core import (  # noqa: PLC0415 - only who has such a registry needs it
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    for family in families:
        spec = family.spec
        if spec.kind == "histogram":
            histogram = HistogramMetricFamily(spec.name, spec.words, labels=spec.labels)
            for values, sample in family.rows:
                assert isinstance(sample, Counts)
                histogram.add_metric(values, list(_cumulative(sample)), sample.total)
            yield histogram
            continue
        kind = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
        metric = kind(spec.name, spec.words, labels=spec.labels)
        for values, sample in family.rows:
            assert not isinstance(sample, Counts)
            metric.add_metric(values, sample)
        yield metric


def _write_histogram(lines: list[str], name: str, pairs: str, sample: Counts) -> None:
    comma = "," if pairs else ""
    count = 0
    for le, count in _cumulative(sample):
        lines.append(f'{name}_bucket{{{pairs}{comma}le="{le}"}} {count}\n')
    braced = f"{{{pairs}}}" if pairs else ""
    lines.append(f"{name}_sum{braced} {sample.total!r}\n{name}_count{braced} {count}\n")


def _cumulative(sample: Counts) -> Iterator[tuple[str, int]]:
    """As text, every bucket with those below it; the last one is +Inf."""
    count = 0
    bounds: Sequence[float | str] = (*sample.bounds, "+Inf")
    for le, here in zip(bounds, sample.counts, strict=True):
        count += here
        yield str(le), count


def _escaped(text: str) -> str:
    if "\\" in text or "\n" in text or '"' in text:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return text
