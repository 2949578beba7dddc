"""What recording costs: CPU of the server per stream-minute with and without it, beside nginx-rtmp's `record all`.

Each measurement is a fresh server on core 0 and a load generator on core 1 that publishes N streams of 720p30 at
3 Mbit/s; what recording costs is the difference between two such servers, one of which records onto the same disk. Of
hlsd the loop's lag is read from its own figures, and what finishing all files costs after the last publisher has gone.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final

from bench import machine, report, swarm
from bench.pages.ingest import FILM, MIB
from bench.peers import Hlsd, Nginx, Peer, resident
from tests.support.server import usage

NAME = "record"
TITLE = "Recording: what it costs"
COUNTS = (50,)
EXTRA_TARGET: Final = 0.025
"""CPU seconds per stream-minute that recording may add."""
RATIO_TARGET: Final = 1.1
"""Of what it adds to nginx-rtmp."""
LAG_TARGET: Final = 20.0
"""Milliseconds of the loop, of 99 in 100 looks."""
FINISH: Final = 60.0
"""Seconds that finishing is waited for."""


class PlainHlsd(Hlsd):
    """hlsd that does not record."""

    name: ClassVar[str] = "hlsd"
    env: ClassVar = {"HLSD_PUBLISH__GRACE": "1"}


class RecordingHlsd(Hlsd):
    """hlsd that records each stream."""

    name: ClassVar[str] = "hlsd, recording"
    env: ClassVar = {
        "HLSD_PUBLISH__GRACE": "1",
        "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
        "HLSD_RECORD__MIN_FREE": "0",
    }


class RecordingNginx(Nginx):
    """nginx-rtmp that records each stream as FLV, onto the disk on which hlsd does."""

    name: ClassVar[str] = "nginx-rtmp, recording"

    def __init__(self, core: int | None = 0) -> None:
        super().__init__(core)
        self._folder = Path(tempfile.mkdtemp(prefix="hlsd-bench-"))
        self._folder.chmod(0o777)  # the worker runs as another user when nginx is started by root
        self.more = f"record all; record_path {self._folder}; record_unique on;"

    def __exit__(self, *error: object) -> None:
        super().__exit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)


PEERS: Final[tuple[type[Peer], ...]] = (PlainHlsd, RecordingHlsd, Nginx, RecordingNginx)


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. CPU seconds per stream-minute, MiB, ms; `finish` CPU seconds a file, None where not measured."""

    peer: str
    count: int
    cpu: float
    rss: float
    lag: float | None
    finish: float | None
    faults: tuple[str, ...]


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met (or could not be judged)."""
    swarm.build()
    peers = [peer for peer in PEERS if not only or peer.name.partition(",")[0] in only]
    left_out = [f"{peer.name} was left out: {why}" for peer in peers if (why := peer.missing())]
    print(*left_out, sep="\n")
    runs = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = FILM.make(Path(folder))
        for number in range(rounds):
            for count in counts:
                for peer in [peer for peer in peers if not peer.missing()]:
                    runs.append(_one(peer, film, count, seconds))
                    print(f"round {number + 1}/{rounds}  {runs[-1]}", flush=True)
    return _write(runs, counts, seconds, rounds, left_out)


def _one(peer: type[Peer], film: Path, count: int, seconds: float) -> Run:
    with peer(core=0) as server:
        said = swarm.run(
            "rtmpswarm",
            [server.rtmp("s%d"), "--publishers", str(count), "--flv", str(film), "--ramp", "5"]
            + [word for pid in server.pids() for word in ("--server-pid", str(pid))],
            seconds=seconds,
        )
        lag = finish = None
        faults = [f"{said[key]} {key}" for key in ("closed", "refused", "stream_errors", "connect_errors") if said[key]]
        if isinstance(server, Hlsd):
            lag = _lag(server)
            if isinstance(server, RecordingHlsd):
                finish = _finishing(server, count, faults)
        end = sum(resident(pid) for pid in server.pids()) / MIB
    cpu = said["server_cpu_s_per_stream_minute"]
    return Run(peer.name, count, cpu, end, lag, finish, tuple(faults))


def _asked(server: Hlsd, path: str) -> str:
    request = urllib.request.Request(f"{server.base}{path}", headers=server.bearer)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def _lag(server: Hlsd) -> float | None:
    """Milliseconds of the loop's lag that 99 in 100 looks did not pass, by the bound of the histogram."""
    rows = re.findall(
        r'^hlsd_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)', _asked(server, "/metrics"), re.MULTILINE
    )
    if not rows:
        return None
    whole = float(rows[-1][1])
    return next((1000 * float(bound) for bound, below in rows if float(below) >= 0.99 * whole), None)


