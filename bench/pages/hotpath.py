"""What a request costs: server CPU per playlist and per segment, beside nginx serving files and beside Starlette.

All servers stand at once, idle on core 0, and are measured in turns of two seconds with the same generator (wrk, 32
kept connections, core 1): the speed of a shared machine changes from one ten seconds to the next by a half, and has to
meet all of them. Ratios are of one turn, the table has medians.
hlsd checks the signed session of each request and charges it; nginx only sends files from memory with sendfile.
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
from pathlib import Path

from bench import machine, nms, report, srs
from bench.origin import PLAYLIST, SEGMENT
from bench.peers import memory_directory
from tests.support.ports import free_port
from tests.support.server import usage

NAME = "hotpath"
TITLE = "The hot path: what a request costs"
COUNTS = (5000,)
"""Waiters of the release."""
TURN = 2
"""Seconds."""
NGINX_TARGET, PLAYLIST_TARGET, SEGMENT_TARGET = 1.0, 3.5, 2.0
WAITER_TARGET, RSS_TARGET = 15.0, 8192

_ROOT = Path(__file__).resolve().parents[2]
_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {cache}
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
  server {{ listen 127.0.0.1:{port}; root {root}/www;
    add_header Cache-Control "max-age=1"; add_header Access-Control-Allow-Origin "*"; }}
}}
"""
SERVERS = ("hlsd", "nginx", "nginx, files kept open", "Starlette", "Node-Media-Server", "SRS")


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met (or could not be judged)."""
    missing = [tool for tool in ("wrk", "nginx", "taskset") if not which(tool)]
    if missing:
        print(f"{NAME}: left out, as {', '.join(missing)} is not installed")
        return True
    names = [name for name in SERVERS if not only or name in only]
    if "Node-Media-Server" in names and (why := nms.missing()):
        print(f"{NAME}: Node-Media-Server left out: {why}")
        names.remove("Node-Media-Server")
    if "SRS" in names and srs.program() is None:
        print(f"{NAME}: SRS left out: no program srs, and HLSD_SRS names none")
        names.remove("SRS")
    costs: dict[tuple[str, str], list[float]] = {}
    rates: dict[tuple[str, str], list[float]] = {}
    turns = rounds * max(1, round(seconds / TURN))
    with ExitStack() as stack:
        servers = [(name, *stack.enter_context(_server(name))) for name in names]
        for number in range(-1, turns):  # the first one is for caches and buffers, and is not counted
            for name, pid, playlist, segment in servers:
                for what, url in (("playlist", playlist), ("segment", segment)):
                    cost, rate = _measure(pid, url)
                    if number < 0:
                        continue
                    costs.setdefault((name, what), []).append(cost)
                    rates.setdefault((name, what), []).append(rate)
                    print(f"turn {number + 1}/{turns}  {name:<24} {what:<9} {cost:6.2f} us  {rate:8.0f}/s", flush=True)
    releases = [_release(count) for count in counts for _ in range(rounds)]
    for one in releases:
        print(one, flush=True)
    return _write(names, costs, rates, releases, turns)


def which(tool: str) -> str | None:
    return shutil.which(tool, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")


@contextmanager
def _server(name: str) -> Iterator[tuple[int, str, str]]:
    """A server on core 0: its pid, the URLs of the playlist and the segment."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    root = Path(tempfile.mkdtemp(prefix="hlsd-bench-", dir=memory_directory()))
    pinned = ["taskset", "-c", "0"]
    if name.startswith("nginx"):
        (root / "www").mkdir()
        (root / "www" / "p.m3u8").write_bytes(b"#EXTM3U\n".ljust(PLAYLIST, b"#"))
        (root / "www" / "s.ts").write_bytes((bytes(range(256)) * (SEGMENT // 256 + 1))[:SEGMENT])
        cache = "open_file_cache max=100; open_file_cache_valid 60s;" if "open" in name else ""
        (root / "nginx.conf").write_text(_NGINX.format(root=root, port=port, cache=cache))
        command = [
            which("nginx") or "nginx",
            "-e",
            str(root / "error.log"),
            "-p",
            str(root),
            "-c",
            str(root / "nginx.conf"),
        ]
        process = subprocess.Popen([*pinned, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        time.sleep(0.5)
        urls = (f"{base}/p.m3u8", f"{base}/s.ts")
    elif name in {"Node-Media-Server", "SRS"}:
        # their HLS is files, written by ffmpeg or by themselves and sent by their HTTP servers: these stand in for them
        (root / "p.m3u8").write_bytes(b"#EXTM3U\n".ljust(PLAYLIST, b"#"))
        (root / "s.ts").write_bytes((bytes(range(256)) * (SEGMENT // 256 + 1))[:SEGMENT])
        peer = srs if name == "SRS" else nms
        process = peer.start(free_port(), port, root, prefix=pinned)
        urls = (f"{base}/p.m3u8", f"{base}/s.ts")
    else:
        process, path = start_origin(port, *(["--asgi"] if name == "Starlette" else []))
        urls = (f"{base}{path}index.m3u8", f"{base}{path}r1/s.ts")
    try:
        yield process.pid, *urls
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
        shutil.rmtree(root, ignore_errors=True)


def start_origin(port: int, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    command = ["taskset", "-c", "0", sys.executable, "-m", "bench.origin", str(port), *arguments]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("/live/"):
            return process, line.strip()
    raise RuntimeError("the origin did not start")


def _measure(pid: int, url: str) -> tuple[float, float]:
    """CPU microseconds per request, requests per second."""
    wrk = ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{TURN}s", url]
    before = usage(pid).cpu
    done = subprocess.run(wrk, check=True, capture_output=True, text=True)
    spent = usage(pid).cpu - before
    found = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    assert found is not None, done.stdout
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        print(f"disturbed: {done.stdout}")
    return spent / int(found[1]) * 1e6, int(found[1]) / float(found[2])


def _release(count: int) -> dict[str, float]:
    port = free_port()
    process, path = start_origin(port, "--waiters", str(count))
    viewers = subprocess.Popen(
        ["taskset", "-c", "1", sys.executable, "-m", "bench.waiters", str(port), path, str(count)],
        cwd=_ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        out, _ = process.communicate(timeout=120)
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        return {"waiters": count, **found}
    finally:
        viewers.kill()
        viewers.wait()


def _write(
    names: Sequence[str],
    costs: dict[tuple[str, str], list[float]],
    rates: dict[tuple[str, str], list[float]],
    releases: Sequence[dict[str, float]],
    turns: int,
) -> bool:
    def ratio(one: str, other: str, what: str) -> float | None:
        """Median of the ratios of each turn."""
        pairs = zip(costs.get((one, what), ()), costs.get((other, what), ()), strict=False)
        found = [mine / theirs for mine, theirs in pairs if theirs]
        return statistics.median(found) if found else None

    rows, verdicts, met = [], [], True
    for what in ("playlist", "segment"):
        for name in names:
            own = costs[name, what]
            to_nginx, to_slow = ratio(name, "nginx", what), ratio("Starlette", name, what)
            rows.append(
                [
                    what,
                    name,
                    f"{statistics.median(own):.2f}",
                    f"{min(own):.2f}–{max(own):.2f}",
                    f"{1e6 / statistics.median(own):,.0f}",
                    f"{to_nginx:.2f}×" if to_nginx else "–",
                    f"{to_slow:.1f}×" if to_slow else "–",
                ]
            )
        target = PLAYLIST_TARGET if what == "playlist" else SEGMENT_TARGET
        for said, value, good in (
            (f"of nginx's CPU for a {what} (target {NGINX_TARGET:.1f} at most)", ratio("hlsd", "nginx", what), "low"),
            (
                f"less CPU than Starlette for a {what} (target {target:.1f} at least)",
                ratio("Starlette", "hlsd", what),
                "",
            ),
        ):
            if value is not None:
                fine = value <= NGINX_TARGET if good else value >= target
                met &= fine
                verdicts.append(f"hlsd: {value:.2f}× {said}: {'met' if fine else 'missed'}.")
    for said, key, target, scale in (
        ("µs to release a waiter", "us_per_waiter", WAITER_TARGET, 1.0),
        ("kB of resident memory for a waiter", "rss_per_waiter", RSS_TARGET / 1024, 1024.0),
    ):
        if releases:
            value = statistics.median(one[key] for one in releases) / scale
            met &= value <= target
            verdicts.append(
                f"hlsd: {value:.1f} {said}, {releases[0]['waiters']:.0f} of them at once "
                f"(target {target:.0f} at most): {'met' if value <= target else 'missed'}."
            )
    head = ["answer", "server", "CPU µs / request", "min–max", "requests / core-second", "of nginx", "Starlette takes"]
    table = report.table(head, rows)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"Playlists of {PLAYLIST // 1024} kB and segments of {SEGMENT // 1024} kB over 32 kept connections. "
                f"Medians of {turns} turns of {TURN} s; server on core 0, wrk on core 1. hlsd checks and charges "
                "the session of each request. nginx: Debian's, one worker, files in memory, sendfile. "
                "Written by `make bench`."
            ),
            "",
            table,
            "",
            *(f"- {line}" for line in verdicts),
            "",
            "![CPU per request](hotpath-cpu.svg)",
            "",
            (
                "CPU is user and system time of the server over the requests of a run. nginx-rtmp's HLS is nginx's own "
                "file serving, and costs what nginx costs here. Node-Media-Server 2.7 sends files by "
                "express.static, SRS by its own HTTP server; SRS is not in Debian, and stands here where it was built."
            ),
            "",
            *machine.section(),
        ]
    )
    series: dict[str, Sequence[float | None]] = {
        name: [statistics.median(costs[name, what]) for what in ("playlist", "segment")] for name in names[:3]
    }
    chart = report.Chart("Server CPU per request", "µs, lower is better", ["2 kB playlist", "200 kB segment"], series)
    raw = {
        "cpu_us": {f"{name} {what}": values for (name, what), values in costs.items()},
        "per_second": {f"{name} {what}": values for (name, what), values in rates.items()},
        "releases": list(releases),
    }
    page = report.write(NAME, text, {"hotpath-cpu": chart}, raw)
    print(f"\n{table}\n")
    print("\n".join((*verdicts, f"written to {page}")))
    return met
