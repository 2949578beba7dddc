"""Reports how a node stands to the others."""

from __future__ import annotations

from collections.abc import Iterator

from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.cluster.event_drain import EventDrain
from hlsd.cluster.redis_line import RedisLine
from hlsd.sessions.shared_directory import SharedDirectory

UP = Spec("hlsd_cluster_redis_up", "gauge", "Whether Redis answers: 1 or 0.")
FAILURES = Spec("hlsd_cluster_redis_failures", "counter", "Batches of commands that Redis did not answer.")
UNTOLD = Spec(
    "hlsd_cluster_sessions_untold", "gauge", "Sessions that ended lately, or are not told of as long as Redis is away."
)
LOST = Spec("hlsd_cluster_sessions_lost", "counter", "Sessions of whose end Redis could not be told in time.")
EVENTS = Spec(
    "hlsd_cluster_events", "counter", "Events of shared sessions told here, by result: told, again.", ("result",)
)
AWAY = Spec("hlsd_cluster_redis_down_viewers", "counter", "Viewers who came while Redis was away.", ("app", "result"))


class ClusterFigures(Reporter):
    """The figures of one node of a cluster."""

    SPECS = (UP, FAILURES, UNTOLD, LOST, EVENTS, AWAY)

    def __init__(self, line: RedisLine, common: SharedDirectory, drain: EventDrain) -> None:
        self._line = line
        self._common = common
        self._drain = drain

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """Redis, and what waits for it."""
        yield UP, (), 0.0 if self._line.away else 1.0
        yield FAILURES, (), self._line.failures
        yield UNTOLD, (), self._common.untold
        yield LOST, (), self._common.lost
        yield EVENTS, ("told",), self._drain.told
        yield EVENTS, ("again",), self._drain.again

    def apps(self) -> Iterator[Figure]:
        """Who came meanwhile."""
        for (app, result), count in self._common.away.items():
            yield AWAY, (app, result), count
