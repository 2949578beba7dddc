"""What HTTPS costs beside nginx: answers by HTTP/1.1 and HTTP/2, handshakes, memory, and a crowd of viewers.

Both servers stand at once, on core 0, with one certificate (ECDSA P-256, TLS 1.3), and are measured in turns of two
seconds with the same generator (h2load, 32 connections, core 1). Ratios are of one turn, tables have medians. hlsd
checks the signed session of each request and charges it; nginx only sends files from memory.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine, report, swarm
from bench.origin import LARGE, PLAYLIST, SEGMENT, media
from bench.pages.hotpath import start_origin, which
from bench.peers import memory_directory
from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.server import HlsdServer, usage

NAME = "https"
TITLE = "HTTPS: what it costs beside nginx"
COUNTS = (2500,)
"""Viewers of the crowd; as many wait while memory is measured."""
TURN = 2
"""Seconds."""
CONNECTIONS = 32
HANDS = 400
"""Handshakes of a turn."""
FILM = Film(seconds=20, bitrate=250_000)
HANDS_TARGET, P50_TARGET, P99_TARGET, WAITER_TARGET = 0.7, 40.0, 150.0, 25.0

_ROOT = Path(__file__).resolve().parents[2]
_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
  server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{secure} ssl http2; root {root}/www;
    ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem; ssl_protocols TLSv1.3;
    add_header Cache-Control "max-age=1"; add_header Access-Control-Allow-Origin "*"; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How answers are fetched. `targets`: of nginx's CPU at most, for each body."""

    name: str
    tls: bool
    options: tuple[str, ...]
    targets: tuple[float, float, float]


WAYS = (
    # 200 kB fit into a socket's buffer: both hand the kernel one file, whose pages are most of the cost. Before there
    # was TLS here that was 0.92 of nginx (the page of the hot path); of 800 kB nginx sends what fits, again and again.
    Way("HTTP/1.1, plain", False, ("--h1",), (0.65, 0.95, 0.55)),
    Way("HTTP/1.1 over TLS", True, ("--h1",), (1.3, 1.0, 1.0)),
    Way("HTTP/2, 1 stream", True, ("-m1",), (1.5, 1.0, 1.0)),
    Way("HTTP/2, 8 streams", True, ("-m8",), (1.5, 1.0, 1.0)),
)
BODIES = (("2 kB playlist", PLAYLIST), ("200 kB segment", SEGMENT), ("800 kB segment", LARGE))


