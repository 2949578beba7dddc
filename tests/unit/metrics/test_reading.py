"""The number of series has a bound that neither viewers nor publishers can break, and counters never go back."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hlsd.base.clock import SystemClock
from hlsd.base.figures import Counts, Figure, Reporter
from hlsd.metrics import bounds
from hlsd.metrics.exposition import written
from hlsd.metrics.reading import Reader
from hlsd.ports import Grant, PlayRequest
from hlsd.sessions.registry import Registry
from hlsd.stats import OTHER, HttpStats, Stats
from tests.support.figures import Samples, Stream, Streams, reader_of, samples, value
from tests.support.viewers import TrustingSigner


def shown(reader: Reader) -> str:
    families, steps = reader.families(100.0)
    for _ in steps:
        pass
    return "".join(written(families, openmetrics=False))


def scrape(reader: Reader) -> Samples:
    return samples(shown(reader))


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[0] != "#"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing here has cycles; the collector would walk a hundred thousand sessions again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.thorough
def test_a_hundred_thousand_sessions_add_no_series() -> None:
    # Contract §8: "a test opens 100k sessions and asserts the count is unchanged".
    stats = Stats()
    stats.admit("live")
    registry = Registry(TrustingSigner(), SystemClock(), lambda _a, _n: 60.0, max_sessions=200_000, stats=stats)
    reader = reader_of(Streams(Stream("live", "cam")), stats, max_streams=500, ledger=registry.ledger)

    def watch(number: int) -> None:
        request = PlayRequest(
            "live", "cam", "hls", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", user_agent=f"agent {number}"
        )
        # The way in without the gate: who is let in at all has its own tests, and takes most of the time.
        session = registry._lifecycle.made(b"%022d" % number, request, Grant(user_id=f"user{number}"))
        registry._lifecycle.let_in(session)
        registry.charge(session, 100, True)

    watch(0)
    before = scrape(reader)
    with uncollected():
        for number in range(1, 100_000):
            watch(number)
    after = scrape(reader)
    assert set(after) == set(before)
    assert value(after, "hlsd_sessions", app="live", stream="cam", protocol="hls") == 100_000
    assert value(after, "hlsd_sessions_started_total", app="live", protocol="hls") == 100_000
    assert value(after, "hlsd_session_sent_bytes_total", app="live", stream="cam", protocol="hls") == 10_000_000


@pytest.mark.thorough
def test_a_hundred_thousand_random_names_stay_within_the_bound() -> None:
    # Names of streams and apps are strangers' words: publishers that come and go, viewers that ask for anything.
    chance = random.Random(7)
    stats = Stats(max_apps=20)
    streams = Streams()
    reader = reader_of(streams, stats, max_streams=50)
    most = 0
    names_seen = set()
    with uncollected():
        for number in range(100_000):
            name, app = f"n{chance.getrandbits(60):x}", f"a{chance.getrandbits(60):x}"
            names_seen.add((app, name))
            stats.admit(app).publishes["ok"] += 1
            figures = stats.app(app)
            figures.segment_delay["ts"].observe(0.1)
            stats.tally(app, name, "hls").media_bytes += 5
            stats.quality_of(app, name).buffer.observe(1.0)
            stats.app(f"x{number}").refused["absent"] += 1
            if number % 5000 >= 4800:  # 200 at a time; the others are gone before anybody looks
                if len(streams.there) >= 200:
                    del streams.there[next(iter(streams.there))]
                streams.add(Stream(app, name))
            if number % 5000 == 4999:
                there = {(stream.app, stream.name) for stream in streams.streams}
                most = max(most, len(lines(shown(reader))))  # before they are forgotten, and after it
                stats.forget(lambda a, n, there=there: (a, n) in there)  # type: ignore[misc]
                most = max(most, len(lines(shown(reader))))
    assert len(names_seen) == 100_000
    assert 500 < most <= bounds.bound(21, 50)
    assert len(stats.apps) == 21
    assert len(stats.tallies) <= 5200


def test_streams_beyond_the_bound_are_counted_together_and_never_backwards() -> None:
    stats = Stats()
    stats.admit("live")
    streams = Streams(*[Stream("live", f"s{number}") for number in range(5)])
    reader = reader_of(streams, stats, max_streams=2)
    first = scrape(reader)
    assert value(first, "hlsd_stream_ingest_bytes_total", app="live", stream="s1") == 1000
    assert value(first, "hlsd_stream_ingest_bytes_total", app="live", stream="s2") is None
    assert value(first, "hlsd_stream_ingest_bytes_total", app="live", stream=OTHER) == 3000
    assert value(first, "hlsd_segment_memory_bytes", app="live", stream=OTHER) == 3_000_000
    assert value(first, "hlsd_stream_up", app="live", stream=OTHER) is None  # a sum of it says nothing
    streams.there["s3"][0].stats.received_bytes += 50
    del streams.there["s4"]
    second = scrape(reader)
    assert value(second, "hlsd_stream_ingest_bytes_total", app="live", stream=OTHER) == 3050
    assert value(second, "hlsd_segment_memory_bytes", app="live", stream=OTHER) == 2_000_000


def test_a_place_that_is_free_goes_to_the_next_new_stream() -> None:
    # Never to one that was counted with the others: its bytes would be counted twice.
    stats = Stats()
    stats.admit("live")
    streams = Streams(*[Stream("live", f"s{number}") for number in range(3)])
    reader = reader_of(streams, stats, max_streams=2)
    scrape(reader)
    del streams.there["s0"]
    streams.add(Stream("live", "new"))
    found = scrape(reader)
    assert value(found, "hlsd_stream_up", app="live", stream="s0") is None
    assert value(found, "hlsd_stream_up", app="live", stream="s2") is None
    assert value(found, "hlsd_stream_up", app="live", stream="new") == 1


def test_series_end_with_the_stream() -> None:
    stats = Stats()
    stats.admit("live")
    streams = Streams(Stream("live", "cam"))
    reader = reader_of(streams, stats, max_streams=2)
    assert any(("stream", "cam") in labels for _, labels in scrape(reader))
    streams.there.clear()
    assert not any(("stream", "cam") in labels for _, labels in scrape(reader))


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    # Every stream has all it can have: more than 25 series. The bound stands, and it is said that something is missing.
    stats = Stats()
    stats.admit("live")
    streams = Streams()
    for number in range(100):
        streams.add(Stream("live", f"s{number}"))
        streams.there[f"s{number}"][0].stats.repairs.update({"jump": 1, "wrap": 1, "backward": 1, "audio": 1})
        for protocol in ("hls", "flv", "wsflv", "rtmp"):
            stats.tally("live", f"s{number}", protocol)
        quality = stats.quality_of("live", f"s{number}")
        quality.buffer.observe(1)
        quality.throughput.observe(1)
    reader = reader_of(streams, stats, max_streams=100)
    found = scrape(reader)
    assert len(found) <= bounds.bound(2, 100)
    assert (value(found, "hlsd_metrics_series_dropped_total") or 0) > 0


def test_answers_from_ready_bytes_are_in_the_histogram_too() -> None:
    stats = Stats()
    stats.http.ready_cell("playlist", 200).count = 1000
    stats.http.held_cell("playlist", 200).count = 500
    stats.http.slow["playlist", 206] += 1
    stats.http.duration["playlist"].observe(0.03)
    found = scrape(reader_of(Streams(), stats, max_streams=2))
    assert value(found, "hlsd_http_requests_total", code="200", kind="playlist") == 1500
    assert value(found, "hlsd_http_request_duration_seconds_bucket", kind="playlist", le="0.005") == 1000
    assert value(found, "hlsd_http_request_duration_seconds_count", kind="playlist") == 1001


def test_rtmp_connections_that_were_turned_away_are_figures_from_the_start() -> None:
    stats = Stats()
    stats.rtmp_ended["displaced"] += 3
    found = scrape(reader_of(Streams(), stats, max_streams=2))
    for reason, count in (("refused", 0), ("displaced", 3), ("no_files", 0)):
        assert value(found, "hlsd_rtmp_connections_ended_total", reason=reason) == count


def test_the_bound_of_the_node_holds_with_every_status_and_every_event() -> None:
    stats = Stats()
    for kind in HttpStats.KINDS:
        for code in range(200, 600):
            stats.http.slow[kind, code] += 1
    reader = reader_of(Streams(), stats, max_streams=2)
    assert len(scrape(reader)) <= bounds.bound(1, 2)
    assert stats.series_dropped > 0


def test_a_copy_of_a_histogram_does_not_change_while_it_is_written() -> None:
    stats = Stats()
    copy = Counts.of(stats.loop_lag)
    stats.loop_lag.observe(1.0)
    assert sum(copy.counts) == 0


class Broken(Reporter):
    """A reporter with a fault of ours in it."""

    def node(self, now: float) -> Iterator[Figure]:
        raise ZeroDivisionError

    def apps(self) -> Iterator[Figure]:
        raise ZeroDivisionError

    def stream(self, app: str, name: str) -> Iterator[Figure]:
        raise ZeroDivisionError


@pytest.mark.thorough
def test_a_reporter_that_raises_costs_its_own_figures_and_not_the_scrape() -> None:
    stats = Stats()
    stats.admit("live")
    streams = Streams(Stream("live", "cam"))
    whole = reader_of(streams, stats, max_streams=2)
    before = set(scrape(whole))
    whole._reporters = (Broken(), *whole._reporters)
    after = scrape(whole)
    assert before <= set(after)
    assert stats.faults.tasks["figures"] == 3
