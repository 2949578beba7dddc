"""What is written means to Prometheus what prometheus_client would have written for the same figures."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from hlsd.metrics.exporter import Exporter
from hlsd.metrics.exposition import Counts, Family, as_metrics, takes_openmetrics, written
from hlsd.metrics.names import FAMILIES, Spec
from hlsd.metrics.reading import Reader
from hlsd.metrics.settings import MetricsSettings
from hlsd.stats import Histogram, Stats
from tests.support.figures import Stream, Streams, samples

ODD = 'a\\b"c\nd'
"""What a label may hold: "backslash, double-quote and line feed must be escaped"."""


def busy() -> tuple[Stats, Streams]:
    stats = Stats()
    stats.admit("live").publishes["ok"] += 3
    stats.app("live").auth["sign", "denied"] += 2
    stats.app("live").blocking_wait.observe(0.3)
    stats.app("live").segment_delay["part"].observe(0.01)
    stats.http.ready_cell("playlist", 200).count = 5
    stats.http.held_cell("part", 200).count = 7
    stats.http.slow["page", 404] += 1
    stats.http.duration["page"].observe(0.2)
    stats.notify.events["donePlay", "ok"] += 4
    stats.relay(ODD, "pull").up = 1
    stats.relay(ODD, "pull").starts["ok"] += 1
    stats.tally("live", "cam", "hls").media_bytes = 12345
    stats.quality_of("live", "cam").buffer.observe(3.3)
    return stats, Streams(Stream("live", "cam"), Stream("live", "other"))


def test_our_text_says_what_prometheus_client_says() -> None:
    stats, streams = busy()
    exporter = Exporter(Reader(streams, stats, max_streams=10), MetricsSettings(), lambda: 100.0)
    families, steps = exporter.reader.families(100.0)
    list(steps)
    registry = CollectorRegistry()
    registry.register(exporter)
    ours = samples("".join(written(families, openmetrics=False)))
    theirs = samples(generate_latest(registry).decode())
    assert ours == theirs
    assert len(ours) > 100


def test_our_openmetrics_is_read_by_their_parser() -> None:
    stats, streams = busy()
    families, steps = Reader(streams, stats, max_streams=10).families(100.0)
    list(steps)
    text = "".join(written(families, openmetrics=True)) + "# EOF\n"
    found = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert set(found) == {spec.name for spec in FAMILIES}
    assert {family.name: family.type for family in found.values()} == {spec.name: spec.kind for spec in FAMILIES}


def test_labels_are_escaped() -> None:
    family = Family(Spec("hlsd_x", "gauge", "Words.", ("rule",)), [((ODD,), 1)])
    assert samples("".join(written([family], openmetrics=False))) == {("hlsd_x", frozenset({("rule", ODD)})): 1.0}


def test_a_histogram_is_cumulative_and_ends_with_infinity() -> None:
    histogram = Histogram((0.1, 1.0))
    for seen in (0.05, 0.5, 5.0):
        histogram.observe(seen)
    family = Family(Spec("hlsd_x_seconds", "histogram", "Words."), [((), Counts.of(histogram, more=10))])
    text = "".join(written([family], openmetrics=False))
    assert 'hlsd_x_seconds_bucket{le="0.1"} 11\n' in text
    assert 'hlsd_x_seconds_bucket{le="1.0"} 12\n' in text
    assert 'hlsd_x_seconds_bucket{le="+Inf"} 13\n' in text
    assert "hlsd_x_seconds_count 13\n" in text
    assert [metric.samples[-1].value for metric in as_metrics([family])] == [5.55]


def test_openmetrics_is_for_those_who_ask() -> None:
    prometheus = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"
    )
    assert takes_openmetrics(prometheus)
    assert not takes_openmetrics("text/plain;version=0.0.4")
    assert not takes_openmetrics("")


def test_every_name_keeps_the_rules_of_the_house() -> None:
    # Contract §8: one prefix, base units, no viewer in a label, labels in the order in which they are written.
    forbidden = {"ip", "sid", "session", "user", "user_id", "user_agent", "url", "path", "token", "id", "referer"}
    units = ("_seconds", "_bytes", "_ratio", "_info", "_per_second")
    for spec in FAMILIES:
        assert spec.name.startswith("hlsd_")
        assert not spec.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert list(spec.labels) == sorted(spec.labels)
        assert not forbidden & set(spec.labels)
        assert spec.words.endswith(".")
        if spec.kind == "histogram":
            assert spec.name.endswith(units)
    assert len({spec.name for spec in FAMILIES}) == len(FAMILIES)
