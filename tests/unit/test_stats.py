"""Counting is bounded by what the house knows, whatever strangers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.figures import Histogram
from hlsd.stats import OTHER, Stats


def test_an_observation_on_a_bound_belongs_to_that_bucket() -> None:
    # Prometheus: "le" is "less than or equal".
    histogram = Histogram((1.0, 2.0))
    for seen in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(seen)
    assert histogram.counts == [2, 2, 1]
    assert histogram.count == 5
    assert histogram.total == 14.0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 9.0])))
def test_many_observations_at_once_count_like_one_by_one(values: list[float]) -> None:
    alone, together = Histogram((1.0, 2.0)), Histogram((1.0, 2.0))
    for value in values:
        alone.observe(value)
    together.observe_all(list(values))
    assert together.counts == alone.counts
    assert together.total == alone.total


def test_only_apps_with_publishers_get_figures_of_their_own() -> None:
    # A stranger who asks for /x1/a, /x2/a, … must not make figures.
    stats = Stats()
    for number in range(1000):
        stats.app(f"x{number}").auth["sign", "denied"] += 1
    assert list(stats.apps) == [OTHER]
    assert stats.apps[OTHER].auth["sign", "denied"] == 1000


def test_apps_beyond_the_bound_share_one_set_of_figures() -> None:
    stats = Stats(max_apps=2)
    for name in ("a", "b", "c", "d"):
        stats.admit(name).publishes["ok"] += 1
    assert set(stats.apps) == {OTHER, "a", "b"}
    assert stats.apps[OTHER].publishes["ok"] == 2
    assert stats.admit("a") is stats.app("a")


def test_what_belongs_to_a_stream_goes_with_it_but_not_before_its_last_viewer() -> None:
    stats = Stats()
    stats.tally("live", "gone", "hls").sessions = 1
    stats.tally("live", "there", "hls")
    stats.tally("live", "empty", "hls")
    stats.quality_of("live", "gone")
    stats.forget(lambda _app, name: name == "there")
    assert set(stats.tallies) == {("live", "gone", "hls"), ("live", "there", "hls")}
    assert not stats.quality
    stats.tallies["live", "gone", "hls"].sessions = 0
    stats.forget(lambda _app, name: name == "there")
    assert set(stats.tallies) == {("live", "there", "hls")}
