"""Says what a worker has counted of HTTP, and adds it to what the core has: one sum, which never falls.

What a worker says are totals since its start, by name; the core adds what is new of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hlsd.base.figures import Histogram
from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.http1.connections import Connections
from hlsd.stats import Stats

MOST: Final = 20_000
"""Names in what a worker says."""
SERVED: Final = frozenset(("playlist", "part", "segment", "init", "key"))
"""What workers answer: of what they hand on the core counts the answers itself."""
_TOTAL: Final = -1
Totals = dict[str, float]


def totals(stats: Stats, blocked: BlockedRequests, connections: Connections) -> Totals:
    """What was counted so far, by name."""
    found: Totals = {"unheld": blocked.refused}
    http = stats.http
    for (kind, code), count in (
        *((key, cell.count) for key, cell in http.ready.items()),
        *((key, cell.count) for key, cell in http.held.items()),
        *http.slow.items(),
    ):
        if kind in SERVED:
            name = f"request {kind} {code}"
            found[name] = found.get(name, 0) + count
    for kind in SERVED:
        histogram = http.duration[kind]
        found |= _histogram(f"duration {kind}", histogram)
    for (kind, _), cell in http.ready.items():  # answered at once: microseconds, and not measured
        if kind in SERVED:
            first = f"duration {kind} 0"
            found[first] = found.get(first, 0) + cell.count
    for app, figures in stats.apps.items():
        found |= _histogram(f"wait {app}", figures.blocking_wait)
    for (app, name), quality in stats.quality.items():
        found[f"quality {app} {name} reports"] = quality.reports
        found[f"quality {app} {name} stalls"] = quality.stalls
        found |= _histogram(f"buffer {app}/{name}", quality.buffer)
        found |= _histogram(f"throughput {app}/{name}", quality.throughput)
    found |= {
        "ended refused": connections.refused,
        "ended timed_out": connections.timed_out,
        "ended slow": connections.slow,
    }
    return {name: value for name, value in found.items() if value}


def added(now: Mapping[str, float], before: Mapping[str, float]) -> Totals:
    """What is new; a name of which less is told than before has begun anew (a stream's, that was gone and is back)."""
    found = {}
    for name, value in now.items():
        was = before.get(name, 0)
        if value != was:
            found[name] = value - was if value > was else value
    return found


def add(  # noqa: C901 - a table of names
    new: Mapping[str, float], stats: Stats, blocked: BlockedRequests, connections: Connections
) -> None:
    """Adds to what the core has counted; what is not understood is passed over."""
    for name, value in new.items():
        what, *rest = name.split(" ")
        match what, rest:
            case "request", [kind, code] if kind in SERVED and code.isdecimal():
                stats.http.slow[kind, int(code)] += int(value)
            case "duration", [kind, at] if kind in SERVED:
                _add(stats.http.duration[kind], at, value)
            case "wait", [app, at]:
                _add(stats.app(app).blocking_wait, at, value)
            case "quality", [app, stream, "reports"]:
                stats.quality_of(app, stream).reports += int(value)
            case "quality", [app, stream, "stalls"]:
                stats.quality_of(app, stream).stalls += int(value)
            case "buffer" | "throughput", [path, at]:
                quality = stats.quality_of(*path.split("/", 1))
                _add(quality.buffer if what == "buffer" else quality.throughput, at, value)
            case "ended", ["refused"]:
                connections.refused += int(value)
            case "ended", ["timed_out"]:
                connections.timed_out += int(value)
            case "ended", ["slow"]:
                connections.slow += int(value)
            case "unheld", []:
                blocked.refused += int(value)
            case _:
                pass


def _histogram(name: str, histogram: Histogram) -> Totals:
    return dict(_buckets(name, histogram))


def _buckets(name: str, histogram: Histogram) -> Iterator[tuple[str, float]]:
    for at, count in enumerate(histogram.counts):
        if count:
            yield f"{name} {at}", count
    if histogram.total:
        yield f"{name} {_TOTAL}", histogram.total


def _add(histogram: Histogram, at: str, value: float) -> None:
    place = int(at) if at.lstrip("-").isdecimal() else len(histogram.counts)
    if place == _TOTAL:
        histogram.total += value
    elif 0 <= place < len(histogram.counts):
        histogram.counts[place] += int(value)
