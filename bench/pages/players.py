"""How near to live real players are, and how soon the first picture stands: hls.js as it comes, and our own page.

One stream of 360p30 with a key picture each second is published from a file by `rtmpswarm`, so that no encoder takes
the processor from the browser. Every start is a browser of its own with an empty cache. Latency is hls.js's own figure
(`hls.latency`) for hls.js as it comes, and from the PROGRAM-DATE-TIME of the picture to the wall clock for our page,
over the second half of each play. The first picture counts from the moment the page was asked for, and beside it from
the page's `load` event.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine, report, swarm
from tests.support import browser
from tests.support.footage import Film
from tests.support.server import HlsdServer

NAME = "players"
TITLE = "Players: how near to live, and how soon"
COUNTS = (10,)
"""Starts of each player."""
FILM = Film(seconds=30, width=640, height=360, rate=30, gop=30, bitrate=800_000)
PLAY = 12.0
"""Seconds of a play: our page has come near to live after six."""
WINDOW = 15.0
"""Seconds that the stream runs before the first start: a playlist of six segments of two, as a running stream has."""


@dataclass(frozen=True, slots=True)
class Way:
    """One line of the table; targets are None where there is none. Seconds."""

    player: str
    program: browser.Browser
    mode: browser.Mode
    part: float
    p50: float
    p95: float | None = None
    first: float | None = None
    again: bool = False
    """The page was open before in this browser."""

    def __str__(self) -> str:
        return f"{self.player}, {self.program}, parts of {self.part} s{', opened again' if self.again else ''}"


WAYS = (
    Way("hls.js as it comes", "chromium", "hlsjs", 0.334, 1.4, 1.5),
    Way("hls.js as it comes", "firefox", "hlsjs", 0.334, 1.4, 1.5),
    Way("hls.js as it comes", "chromium", "hlsjs", 0.334, 1.4, 1.5, again=True),
    Way("hls.js as it comes", "firefox", "hlsjs", 0.334, 1.4, 1.5, again=True),
    Way("our page", "chromium", "page", 0.334, 1.15, None, 0.6),
    Way("our page", "firefox", "page", 0.334, 1.15, None, 0.6),
    Way("our page", "chromium", "page", 0.334, 1.15, None, 0.6, again=True),
    Way("our page", "firefox", "page", 0.334, 1.15, None, 0.6, again=True),
    Way("our page", "chromium", "page", 0.2, 0.8),
    Way("our page", "firefox", "page", 0.2, 0.8),
)


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met."""
    starts = max(rounds, counts[0])
    ways = [way for way in WAYS if not only or way.program in only or way.mode in only]
    for name in {way.program for way in ways}:
        if why := browser.missing(name):
            print(f"{NAME}: {name} left out: {why}")
            ways = [way for way in ways if way.program != name]
    swarm.build()
    plays: dict[Way, list[dict[str, Any]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = FILM.make(Path(folder))
        for part in sorted({way.part for way in ways}):
            own = [way for way in ways if way.part == part]
            with _stream(film, Path(folder) / f"{part}", part) as server:
                for number in range(starts):
                    for way in own:
                        plays[way].append(said := _play(server, way, max(PLAY, min(seconds, 60))))
                        print(
                            f"start {number + 1}/{starts}  {way}: latency {_latency(way, said)['median']:.2f} s, "
                            f"first picture {said['first_frame']:.2f} s, {len(said['stalls'])} stalls",
                            flush=True,
                        )
    return _write(plays, starts)


@contextmanager
def _stream(film: Path, root: Path, part: float) -> Iterator[HlsdServer]:
    """A server with a stream, s0, that has run long enough for a full playlist."""
    with HlsdServer(root, low_latency=True, env={"HLSD_HLS__PART": str(part)}) as server:
        command = [str(swarm.LOAD / "rtmpswarm"), server.rtmp("s%d"), "--publishers", "1", "--flv", str(film)]
        command += ["--seconds", str(4 * 3600)]
        publisher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WINDOW)
            yield server
        finally:
            publisher.terminate()
            publisher.wait(10)


def _play(server: HlsdServer, way: Way, seconds: float) -> dict[str, Any]:
    url = server.page("s0") if way.mode == "page" else server.hls("s0")
    return browser.play(url, way.program, way.mode, seconds, again=way.again)


def _latency(way: Way, said: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = said["edge_latency" if way.mode == "hlsjs" else "latency"]
    return found


def _write(plays: dict[Way, list[dict[str, Any]]], starts: int) -> bool:
    rows, verdicts, met = [], [], True
    for way, own in plays.items():
        p50 = statistics.median(_latency(way, said)["median"] for said in own)
        p95 = sorted(_latency(way, said)["p95"] for said in own)[min(len(own) - 1, int(0.95 * len(own)))]
        first = statistics.median(said["first_frame"] for said in own)
        after = statistics.median(said["first_frame"] - said["loaded"] for said in own)
        stalls = sum(len(said["stalls"]) for said in own)
        errors = sum(len(said["errors"]) for said in own)
        rows.append(
            [
                str(way),
                f"{p50:.2f}",
                f"{p95:.2f}",
                f"{first:.2f}",
                f"{after:.2f}",
                f"{min(said['first_frame'] for said in own):.2f}–{max(said['first_frame'] for said in own):.2f}",
                f"{stalls}",
                f"{errors}",
            ]
        )
        for what, value, target in (
            ("p50 of latency", p50, way.p50),
            ("p95 of latency", p95, way.p95),
            (f"first picture {first:.2f} s after the page was asked for, after its `load` event", after, way.first),
        ):
            if target is not None:
                met &= value <= target
                verdicts.append(
                    f"{rows[-1][0]}: {what} {value:.2f} s (target {target}): {'met' if value <= target else 'missed'}."
                )
    head = ["player", "latency p50 s", "p95 s", "first picture s", "after `load` s", "min–max", "stalls", "errors"]
    table = report.table(head, rows)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{starts} starts of each, a new browser each time, in turns; one stream of 360p30, a key picture each "
                "second, from a file. Latency: hls.js's own figure for hls.js as it comes, by the date of the picture "
                "for our page; p50 is the median of the starts' medians, p95 is of the starts' 95th percentiles. First "
                "picture: medians, from when the page was asked for, and from its `load` event. Written by "
                "`make bench`."
            ),
            "",
            table,
            "",
            *(f"- {line}" for line in verdicts),
            "",
            *machine.section(),
        ]
    )
    raw = {
        str(way): [
            {key: said[key] for key in ("latency", "edge_latency", "first_frame", "loaded", "stalls", "errors")}
            for said in own
        ]
        for way, own in plays.items()
    }
    page = report.write(NAME, text, {}, raw)
    print(f"\n{table}\n")
    print("\n".join((*verdicts, f"written to {page}")))
    return met
