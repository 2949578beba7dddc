"""A real Prometheus scrapes a real server under load: every panel and rule finds its series, and an alert goes off."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually_here
from tests.support.figures import Samples, samples
from tests.support.prometheus import (
    BOARDS,
    JUMPY,
    WINDOW,
    Ask,
    Load,
    Prometheus,
    missing,
    panels,
    rules,
    scene,
    settle,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.alone,  # a scrape that comes late leaves a panel empty
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@dataclass
class Run:
    """The server and Prometheus after viewers came and went, and what they counted themselves."""

    load: Load
    prometheus: Prometheus
    at: float = 0.0
    """When the panels are asked about, seconds since the epoch: a moment after the load, whenever the tests run."""
    swarm: dict[str, Any] = field(default_factory=dict)
    before: Samples = field(default_factory=dict)
    after: Samples = field(default_factory=dict)
    late: Samples = field(default_factory=dict)
    """When all of the first swarm's viewers are gone, the receiver knows of it, and others have knocked."""
    done: list[dict[str, Any]] = field(default_factory=list)
    """The receiver's `donePlay` of the first swarm."""
    most_queued: float = 0.0


def scrape(load: Load) -> Samples:
    return samples(httpx.get(load.figures, timeout=20).text)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with scene(tmp_path_factory.mktemp("prometheus")) as (load, prometheus):
        found = Run(load, prometheus)
        found.before = scrape(load)
        found.swarm = load.watch("cam", 10, 4)
        found.after = scrape(load)
        trouble(found)
        load.watch("hall", 28, 3, "--no-ll")
        # More viewers than sessions.max_sessions; who is in is gone after 2 s, so they come at once.
        eventually_here(lambda: 503 in load.rush("cam", 33), what="a viewer who is one too many")
        found.at = time.time() + 2
        settle(3)
        yield found


def trouble(run: Run) -> None:
    """A bad day: a receiver that fails while the swarm's viewers leave, forged signs, a viewer who moves."""
    load = run.load
    load.receiver.mode("500 donePlay")  # they are told 2 s after the last byte
    eventually_here(
        lambda: figure(scrape(load), "hlsd_notify_events_total", result="retried") > 0, 40, what="a second attempt"
    )
    run.most_queued = figure(scrape(load), "hlsd_notify_queue_length")
    load.receiver.mode("403 prePlay")
    assert load.knock("cam", 1) == [403]  # its sign is good, but the receiver says no
    load.receiver.mode("200")
    forged, unsigned = load.url("cam", "another secret"), load.server.hls("cam")
    assert load.knock("cam", 3, forged) + load.knock("cam", 2, unsigned) == [403] * 5
    assert load.roam("cam") == 200

    def all_told() -> bool:
        events = load.receiver.events()
        run.done = list({event["id"]: event for event in events if event["action"] == "donePlay"}.values())
        run.late = scrape(load)
        return not figure(run.late, "hlsd_sessions") and len(run.done) == 10

    eventually_here(all_told, 40, what="the swarm's donePlay")


def figure(found: Samples, name: str, **labels: str) -> float:
    """A figure summed over labels that are not given."""
    wanted = set(labels.items())
    return sum(now for (sample, have), now in found.items() if sample == name and wanted <= have)


def grown(run: Run, name: str, **labels: str) -> float:
    """By how much a counter rose while the first swarm watched; summed over labels that are not given."""
    return figure(run.after, name, **labels) - figure(run.before, name, **labels)


def later(run: Run, name: str, **labels: str) -> float:
    """As `grown`, for what came after the first swarm."""
    return figure(run.late, name, **labels) - figure(run.after, name, **labels)


def test_every_panel_and_every_rule_has_something_to_show(run: Run) -> None:
    lines, empty = [], []

    def put(ask: Ask) -> None:
        values = [float(found["value"][1]) for found in run.prometheus.query(ask.text, run.at)]
        there = [value for value in values if math.isfinite(value)]
        if not there:
            empty.append(ask)
        shown = f"{max(there):.6g}" if there else "nothing"
        lines.append(f"{ask.where:<15} {ask.title:<42} {len(there):>3} of {len(values)} series, highest {shown}")

    for board in sorted(BOARDS.glob("*.json")):
        for _, asks in panels(board):
            for ask in asks:
                put(ask)
    for ask in rules():
        put(ask)
    print(f"\nat one moment, rates over {WINDOW}\n" + "\n".join(lines))  # noqa: T201 - the table is what is asked for
    assert len(lines) > 80
    assert not empty


def test_promtool_has_nothing_to_say_about_a_live_scrape(run: Run) -> None:
    text = httpx.get(run.load.figures, timeout=20).text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout + done.stderr


def test_the_bytes_are_those_that_the_viewers_received(run: Run) -> None:
    # The swarm reads every answer to its end: what the server says it sent, it has.
    swarm = run.swarm
    assert swarm["unfinished"] == swarm["short_bodies"] == swarm["retries"] == 0
    assert grown(run, "hlsd_session_sent_bytes_total", stream="cam") == swarm["body_bytes"]
    assert grown(run, "hlsd_http_sent_bytes_total", account="session") >= swarm["body_bytes"]