@dataclass(frozen=True, slots=True)
class Server:
    """One that stands. `bodies`: where each of `BODIES` is."""

    name: str
    pid: int
    port: int
    secure: int
    bodies: tuple[str, str, str]


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the tables; True if the targets are met (or could not be judged).

    `only`: some of `answers`, `hands`, `waiters`, `crowd`.
    """
    missing = [tool for tool in ("h2load", "nginx", "taskset") if not which(tool)]
    if missing:
        print(f"{NAME}: left out, as {', '.join(missing)} is not installed")
        return True
    if counts[0] < 100:  # the counts of publishers of another page
        counts = COUNTS
    turns = rounds * max(1, round(seconds / TURN / 4))
    costs: dict[str, list[float]] = {}
    shaken: dict[str, list[float]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(_hlsd()), stack.enter_context(_nginx())]
        if not only or "answers" in only:
            costs = _answers(servers, turns)
        if not only or "hands" in only:
            shaken = _handshakes(servers, turns)
    waiting = [_waiters(counts[0]) for _ in range(rounds)] if not only or "waiters" in only else []
    crowds: list[dict[str, Any]] = []
    if not only or "crowd" in only:
        swarm.build()
        with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
            film = FILM.make(Path(folder))
            crowds = [_crowd(film, Path(folder) / str(number), counts[0], seconds) for number in range(rounds)]
    return _write(costs, shaken, waiting, crowds, turns)


@contextmanager
def _hlsd() -> Iterator[Server]:
    port, secure = free_port(), free_port()
    process, path = start_origin(port, "--https", str(secure))
    try:
        yield Server("hlsd", process.pid, port, secure, (f"{path}index.m3u8", f"{path}r1/s.ts", f"{path}r1/l.ts"))
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


@contextmanager
def _nginx() -> Iterator[Server]:
    port, secure = free_port(), free_port()
    root = Path(tempfile.mkdtemp(prefix="hlsd-bench-", dir=memory_directory()))
    write_self_signed(root / "cert.pem", root / "key.pem", ["localhost"])
    (root / "www").mkdir()
    (root / "www" / "p.m3u8").write_bytes(b"#EXTM3U\n".ljust(PLAYLIST, b"#"))
    (root / "www" / "s.ts").write_bytes(media(SEGMENT))
    (root / "www" / "l.ts").write_bytes(media(LARGE))
    (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port, secure=secure))
    command = [which("nginx") or "nginx", "-e", f"{root}/error.log", "-p", str(root), "-c", f"{root}/nginx.conf"]
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield Server("nginx", process.pid, port, secure, ("/p.m3u8", "/s.ts", "/l.ts"))
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(root, ignore_errors=True)


def _answers(servers: Sequence[Server], turns: int) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {}
    for number in range(-1, turns):  # the first one is for caches and buffers, and is not counted
        for way in WAYS:
            for body, (what, _) in enumerate(BODIES):
                for server in servers:
                    cost, count = _measure(server, way, server.bodies[body])
                    if number < 0:
                        continue
                    costs.setdefault(f"{server.name}, {way.name}, {what}", []).append(cost)
                    print(f"turn {number + 1}/{turns}  {server.name:<6} {way.name:<18} {what:<15} {cost:7.2f} us  "
                          f"{count / TURN:8.0f}/s", flush=True)  # fmt: skip
    return costs


def _measure(server: Server, way: Way, path: str) -> tuple[float, int]:
    """CPU microseconds of the server per answer, answers."""
    base = f"https://127.0.0.1:{server.secure}" if way.tls else f"http://127.0.0.1:{server.port}"
    load = ["taskset", "-c", "1", "h2load", *way.options, f"-c{CONNECTIONS}", "-t1", f"-D{TURN}", f"{base}{path}"]
    before = usage(server.pid).cpu
    done = subprocess.run(load, check=True, capture_output=True, text=True)
    spent = usage(server.pid).cpu - before
    found = re.search(r"(\d+) succeeded, (\d+) failed", done.stdout)
    assert found is not None, done.stdout
    if int(found[2]) or not int(found[1]):
        print(f"disturbed: {done.stdout}")
    return spent / max(1, int(found[1])) * 1e6, int(found[1])


def _handshakes(servers: Sequence[Server], turns: int) -> dict[str, list[float]]:
    """CPU microseconds of the server for a handshake, by server and kind."""
    costs: dict[str, list[float]] = {}
    for number in range(turns):
        for kind in ("full", "resumed"):
            for server in servers:
                command = ["taskset", "-c", "1", sys.executable, "-m", "bench.tls_clients", "hands"]
                command += [str(server.secure), "-", str(HANDS), *(["--resume"] if kind == "resumed" else [])]
                before = usage(server.pid).cpu
                done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
                cost = (usage(server.pid).cpu - before) / HANDS * 1e6
                costs.setdefault(f"{server.name}, {kind}", []).append(cost)
                resumed = json.loads(done.stdout)["resumed"]
                print(f"turn {number + 1}/{turns}  {server.name:<6} {kind} handshake {cost:7.1f} us, "
                      f"{resumed} of {HANDS} taken up again", flush=True)  # fmt: skip
    return costs


def _waiters(count: int) -> dict[str, float]:
    """Resident memory of the server for a held reload on a connection that has fetched a segment, half by HTTP/2."""
    port, secure = free_port(), free_port()
    http = {"max_connections_per_ip": 0, "max_waiters_per_ip": 0, "max_waiters": 50_000, "keep_alive": 600}
    process, path = start_origin(port, "--https", str(secure), "--http", json.dumps(http))
    command = ["taskset", "-c", "1", sys.executable, "-m", "bench.tls_clients", "waiters", str(secure), path]
    try:
        _held(command, 50)  # what the first ones need is there for all
        before = usage(process.pid).rss
        growth = _held(command, count, process.pid) - before
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
    found = {"waiters": count, "kb_per_waiter": growth / count / 1024}
    print(found, flush=True)
    return found


def _held(command: Sequence[str], count: int, pid: int = 0) -> int:
    clients = subprocess.Popen(
        [*command, str(count)], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert clients.stdout is not None
    assert clients.stdin is not None
    try:
        if clients.stdout.readline() != "held\n":
            raise RuntimeError("the waiting clients have failed")
        return usage(pid).rss if pid else 0
    finally:
        clients.stdin.close()
        clients.wait(30)
        clients.stdout.close()


def _crowd(film: Path, root: Path, viewers: int, seconds: float) -> dict[str, Any]:
    """Low-latency viewers of one stream of the whole server, half by HTTP/2, each with an address of its own."""
    root.mkdir()
    write_self_signed(root / "cert.pem", root / "key.pem", ["localhost"])
    port = free_port()
    env = {"HLSD_HTTPS__CERT": f"{root}/cert.pem", "HLSD_HTTPS__KEY": f"{root}/key.pem", "HLSD_HTTPS__PORT": str(port)}
    with HlsdServer(root, low_latency=True, prefix=["taskset", "-c", "0"], env=env) as server:
        command = ["taskset", "-c", "1", str(swarm.LOAD / "rtmpswarm"), server.rtmp("s%d")]
        command += ["--publishers", "1", "--flv", str(film), "--seconds", str(seconds + 90)]
        publisher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(8)
            said = swarm.run(
                "llswarm",
                [
                    f"https://127.0.0.1:{port}/live/s0.m3u8",
                    *("--viewers", str(viewers), "--http2", "50", "--ramp", "12", "--per-viewer-ip"),
                    *("--server-pid", str(server.process.pid)),
                ],
                seconds=seconds,
            )
        finally:
            publisher.terminate()
            publisher.wait(10)
    spread, used = said["spread"], said["server"]
    found = {
        "viewers": viewers,
        "p50_ms": spread["all_p50_ms"]["p50"],
        "p99_ms": spread["all_p99_ms"]["p50"],
        "worst_ms": spread["all_max_ms"]["max"],
        "stalls": said["stalls"],
        "refused": said["non_2xx"],
        "requests_per_s": said["requests_per_s"],
        "core": used["cpu_core_ratio"],
        "us_per_request": used["cpu_us_per_request"],
        "kb_per_viewer": (used["rss_max_mib"] - used["rss_start_mib"]) * 1024 / viewers,
        "own_lag_p99_ms": said["own_lag_ms"]["p99"],
        "warning": said.get("warning"),
    }
    print(found, flush=True)
    return found


class Verdicts:
    """What was wanted, and whether it is so."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.met = True

    def judge(self, said: str, value: float, target: float, *, least: bool = False) -> None:
        """Holds a figure against its target: at most, or at `least`."""
        fine = value >= target if least else value <= target
        self.met &= fine
        bound = "least" if least else "most"
        self.lines.append(f"{said}: {value:.2f} (target {target:g} at {bound}): {'met' if fine else 'missed'}.")