def _finishing(server: Hlsd, count: int, faults: list[str]) -> float | None:
    """CPU seconds a file, from when the last publisher has gone to when all files are finished."""
    pid = server.pids()[0]
    before, until = usage(pid).cpu, time.monotonic() + FINISH
    while time.monotonic() < until:
        items = json.loads(_asked(server, f"/api/v1/records?limit={2 * count}"))["data"]["items"]
        if len(items) >= count and all(item["state"] == "done" for item in items):
            return (usage(pid).cpu - before) / len(items)
        time.sleep(0.5)
    faults.append("not all files were finished")
    return None


def _write(runs: Sequence[Run], counts: Sequence[int], seconds: float, rounds: int, left_out: Sequence[str]) -> bool:
    def median(peer: str, count: int, figure: Callable[[Run], float | None]) -> float | None:
        found = [figure(one) for one in runs if (one.peer, one.count) == (peer, count)]
        values = [value for value in found if value is not None]
        return statistics.median(values) if values else None

    def extra(peer: str, count: int) -> float | None:
        with_, without = (median(name, count, lambda one: one.cpu) for name in (f"{peer}, recording", peer))
        return with_ - without if with_ is not None and without is not None else None

    rows = []
    for count in counts:
        for peer in dict.fromkeys(one.peer for one in runs):
            own = [one.cpu for one in runs if (one.peer, one.count) == (peer, count)]
            figures = [median(peer, count, figure) for figure in (lambda one: one.cpu, lambda one: one.rss)]
            lag, finish = (median(peer, count, figure) for figure in (lambda one: one.lag, lambda one: one.finish))
            rows.append(
                [
                    f"{count}", peer, f"{figures[0]:.4f}", f"{min(own):.4f}–{max(own):.4f}", f"{figures[1]:.0f}",
                    "–" if lag is None else f"{lag:.0f}", "–" if finish is None else f"{1000 * finish:.0f}",
                ]
            )  # fmt: skip
    head = [
        "publishers",
        "server",
        "CPU s / stream-min",
        "min–max",
        "RSS MiB",
        "lag p99 ≤ ms",
        "finishing, CPU ms a file",
    ]
    table = report.table(head, rows)
    said, met = [], True
    for count in counts:
        mine, theirs = extra("hlsd", count), extra("nginx-rtmp", count)
        if mine is not None:
            good = mine <= EXTRA_TARGET
            met &= good
            words = "met" if good else "missed"
            said.append(f"{count} recordings add {1000 * mine:.1f} ms of CPU a stream-minute (target 25 ms: {words}).")
        if mine is not None and theirs is not None and theirs > 0:
            good = mine <= RATIO_TARGET * theirs
            met &= good
            words = "met" if good else "missed"
            said.append(f"That is {mine / theirs:.2f}× of what nginx-rtmp's `record all` adds (target 1.1×: {words}).")
        lag = median("hlsd, recording", count, lambda one: one.lag)
        if lag is not None:
            good = lag <= LAG_TARGET
            met &= good
            words = "met" if good else "missed"
            said.append(f"The loop is late by {lag:.0f} ms at most in 99 of 100 looks (target 20 ms: {words}).")
    faults = [f"{one.peer}, {one.count} publishers: {fault}" for one in runs for fault in one.faults]
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{FILM.width}x{FILM.height} at {FILM.rate} frames/s, 3 Mbit/s, H.264 and AAC over RTMP; no viewers. "
                f"Medians of {rounds} runs of {seconds:.0f} s, a fresh server each, server on core 0, load on core 1. "
                "Both record onto the same disk: hlsd as MP4 with `record.sync` 5 s, nginx-rtmp as FLV without. "
                "Written by `make bench`."
            ),
            "",
            table,
            "",
            *(f"- {line}" for line in (*said, *left_out)),
            "",
            *(["## Disturbed runs", "", *(f"- {fault}" for fault in faults), ""] if faults else []),
            *machine.section(),
        ]
    )
    page = report.write(NAME, text, {}, [asdict(one) for one in runs])
    print(f"\n{table}\n")
    print("\n".join((*said, *faults, f"written to {page}")))
    return met
