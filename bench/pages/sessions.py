"""What a session costs: memory of a hundred thousand, and the time to open, touch, find, expire and end one.

In one process, with the true registry: sessions with a path, an address, a user agent and arguments of their own, as a
signed URL brings them. O(1) shows in the columns: a tenth of the sessions cost the same each.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import machine, report
from hlsd.ports import Grant, PlayRequest
from hlsd.sessions.registry import Registry
from hlsd.sessions.session import Session
from hlsd.sessions.signing import Key, Signer

NAME = "sessions"
TITLE = "Sessions: what one viewer costs"
COUNTS = (1_000, 10_000, 100_000)
MEMORY_TARGET = 1024.0
IDLE = 10.0
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


class Hands:
    """A clock moved by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def wall(self) -> float:
        """Seconds since the epoch."""
        return 1_700_000_000 + self.now


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:  # noqa: ARG001
    """Measures, writes the page, prints the table; True if the targets are met."""
    found: dict[int, list[dict[str, float]]] = {}
    for count in counts:
        for _ in range(rounds):
            command = [sys.executable, "-m", "bench.pages.sessions", str(count)]  # memory of its own
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.setdefault(count, []).append(dict(zip(KEYS, map(float, said.split()), strict=True)))
            print(
                f"{count:>8}  " + "  ".join(f"{key} {value:.2f}" for key, value in found[count][-1].items()), flush=True
            )
    rows = [
        [f"{count:,}", *(f"{statistics.median(one[key] for one in runs):.2f}" for key in KEYS)]
        for count, runs in found.items()
    ]
    most = max(found)
    memory = statistics.median(one["bytes"] for one in found[most])
    met = memory <= MEMORY_TARGET
    table = report.table(["sessions", *HEADS], rows)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                "Sessions of 100 streams in one registry, each with an address, a user agent (one of a hundred), a "
                "session id and the arguments of a signed URL of its own. Memory is what the process grew by. "
                "CPU microseconds for each session; the longest slice is what the event loop waits for when all "
                f"leave at once. Medians of {rounds} rounds. Written by `make bench`."
            ),
            "",
            table,
            "",
            (
                f"- {memory:.0f} bytes a session at {most:,} (target {MEMORY_TARGET:.0f} at most): "
                f"{'met' if met else 'missed'}."
            ),
            "",
            *machine.section(),
        ]
    )
    labels = [f"{count:,}" for count in found]
    series: dict[str, Sequence[float | None]] = {
        name: [statistics.median(one[key] for one in runs) for runs in found.values()]
        for key, name in (("open_us", "open"), ("charge_us", "touch"), ("end_us", "expire"))
    }
    chart = report.Chart("CPU per session", "µs, lower is better", labels, series)
    page = report.write(NAME, text, {"sessions-cpu": chart}, {str(count): runs for count, runs in found.items()})
    print(f"\n{table}\n\nwritten to {page}")
    return met


KEYS = ("bytes", "open_us", "find_us", "charge_us", "look_us", "end_us", "slice_ms")
HEADS = ("bytes each", "open µs", "find µs", "touch µs", "look µs", "expire µs", "longest slice ms")


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _measure(count: int) -> list[float]:
    clock = Hands()
    sessions = Registry(
        Signer([Key(b"a key for measurements")], clock.wall), clock, lambda _app, _name: IDLE, max_sessions=count + 1
    )
    gc.collect()
    before = _rss()
    began = perf_counter()
    made = [await sessions.open(_request(number), Grant(identity=f"{number:032x}")) for number in range(count)]
    opened = perf_counter() - began
    gc.collect()
    memory = (_rss() - before) / count - 8  # the list of this measurement
    them = [session for session in made if isinstance(session, Session)]
    del made
    sids = [session.sid for session in them]
    find = sessions.find
    began = perf_counter()
    for sid in sids:
        find(sid)
    found = perf_counter() - began
    began = perf_counter()
    for session in them:
        session.requests += 1
        session.last = clock.now
        sessions.charge(session, 1000, 1)
    charged = perf_counter() - began
    clock.now += IDLE - 1
    for session in them:
        session.last = clock.now
    clock.now += 2
    began = perf_counter()
    sessions.sweep()
    looked = perf_counter() - began
    clock.now += IDLE + 1
    began, longest = perf_counter(), 0.0
    while True:
        start = perf_counter()
        done = sessions.sweep_some()
        longest = max(longest, perf_counter() - start)
        if done:
            break
    ended = perf_counter() - began
    assert not len(sessions)
    each: list[Any] = [opened, found, charged, looked, ended]
    return [memory, *(took / count * 1e6 for took in each), longest * 1e3]


def _request(number: int) -> PlayRequest:
    return PlayRequest(
        "live",
        f"stream{number % 100}",
        "hls",
        f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        40000,
        query={"sign": f"{1_800_000_000 + number}-{number:032x}"},
        user_agent=f"{_AGENT} {number % 100}",
        referer=f"https://site{number % 10}.example/",
    )


if __name__ == "__main__":
    print(*asyncio.run(_measure(int(sys.argv[1]))))