def _answers_table(costs: dict[str, list[float]], verdicts: Verdicts) -> str:
    rows = []
    for way in WAYS:
        for (what, _), target in zip(BODIES, way.targets, strict=True):
            ours, theirs = (costs.get(f"{name}, {way.name}, {what}") for name in ("hlsd", "nginx"))
            if ours and theirs:
                ratio = _ratio(ours, theirs)
                rows.append([f"{way.name}, {what}", _spread(ours), _spread(theirs), f"{ratio:.2f}×"])
                verdicts.judge(f"{way.name}, {what}, of nginx's CPU", ratio, target)
    return report.table(["answer", "hlsd, CPU µs", "nginx, CPU µs", "of nginx"], rows)


def _handshakes_table(shaken: dict[str, list[float]], verdicts: Verdicts) -> str:
    rows = []
    for kind in ("full", "resumed"):
        ours, theirs = (shaken.get(f"{name}, {kind}") for name in ("hlsd", "nginx"))
        if ours and theirs:
            ratio = _ratio(theirs, ours)
            rates = [f"{1e6 / statistics.median(one):,.0f}" for one in (ours, theirs)]
            rows.append([kind, _spread(ours), _spread(theirs), *rates, f"{ratio:.2f}×"])
            verdicts.judge(f"{kind} handshakes a core-second, of nginx's", ratio, HANDS_TARGET, least=True)
    head = ["handshake", "hlsd, CPU µs", "nginx, CPU µs", "hlsd / core-second", "nginx / core-second", "of nginx"]
    return report.table(head, rows)


