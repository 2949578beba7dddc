"""Reports what HTTP was asked and answered, and what players say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hlsd.base.figures import STREAM, Counts, Figure, Histogram, Reporter, Spec
from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.http1.connections import Connections
from hlsd.ports import Playable
from hlsd.stats import Stats

REQUESTS = Spec(
    "hlsd_http_requests", "counter", "Requests answered, by what they asked for and status.", ("code", "kind")
)
DURATION = Spec(
    "hlsd_http_request_duration_seconds",
    "histogram",
    "Time to answer requests that were not held on purpose.",
    ("kind",),
)
CONNECTIONS = Spec("hlsd_http_connections", "gauge", "Connections open on the HTTP and HTTPS ports.")
TURNED_AWAY = Spec(
    "hlsd_http_connections_ended", "counter", "Connections that the server ended or refused, by reason.", ("reason",)
)
WAIT = Spec(
    "hlsd_hls_blocking_wait_seconds", "histogram", "How long requests were held until their part came.", ("app",)
)
BLOCKED = Spec("hlsd_hls_blocked_requests", "gauge", "Requests held now.", ("app",))
UNHELD = Spec("hlsd_hls_refused_holds", "counter", "Requests that were not held, for a bound.")
REPORTS = Spec("hlsd_player_reports", "counter", "Requests with a report of the player (CMCD).", STREAM)
STALLS = Spec("hlsd_player_stalls", "counter", "Stalls that players reported (CMCD bs).", STREAM)
BUFFER = Spec("hlsd_player_buffer_seconds", "histogram", "Buffer length that players reported (CMCD bl).", STREAM)
THROUGHPUT = Spec(
    "hlsd_player_throughput_bytes_per_second", "histogram", "Throughput that players measured (CMCD mtp).", STREAM
)


class DeliveryFigures(Reporter):
    """The figures of all HTTP ports together; `playables()`: what is played, each with its app."""

    SPECS = (REQUESTS, DURATION, CONNECTIONS, TURNED_AWAY, WAIT, BLOCKED, UNHELD, REPORTS, STALLS, BUFFER, THROUGHPUT)

    def __init__(
        self,
        blocked: BlockedRequests,
        connections: Connections,
        stats: Stats,
        playables: Callable[[], Iterable[tuple[str, Playable]]],
    ) -> None:
        self._blocked = blocked
        self._connections = connections
        self._stats = stats
        self._playables = playables

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """Requests and connections."""
        yield from self._answered()
        yield UNHELD, (), self._blocked.refused
        there = self._connections
        yield CONNECTIONS, (), there.open if there.elsewhere is None else there.elsewhere
        for reason, count in (("refused", there.refused), ("timed_out", there.timed_out), ("slow", there.slow)):
            yield TURNED_AWAY, (reason,), count

    def apps(self) -> Iterator[Figure]:
        """Who waits for a part, and how long that takes."""
        blocked = dict.fromkeys(self._stats.apps, 0)
        for app, playable in self._playables():
            blocked[self._stats.label(app)] += self._blocked.held(playable)
        for app, figures in self._stats.shown():
            yield BLOCKED, (app,), blocked[app]
            yield WAIT, (app,), Counts.of(figures.blocking_wait)

    def stream(self, app: str, name: str) -> Iterator[Figure]:
        """What players report of one stream (CMCD)."""
        quality = self._stats.quality.get((app, name))
        if quality is not None:
            yield REPORTS, (), quality.reports
            yield STALLS, (), quality.stalls
            yield from _known(BUFFER, quality.buffer)
            yield from _known(THROUGHPUT, quality.throughput)

    def _answered(self) -> Iterator[Figure]:
        http = self._stats.http
        requests: dict[tuple[str, str], int] = {}
        at_once: dict[str, int] = {}
        for (kind, code), cell in http.ready.items():
            requests[str(code), kind] = cell.count
            at_once[kind] = at_once.get(kind, 0) + cell.count
        for (kind, code), count in (*((key, cell.count) for key, cell in http.held.items()), *http.slow.items()):
            requests[str(code), kind] = requests.get((str(code), kind), 0) + count
        for labels, count in sorted(requests.items()):
            if count:
                yield REQUESTS, labels, count
        for kind, histogram in http.duration.items():
            more = at_once.get(kind, 0)
            if more or histogram.count:
                # Answered in the turn of the loop that read them, from ready bytes: microseconds, and not measured.
                yield DURATION, (kind,), Counts.of(histogram, more)


def _known(spec: Spec, histogram: Histogram) -> Iterator[Figure]:
    if any(histogram.counts):
        yield spec, (), Counts.of(histogram)
