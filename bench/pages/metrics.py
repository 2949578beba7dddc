"""What a scrape costs: 200 streams and 20,000 sessions, while the event loop is asked every millisecond how late it is.

Everything that a scrape reads is real but the streams' media: registry, sessions, tallies, players' reports, counters
and the exporter, behind the real HTTP listener. A client in a process of its own scrapes as Prometheus does, gzipped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import structlog
import uvloop

from bench import machine, report
from hlsd.base.clock import SystemClock
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.web import create_app
from hlsd.metrics import bounds
from hlsd.metrics.exporter import Exporter
from hlsd.metrics.settings import MetricsSettings
from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.sessions.signing import Key, Signer
from hlsd.stats import Stats
from tests.support.figures import Stream, Streams, reader_of
from tests.support.playable import MemoryDirectory
from tests.support.ports import free_port

NAME = "metrics"
TITLE = "Metrics: what a scrape costs"
COUNTS = (20, 200, 500)
SESSIONS = 100
"""Of each stream."""
SCRAPES = 30
CPU_TARGET, STALL_TARGET = 50.0, 20.0
"""Milliseconds."""

_ROOT = Path(__file__).resolve().parents[2]


async def serve(port: int, streams: int, sessions: int) -> None:
    """Serves until SCRAPES scrapes were made; prints what they cost as JSON."""
    stats, clock = Stats(), SystemClock()
    signer = Signer([Key(b"a key for measurements")], clock.wall)
    registry = Registry(signer, clock, lambda _app, _name: 3600.0, max_sessions=10**6, stats=stats)
    hub = Streams()
    for number in range(streams):
        app, name = f"app{number % 5}", f"stream-{number:04}"
        hub.add(Stream(app, name))
        figures = stats.admit(app)
        figures.publishes["ok"] += 1
        for kind in ("ts", "part"):
            figures.segment_duration[kind].observe(0.3)
            figures.segment_delay[kind].observe(0.03)
        quality = stats.quality_of(app, name)
        quality.buffer.observe(2.0)
        quality.throughput.observe(1e6)
        for viewer in range(sessions):
            request = PlayRequest(app, name, "hls", f"10.0.{number & 255}.{viewer & 255}")
            session = await registry.open(request, Grant())
            assert not isinstance(session, Denial)
            registry.charge(session, 100_000, True)
    reader = reader_of(hub, stats, max_streams=max(500, streams), ledger=registry.ledger)
    exporter = Exporter(reader, MetricsSettings(), clock.wall)
    settings = HttpSettings.model_validate({"bind": "127.0.0.1", "port": port})
    directory = MemoryDirectory()
    entrance = ViewerEntrance(registry, directory, stats)
    app_ = create_app(directory, registry, settings, clock, entrance=entrance, routes=exporter.routes(), stats=stats)
    server = HttpServer(settings, app_, structlog.get_logger())
    await server.start()
    print("ready", flush=True)
    late: list[float] = []
    busy: list[float] = []
    answered = stats.http.slow
    while len(busy) < SCRAPES:
        asked = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append((time.perf_counter() - asked - 0.001) * 1000)
        if answered["metrics", 200] > len(busy):
            busy.append(reader.scrape_seconds * 1000)
    await server.stop(0.5)
    print(json.dumps({"scrape_ms": statistics.median(busy), "worst_ms": max(busy), "stall_ms": max(late)}), flush=True)


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:  # noqa: ARG001
    """Measures, writes the page, prints the table; True if the targets are met."""
    rows, found, met = [], {}, True
    for streams in counts:
        runs = [_measure(streams) for _ in range(rounds)]
        one = {key: statistics.median(each[key] for each in runs) for key in runs[0]}
        found[str(streams)] = runs
        limit = bounds.bound(6, max(500, streams))
        rows.append(
            [
                str(streams),
                f"{streams * SESSIONS:,}",
                f"{one['series']:,.0f}",
                f"{limit:,}",
                f"{one['bytes'] / 1000:,.0f}",
                f"{one['scrape_ms']:.1f}",
                f"{one['worst_ms']:.1f}",
                f"{one['stall_ms']:.1f}",
            ]
        )
        print(rows[-1], flush=True)
        met &= one["series"] <= limit
        if streams == 200:
            met &= one["scrape_ms"] <= CPU_TARGET and one["stall_ms"] <= STALL_TARGET
    head = ["streams", "sessions", "series", "bound", "kB gzipped", "ms a scrape", "ms, the slowest", "ms, worst stall"]
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{SESSIONS} sessions a stream, each stream with players' reports. {SCRAPES} scrapes a run, medians of "
                f"{rounds} runs. A scrape's time is from its first line to its last, the turns of others included; a "
                "stall is how late a timer of one millisecond was, the worst of a run. Targets at 200 streams and "
                f"20,000 sessions: {CPU_TARGET:.0f} ms a scrape, no stall above {STALL_TARGET:.0f} ms: "
                f"{'met' if met else 'missed'}. Written by `make bench`."
            ),
            "",
            report.table(head, rows),
            "",
            *machine.section(),
        ]
    )
    print(text.split("## Machine")[0])
    print(f"written to {report.write(NAME, text, {}, found)}")
    return met


def _measure(streams: int) -> dict[str, float]:
    port = free_port()
    command = [sys.executable, "-m", "bench.pages.metrics", str(port), str(streams)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
        size = series = 0
        with httpx.Client() as client:
            for _ in range(SCRAPES):
                answer = client.get(f"http://127.0.0.1:{port}/metrics", headers={"accept-encoding": "gzip"}, timeout=30)
                series = sum(not line.startswith("#") for line in answer.text.splitlines())
                size = answer.num_bytes_downloaded
                time.sleep(0.05)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    measured: dict[str, float] = json.loads(out.splitlines()[-1])
    return {**measured, "series": series, "bytes": size}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("streams", type=int)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.streams, SESSIONS))