def _write(
    costs: dict[str, list[float]],
    shaken: dict[str, list[float]],
    waiting: Sequence[dict[str, float]],
    crowds: Sequence[dict[str, Any]],
    turns: int,
) -> bool:
    verdicts = Verdicts()
    answers, shakes = _answers_table(costs, verdicts), _handshakes_table(shaken, verdicts)
    if waiting:
        value = statistics.median(one["kb_per_waiter"] for one in waiting)
        said = f"kB of resident memory for a waiting viewer, {waiting[0]['waiters']:.0f} of them"
        verdicts.judge(said, value, WAITER_TARGET)
    together = report.table(
        ["viewers", "p50 ms", "p99 ms", "last ms", "stalls", "refused", "requests/s", "core", "CPU µs", "kB/viewer"],
        [[f"{one['viewers']}", f"{one['p50_ms']:.1f}", f"{one['p99_ms']:.1f}", f"{one['worst_ms']:.0f}",
          f"{one['stalls']}", f"{one['refused']}", f"{one['requests_per_s']:,.0f}", f"{one['core']:.2f}",
          f"{one['us_per_request']:.0f}", f"{one['kb_per_viewer']:.0f}"] for one in crowds],
    )  # fmt: skip
    if crowds:
        verdicts.judge("ms from the first viewer with a part to the median one", _median(crowds, "p50_ms"), P50_TARGET)
        verdicts.judge("ms to the 99th percentile", _median(crowds, "p99_ms"), P99_TARGET)
        verdicts.judge("stalls", sum(one["stalls"] for one in crowds), 0)
    text = "\n".join([
        f"# {TITLE}",
        "",
        (
            f"{CONNECTIONS} kept connections, medians of {turns} turns of {TURN} s (least–most behind them); server on "
            "core 0, h2load on core 1. One ECDSA P-256 certificate, TLS 1.3. hlsd checks and charges the session of "
            "each request. nginx: Debian's, one worker, files in memory, sendfile, http2. Written by `make bench`."
        ),
        "",
        "## Answers",
        "",
        answers,
        "",
        "## Handshakes",
        "",
        f"A new connection each, {HANDS} in a turn, one after the other; resumed ones with the ticket of the last.",
        "",
        shakes,
        "",
        "## Viewers",
        "",
        (
            "The whole server, one low-latency stream, viewers by `llswarm`, half of them by HTTP/2. As "
            "[fanout](fanout.md) has it for plain HTTP: from the first viewer that has a part's playlist to the median "
            "one and to the 99th percentile. Memory is the server's growth for all that a viewer has: two connections, "
            "a session, what lies in buffers at the worst moment."
        ),
        "",
        together,
        "",
        *(f"- Of this run: {one['warning']}." for one in crowds if one.get("warning")),
        "",
        "## Targets",
        "",
        *(f"- {line}" for line in verdicts.lines),
        "",
        *machine.section(),
    ])  # fmt: skip
    raw = {"cpu_us": costs, "handshake_us": shaken, "waiters": list(waiting), "crowds": list(crowds)}
    page = report.write(NAME, text, {}, raw)
    print(f"\n{answers}\n\n{shakes}\n\n{together}\n", *verdicts.lines, f"written to {page}", sep="\n")
    return verdicts.met


def _ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Median of the ratios of each turn."""
    return statistics.median(mine / theirs for mine, theirs in zip(one, other, strict=True) if theirs)


def _median(runs: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(one[key] for one in runs))


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"
