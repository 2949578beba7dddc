"""How fast a part reaches everybody: the spread of released playlists over thousands of viewers, and under abuse.

The whole server under its default settings, publishers by `rtmpswarm`, low-latency viewers by `llswarm` (each with an
address of its own), server on core 0, load on core 1. Spread is, for each part, the time from the first viewer that
has the new playlist to the median and to the 99th percentile, by the kernel's time of arrival.

Abuse is measured on the origin of `hotpath`: the 99th percentile of one good viewer without and with the hostile
clients, in turns.
"""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine, report, swarm
from bench.pages.hotpath import start_origin
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.server import HlsdServer, usage

NAME = "fanout"
TITLE = "Fan-out: how fast a part reaches everybody"
COUNTS = (2500,)
STREAMS = (1, 50)
FILM = Film(seconds=20, bitrate=250_000)
P50_TARGET, P99_TARGET, ABUSE_TARGET = 30.0, 100.0, 1.2
BY_HTTP2 = 12_000
"""Of the held reloads, a hundred on each connection: more connections than for the others do not fit 20,000 files."""
FEW = 100
"""Files of a server that nobody is connected to, at most."""
MIB = 1024 * 1024
HOSTILE = (
    ("10,000 silent or half-open heads", "silent", 10_000),
    ("500 readers at 1 kB/s", "slow", 500),
    ("30,000 held reloads", "held", 30_000),
)
_ROOT = Path(__file__).resolve().parents[2]


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met."""
    swarm.build()
    if counts[0] < 100:  # the counts of publishers of another page
        counts = COUNTS
    fans: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = FILM.make(Path(folder))
        for number in range(rounds):
            for viewers in counts:
                for streams in STREAMS:
                    fans.append(_fan(film, Path(folder) / f"{number}-{viewers}-{streams}", viewers, streams, seconds))
                    print(fans[-1], flush=True)
    hostile = [one for one in HOSTILE if not only or one[1] in only]
    if shutil.which("h2load") is None:
        print(f"{NAME}: held reloads left out: h2load is not installed (package nghttp2-client)")
        hostile = [one for one in hostile if one[1] != "held"]
    abuse = [_abuse(*one, rounds) for one in hostile]
    for row in abuse:
        print(row, flush=True)
    return _write(fans, abuse, counts, (seconds, rounds))


def _fan(film: Path, root: Path, viewers: int, streams: int, seconds: float) -> dict[str, Any]:
    with HlsdServer(root, low_latency=True, prefix=["taskset", "-c", "0"]) as server:
        command = ["taskset", "-c", "1", str(swarm.LOAD / "rtmpswarm"), server.rtmp("s%d")]
        command += ["--publishers", str(streams), "--flv", str(film), "--seconds", str(seconds + 60)]
        publishers = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(8)
            said = swarm.run(
                "llswarm",
                [
                    server.hls("s%d" if streams > 1 else "s0"),
                    *("--viewers", str(viewers), "--streams", str(streams), "--ramp", "8", "--per-viewer-ip"),
                    *("--server-pid", str(server.process.pid)),
                ],
                seconds=seconds,
            )
        finally:
            publishers.terminate()
            publishers.wait(10)
    spread = said["spread"]
    return {
        "viewers": viewers,
        "streams": streams,
        "p50_ms": spread["all_p50_ms"]["p50"],
        "p99_ms": spread["all_p99_ms"]["p50"],
        "worst_ms": spread["all_max_ms"]["max"],
        "stalls": said["stalls"],
        "refused": said["non_2xx"],
        "requests_per_s": said["requests_per_s"],
        "core": said["server"]["cpu_core_ratio"],
        "us_per_request": said["server"]["cpu_us_per_request"],
        "rss_mib": said["server"]["rss_max_mib"],
        "waited_s": said["server"]["waited_for_core_s"],
        "own_lag_p99_ms": said["own_lag_ms"]["p99"],
    }


def _abuse(name: str, kind: str, count: int, rounds: int) -> dict[str, Any]:
    port = free_port()
    http = {
        "header_timeout": 120, "send_timeout": 120, "max_connections_per_ip": 0, "max_waiters_per_ip": 0,
        "max_connections": 60_000, "max_waiters": 50_000,
    }  # fmt: skip
    secure = free_port() if kind == "held" else 0
    process, path = start_origin(port, "--http", json.dumps(http), "--https", str(secure))
    calm, under = [], []
    growth = 0.0
    held = count
    try:
        for _ in range(rounds):
            calm.append(_good(port, path))
            before = usage(process.pid).rss
            hostile = _client(port, path, kind, count - BY_HTTP2 if secure else count)
            more = None
            try:
                assert hostile.stdout is not None
                hostile.stdout.readline()
                if secure:
                    more = _held_by_http2(secure, path)
                    held = min(held, _standing(process, count))
                time.sleep(0.5)  # what came with them is read
                growth = max(growth, (usage(process.pid).rss - before) / MIB)
                under.append(_good(port, path))
            finally:
                for one in (hostile, more):
                    if one is not None:
                        one.kill()
                        one.communicate()
            _until_freed(process.pid)
        calm.append(_good(port, path))
    finally:
        process.kill()
        process.communicate()
    if held < count:
        print(f"disturbed: {held} of {name} were held")
    return {
        "abuse": name,
        "calm_p99_ms": statistics.median(calm),
        "under_p99_ms": statistics.median(under),
        "ratio": statistics.median(under) / statistics.median(calm),
        "rss_growth_mib": growth,
    }


def _held_by_http2(port: int, path: str) -> subprocess.Popen[str]:
    load = ["h2load", "-c", str(BY_HTTP2 // 100), "-m", "100", "-n", str(BY_HTTP2)]
    command = ["taskset", "-c", "1", *load, f"https://localhost:{port}{path}index.m3u8?_HLS_msn=103"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def _standing(origin: subprocess.Popen[str], count: int) -> int:
    """How many are held when all are, or when the first have been held for nearly as long as they are."""
    until = time.monotonic() + 5
    while (held := _held(origin)) < count and time.monotonic() < until:
        time.sleep(0.1)
    return held


def _held(origin: subprocess.Popen[str]) -> int:
    """How many requests it holds at this instant."""
    origin.send_signal(signal.SIGUSR1)
    assert origin.stdout is not None
    return next(int(line) for line in origin.stdout if line.strip().isdigit())  # among lines of its log


def _until_freed(pid: int) -> None:
    """Waits until the server has let go of the connections of those who are gone; TimeoutError if it does not."""
    files = Path(f"/proc/{pid}/fd")
    until = time.monotonic() + 30
    while sum(1 for _ in files.iterdir()) > FEW:
        if time.monotonic() > until:
            raise TimeoutError("connections are left")
        time.sleep(0.2)


def _client(port: int, path: str, kind: str, count: int) -> subprocess.Popen[str]:
    command = ["taskset", "-c", "1", sys.executable, "-m", "bench.hostile", str(port), path, kind, str(count)]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)


def _good(port: int, path: str) -> float:
    out, _ = _client(port, path, "good", 1500).communicate(timeout=60)
    return float(json.loads(out)["p99"])


def _write(
    fans: Sequence[dict[str, Any]], abuse: Sequence[dict[str, Any]], counts: Sequence[int], how: tuple[float, int]
) -> bool:
    seconds, rounds = how
    rows, verdicts, met = [], [], True
    medians: dict[str, list[float | None]] = {"median viewer": [], "99th percentile": []}
    labels = []
    for viewers in counts:
        for streams in STREAMS:
            own = [one for one in fans if (one["viewers"], one["streams"]) == (viewers, streams)]

            def middle(key: str, own: Sequence[dict[str, Any]] = own) -> float:
                return float(statistics.median(one[key] for one in own))

            p50, p99, stalls = middle("p50_ms"), middle("p99_ms"), sum(one["stalls"] for one in own)
            good = p50 <= P50_TARGET and p99 <= P99_TARGET and not stalls
            met &= good
            name = f"{viewers} viewers of {streams} stream{'s' if streams > 1 else ''}"
            labels.append(name)
            medians["median viewer"].append(p50)
            medians["99th percentile"].append(p99)
            verdicts.append(
                f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {stalls} stalls "
                f"(targets {P50_TARGET:.0f}, {P99_TARGET:.0f}, 0): {'met' if good else 'missed'}."
            )
            rows.append(
                [
                    name,
                    f"{p50:.1f}",
                    f"{p99:.1f}",
                    f"{max(one['worst_ms'] for one in own):.0f}",
                    f"{stalls}",
                    f"{middle('requests_per_s'):,.0f}",
                    f"{100 * middle('core'):.0f} %",
                    f"{middle('us_per_request'):.0f}",
                    f"{middle('rss_mib'):.0f}",
                    f"{middle('waited_s'):.1f}",
                ]
            )
    head = ["viewers", "p50 ms", "p99 ms", "worst ms", "stalls", "requests/s", "of a core", "µs/request", "RSS MiB"]
    tables = [report.table([*head, "waited for core s"], rows)]
    if abuse:
        tables.append(
            report.table(
                ["abuse", "p99 ms, calm", "p99 ms, under it", "ratio", "server's RSS growth MiB"],
                [
                    [
                        one["abuse"],
                        f"{one['calm_p99_ms']:.2f}",
                        f"{one['under_p99_ms']:.2f}",
                        f"{one['ratio']:.2f}×",
                        f"{one['rss_growth_mib']:.0f}",
                    ]
                    for one in abuse
                ],
            )
        )
        for one in abuse:
            good = one["ratio"] <= ABUSE_TARGET
            met &= good
            verdicts.append(
                f"A good viewer beside {one['abuse']}: p99 {one['ratio']:.2f}× of undisturbed "
                f"(target {ABUSE_TARGET}): {'met' if good else 'missed'}."
            )
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"Low-latency HLS with parts of 1/3 s; medians of {rounds} runs of {seconds:.0f} s, a fresh server "
                "each, on core 0, load on core 1. Spread is from the first viewer to the median one and to the 99th "
                f"percentile. Of the held reloads {BY_HTTP2:,} come by HTTP/2 (h2load), the others by HTTP/1.1."
            ),
            "",
            *(line for table in tables for line in (table, "")),
            *(f"- {line}" for line in verdicts),
            "",
            "![Spread of a part](fanout-spread.svg)",
            "",
            *machine.section(),
        ]
    )
    chart = report.Chart("From the first viewer to the others", "ms, lower is better", labels, medians)
    page = report.write(NAME, text, {"fanout-spread": chart}, {"fans": list(fans), "abuse": list(abuse)})
    print("\n" + "\n\n".join(tables) + "\n")
    print("\n".join((*verdicts, f"written to {page}")))
    return met
