"""Counts of workers in the core: what is new is added once, whoever ends and whatever is said."""

from __future__ import annotations

from time import monotonic

from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import blocked_requests_of
from hlsd.stats import Stats
from hlsd.workers.counts import add, added, totals


class Side:
    """What is counted in one process."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.blocked = blocked_requests_of(HttpSettings(), self.stats)
        self.connections = Connections(HttpSettings(), monotonic(), 4096)

    def totals(self) -> dict[str, float]:
        return totals(self.stats, self.blocked, self.connections)

    def add(self, new: dict[str, float]) -> None:
        add(new, self.stats, self.blocked, self.connections)


def test_what_a_worker_counts_is_in_the_core_once() -> None:
    worker, core = Side(), Side()
    stats = worker.stats
    stats.admit("live")
    core.stats.admit("live")
    stats.http.ready_cell("part", 200).count = 5
    stats.http.held_cell("part", 200).count = 2
    stats.http.slow["part", 404] = 1
    stats.http.duration["playlist"].observe(0.3)
    stats.http.duration["page"].observe(0.3)
    stats.http.slow["page", 200] = 9
    stats.app("live").blocking_wait.observe(0.2)
    stats.quality_of("live", "cam").stalls = 3
    stats.quality_of("live", "cam").buffer.observe(1.5)
    worker.connections.slow, worker.blocked.refused = 4, 6
    before: dict[str, float] = {}
    for _ in range(2):
        now = worker.totals()
        core.add(added(now, before))
        before = now
    assert core.stats.http.slow == {("part", 200): 7, ("part", 404): 1}
    assert core.stats.http.duration["part"].count == 5
    assert core.stats.http.duration["playlist"].total == 0.3
    assert core.stats.http.duration["page"].count == 0, "the core has answered it, and counted it"
    assert core.stats.app("live").blocking_wait.counts == stats.app("live").blocking_wait.counts
    assert core.stats.quality_of("live", "cam").stalls == 3
    assert core.stats.quality_of("live", "cam").buffer.total == 1.5
    assert (core.connections.slow, core.blocked.refused) == (4, 6)


def test_what_begins_anew_is_not_taken_away() -> None:
    assert added({"a": 3.0}, {"a": 10.0}) == {"a": 3.0}
    assert added({}, {"a": 10.0}) == {}


def test_what_is_not_understood_makes_nothing() -> None:
    core = Side()
    core.add({"request x 200": 1, "request part x": 1, "duration part 99": 1, "duration x 0": 1, "": 1, "ended x": 1})
    assert core.totals() == {}