def test_requests_and_sessions_are_those_of_the_viewers(run: Run) -> None:
    kinds = ("multivariant", "playlist", "part", "segment", "init")
    assert sum(grown(run, "hlsd_http_requests_total", kind=kind) for kind in kinds) == run.swarm["requests"]
    assert grown(run, "hlsd_sessions_opened_total") == 10
    assert grown(run, "hlsd_sessions_started_total") == 10
    blocking = run.swarm["by_kind"]["blocking"]["requests"]
    assert 0 < grown(run, "hlsd_hls_blocking_wait_seconds_count") <= blocking + 10


def test_the_parts_of_the_account_make_the_whole(run: Run) -> None:
    """Contract §4.2, rule 7: sum over sessions + unattributed = total."""
    streams = sum(now for (name, _), now in run.after.items() if name == "hlsd_session_sent_bytes_total")
    accounts = {
        dict(have)["account"]: now for (name, have), now in run.after.items() if name == "hlsd_http_sent_bytes_total"
    }
    assert streams == accounts["session"]


def test_plays_and_time_watched_are_those_of_the_events(run: Run) -> None:
    """Whoever bills by events and looks at figures sees one truth: the viewer who only moved saw nothing."""
    watched = sum(event["duration_ms"] for event in run.done) / 1000
    assert figure(run.late, "hlsd_session_duration_seconds_count", app="live") == len(run.done) == 10
    assert figure(run.late, "hlsd_session_duration_seconds_sum", app="live") == pytest.approx(watched, abs=0.01)
    assert figure(run.late, "hlsd_sessions_closed_total", reason="idle") == 10
    opened, closed = (figure(run.late, f"hlsd_sessions_{what}_total") for what in ("opened", "closed"))
    assert opened == closed == 10 + figure(run.late, "hlsd_sessions_closed_total", reason="abandoned")


def test_webhooks_are_those_that_the_receiver_got(run: Run) -> None:
    taken = Counter(event["action"] for event in run.load.receiver.events())
    assert figure(run.late, "hlsd_notify_events_total", action="donePlay", result="ok") <= taken["donePlay"]
    assert figure(run.late, "hlsd_notify_events_total", action="postPlay", result="ok") == 10
    assert later(run, "hlsd_notify_events_total", action="prePlay", result="denied") == 1
    assert later(run, "hlsd_sessions_refused_total", app="live") >= 1
    assert run.most_queued > 0
    for phase in ("sync", "queued"):
        assert figure(run.late, "hlsd_notify_request_duration_seconds_count", phase=phase) >= 10


def test_what_the_gate_decides_is_counted_by_what_decided(run: Run) -> None:
    assert grown(run, "hlsd_session_auth_total", app="live", method="sign", result="ok") == 10
    assert later(run, "hlsd_session_auth_total", app="live", method="sign", result="denied") == 3
    assert later(run, "hlsd_session_auth_total", app="live", method="none", result="denied") == 2


def test_a_viewer_who_moves_is_counted_and_authorised_again(run: Run) -> None:
    assert later(run, "hlsd_session_ip_changes_total", app="live", result="reauth") == 1
    # In with the webhook that said no, in and then on from another address.
    assert later(run, "hlsd_session_auth_total", app="live", method="sign", result="ok") == 3


def test_a_clock_that_jumps_is_counted_and_is_nobody_elses(run: Run) -> None:
    assert figure(run.late, "hlsd_stream_timestamp_repairs_total", stream=JUMPY, kind="jump") > 0
    assert not figure(run.late, "hlsd_stream_timestamp_repairs_total", stream="cam", kind="jump")


def test_players_are_heard(run: Run) -> None:
    assert grown(run, "hlsd_player_reports_total", stream="cam") == pytest.approx(run.swarm["requests"], abs=11)
    assert grown(run, "hlsd_player_stalls_total", stream="cam") > 0
    assert grown(run, "hlsd_player_buffer_seconds_count", stream="cam") > 0


def test_a_publisher_that_falls_silent_sets_off_the_alert(run: Run) -> None:
    """Its connection stands, nothing comes: pending first, then firing, for this stream and no other."""
    publisher = run.load.publishers["hall"].process
    begun = time.time()
    publisher.send_signal(signal.SIGSTOP)
    try:
        eventually_here(
            lambda: run.prometheus.alerts().get(("HlsdStreamStalled", "hall")) == "firing", 30, what="the alert"
        )
    finally:
        publisher.send_signal(signal.SIGCONT)
    ask = 'ALERTS{alertname="HlsdStreamStalled"}'
    states = {
        (found["metric"]["stream"], found["metric"]["alertstate"]): float(found["values"][0][0])
        for found in run.prometheus.over(ask, begun, time.time() + 1, 0.5)
    }
    assert set(states) == {("hall", "pending"), ("hall", "firing")}
    assert begun + 3 <= states["hall", "pending"] < states["hall", "firing"]
    eventually_here(
        lambda: ("HlsdStreamStalled", "hall") not in run.prometheus.alerts(), 20, what="the end of the alert"
    )
