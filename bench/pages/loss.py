"""What loss on the way costs viewers, by congestion control: low-latency parts, and a whole segment to begin with.

A server in one network namespace, a viewer in another one, and `bench.lossy` between them. The stream has parts of
0.334 s in segments of 4 s. A witness beside the server reloads the same playlist over loopback: when it reads that a
part is there, the part's time begins; it ends with the last byte at the viewer, who asks for each part ahead by its
hint and takes one after the other, as on one connection. All clocks are the machine's monotonic one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from bench import machine, report
from bench.lossy import NEAR, LossyPath, enter, missing
from hlsd.net.congestion import BETTER
from tests.support.footage import Film
from tests.support.llcheck import Playlist, parse
from tests.support.playlistcheck import parse_attributes
from tests.support.server import HlsdServer

NAME = "loss"
TITLE = "Loss: what congestion control is worth to viewers"
STANDS: Final = -1
STALL: Final = 0.1
"""Seconds at most that such a path stands still, twice a second on average: radio, a busy access point."""
COUNTS = (0, 1, 3, STANDS)
"""Packets lost of a hundred, both ways; the last is a path without loss that stands still at times."""
DELAY: Final = 0.04
RATE: Final = 20e6
QUEUE: Final = 0.2
BITRATE: Final = 3_000_000
PICTURE: Final = 2_600_000
"""What the encoder is asked for; the sound and what it takes more come on top."""
SEGMENT: Final = 4
JOINS: Final = 4
"""Viewers who come, one after the other, and fetch one segment each by a connection of their own."""
PATIENCE: Final = 30.0
"""Seconds until such a viewer gives up."""
TARGET: Final = 334.0
"""Milliseconds within which half of the parts must come at 1 % by what hlsd prefers: beyond it viewers fall behind."""

Key = tuple[int, int]
"""A part: the number of its segment, and its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. Milliseconds; `missed`: parts that had left the playlist before the viewer came to them."""

    control: str
    loss: int
    parts: int
    missed: int
    p50: float
    p95: float
    worst: float
    joins: list[float]
    """Of a segment on a fresh connection, its handshake included."""
    segment_bytes: int


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the target is met, or nothing can be measured here.

    `counts` is the loss in percent, `only` congestion controls; all that the kernel has otherwise.
    """
    if reason := missing():
        print(f"loss is not measured: {reason}")
        return True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    controls = [name for name in sorted(available) if not only or name in only]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = Film(seconds=8, width=480, height=270, rate=25, gop=50, bitrate=PICTURE, noise=120).make(Path(folder))
        for number in range(rounds):
            for loss in counts:
                for control in controls:
                    one = _one(film, control, loss, seconds, seed=number + 1)
                    runs.append(one)
                    print(f"round {number + 1}/{rounds}  {_words(one)}", flush=True)
    return _write(runs, seconds, rounds)


def _words(one: Run) -> str:
    joins = ", ".join(f"{join:.0f}" for join in one.joins)
    return (
        f"{one.control}, {_path(one.loss)}: {one.parts} parts, p50 {one.p50:.0f} ms, p95 {one.p95:.0f} ms, "
        f"max {one.worst:.0f} ms, {one.missed} missed; segments of {one.segment_bytes} bytes in {joins} ms"
    )


def _path(loss: int) -> str:
    return f"0 %, stalls to {1000 * STALL:.0f} ms" if loss == STANDS else f"{loss} %"


def _one(film: Path, control: str, loss: int, seconds: float, seed: int) -> Run:
    context = multiprocessing.get_context("spawn")
    # namespaces of their own for each run: a kernel remembers of an address what it was like
    stall = STALL if loss == STANDS else 0.0
    with LossyPath(delay=DELAY, loss=max(loss, 0) / 100, rate=RATE, queue=QUEUE, stall=stall, seed=seed) as path:
        ours, theirs = zip(*(context.Pipe() for _ in range(2)), strict=True)
        server = context.Process(target=_serve, args=(path.near, film, control, theirs[0]), daemon=False)
        server.start()
        viewer = None
        try:
            url = _heard(ours[0], 60)
            viewer = context.Process(target=_view, args=(path.far, url, seconds, theirs[1]), daemon=True)
            viewer.start()
            got, joins, size = _heard(ours[1], seconds + 60 + JOINS * PATIENCE)
            ours[0].send("enough")
            there: dict[Key, float] = _heard(ours[0], 30)
        finally:
            ours[0].close()  # what ends the server, if nothing has
            server.join(30)
            server.kill()
            if viewer is not None:
                viewer.kill()
    waits = sorted(1000 * (at - there[key]) for key, at in got.items() if key in there)
    return Run(
        control=control,
        loss=loss,
        parts=len(waits),
        missed=sum(min(got) < key < max(got) for key in there if key not in got),
        p50=statistics.median(waits),
        p95=waits[int(0.95 * len(waits))],
        worst=waits[-1],
        joins=joins,
        segment_bytes=size,
    )


def _heard(pipe: Connection, within: float) -> Any:  # noqa: ANN401 - what the two agreed on
    if not pipe.poll(within):
        raise TimeoutError("a process of the measurement says nothing")
    said = pipe.recv()
    if isinstance(said, Exception):
        raise said
    return said


# In the server's namespace.


def _serve(namespace: int, film: Path, control: str, pipe: Connection) -> None:
    enter(namespace)
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as root:
        server = HlsdServer(Path(root), target=SEGMENT, low_latency=True, env={"HLSD_HTTP__CONGESTION": control})
        with server:
            held = httpx.get(f"http://127.0.0.1:{server.http_port}/api/v1/server", headers=server.bearer).json()
            if held["data"]["congestion"]["http"] != control:
                pipe.send(RuntimeError(f"the kernel does not give {control}"))
                return
            command = [sys.executable, "-m", "hlsd", "publish", str(film), server.rtmp("film"), "--loop"]
            publisher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                asyncio.run(_witness(server.hls("film"), f"http://{NEAR}:{server.http_port}/live/film.m3u8", pipe))
            finally:
                publisher.kill()
                publisher.wait()


async def _witness(here: str, there: str, pipe: Connection) -> None:
    seen: dict[Key, float] = {}
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), enough.set)  # "enough", or its end
    follower = Follower(here)
    while not enough.is_set():
        try:
            await follower.open()
            break
        except (httpx.HTTPStatusError, httpx.TransportError):
            await asyncio.sleep(0.1)
    told = False
    while not enough.is_set():
        await follower.reload()
        for key in follower.listed:
            seen.setdefault(key, follower.at)
        if not told and len(follower.now.finished) >= 2:
            told = True
            pipe.send(there)
    await follower.close()
    pipe.send(seen)


# In the viewer's namespace.


def _view(namespace: int, url: str, seconds: float, pipe: Connection) -> None:
    enter(namespace)
    try:
        pipe.send(asyncio.run(_watch(url, seconds)))
    except Exception as error:  # noqa: BLE001 - it is for the parent to raise
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


async def _watch(url: str, seconds: float) -> tuple[dict[Key, float], list[float], int]:
    follower = Follower(url)
    await follower.open()
    got: dict[Key, float] = {}
    until = time.monotonic() + seconds

    async def reload() -> None:
        while True:
            await follower.reload()

    reloading = asyncio.create_task(reload())
    await _take(follower, got, until)
    reloading.cancel()
    await asyncio.gather(reloading, return_exceptions=True)
    joins, size = [], 0
    for _ in range(JOINS):
        await follower.refresh()
        segment = follower.now.finished[-1].uri
        begin = time.monotonic()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await client.get(urljoin(follower.url, segment))
                size = len(answer.raise_for_status().content)
            except TimeoutError:
                pass
        joins.append(1000 * (time.monotonic() - begin))
    await follower.close()
    return got, joins, size


async def _take(follower: Follower, got: dict[Key, float], until: float) -> None:
    """Takes parts in order from the newest on, each asked for as soon as the one before is there."""
    last = max(follower.parts)
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        while time.monotonic() < until:
            later = [key for key in follower.parts if key > last]
            if not later:
                follower.news.clear()
                await follower.news.wait()
                continue
            last = min(later)
            answer = await client.get(urljoin(follower.url, follower.parts[last]))
            if answer.status_code == 200:
                got[last] = time.monotonic()
            elif answer.status_code != 404:  # a hint whose segment ended before it
                answer.raise_for_status()


def _write(runs: Sequence[Run], seconds: float, rounds: int) -> bool:
    head = ["loss", "congestion control", "parts", "p50 ms", "p95 ms", "max ms", "missed", "segment p50 s", "worst s"]
    rows = []
    found: dict[tuple[int, str], list[Run]] = {}
    for one in runs:
        found.setdefault((one.loss, one.control), []).append(one)
    medians: dict[tuple[int, str], float] = {}
    for (loss, control), same in found.items():
        p50, p95 = (statistics.median(getattr(one, name) for one in same) for name in ("p50", "p95"))
        medians[loss, control] = p50
        joins = [join / 1000 for one in same for join in one.joins]
        rows.append(
            [
                _path(loss),
                control,
                f"{sum(one.parts for one in same)}",
                f"{p50:.0f}",
                f"{p95:.0f}",
                f"{max(one.worst for one in same):.0f}",
                f"{sum(one.missed for one in same)}",
                f"{statistics.median(joins):.1f}",
                f"{max(joins):.1f}",
            ]
        )
    the_table = report.table(head, rows)
    at_one = medians.get((1, BETTER))
    met = at_one is None or at_one <= TARGET
    if at_one is None:
        verdict = f"{BETTER} at 1 % was not measured."
    else:
        verdict = (
            f"With {BETTER} half of the parts come within {at_one:.0f} ms at 1 % loss; target {TARGET:.0f} ms, until "
            f"the next part is there: {'met' if met else 'missed'}."
        )
    size = statistics.median(one.segment_bytes for one in runs) / 1e6
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{rounds} {'run' if rounds == 1 else 'runs'} of {seconds:.0f} s for each line: one stream of "
                f"{BITRATE / 1e6:.0f} Mbit/s, parts of 0.334 s, segments of {SEGMENT} s ({size:.1f} MB). The server "
                f"stands in one network namespace, the viewer in another; between them {1000 * DELAY:.0f} ms each way, "
                f"{RATE / 1e6:.0f} Mbit/s with a queue of {1000 * QUEUE:.0f} ms, and packets lost both ways, at random "
                f"by a seed, or stalls of up to {1000 * STALL:.0f} ms, two a second. Written by `python -m "
                "bench loss`, which needs root, network namespaces and TUN, and says so where it cannot have them."
            ),
            "",
            the_table,
            "",
            f"- {verdict}",
            "- Parts: from when a reload beside the server lists the part to its last byte at the viewer, who asks",
            "  ahead and takes one after the other. None can come in less than 40 ms. Missed: parts that had left the",
            "  playlist before the viewer came to them.",
            "- Where fewer parts came than elsewhere the path carried less than the stream: whoever plays falls",
            "  further behind all the time, and the figures are those of the first seconds.",
            "- The process between the two has real-time priority: the path is not to be late because the machine is",
            "  busy.",
            "- Segment: the newest one, whole, by a new connection, its handshake included: what a viewer who comes",
            f"  waits for. After {PATIENCE:.0f} s he gives up.",
            "- What `http.congestion` chooses and why: [delivery](../delivery.md#loss-on-the-way).",
            "",
            *machine.section(),
        ]
    )
    page = report.write(NAME, text, {}, [{name: getattr(one, name) for name in Run.__slots__} for one in runs])
    print(f"\n{the_table}\n\n{verdict}\nwritten to {page}")
    return met


class Follower:
    """Reloads a media playlist, held until there is more. `parts` are those `listed` now, and the hinted one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.at = 0.0
        """When the newest playlist was read."""
        self.now = Playlist("")
        self.listed: dict[Key, str] = {}
        self.parts: dict[Key, str] = {}
        self.news = asyncio.Event()
        self._client = httpx.AsyncClient(timeout=PATIENCE)

    async def open(self) -> None:
        """Comes in. Raises httpx' errors while there is nothing."""
        top = (await self._client.get(self.url)).raise_for_status()
        self.url = str(top.url.join(top.text.splitlines()[-1]))
        await self.refresh()

    async def close(self) -> None:
        """Goes."""
        await self._client.aclose()

    async def reload(self) -> None:
        """Waits for the next part."""
        msn, part = self.now.edge
        await self._read(f"?_HLS_msn={msn}&_HLS_part={part}")

    async def refresh(self) -> None:
        """Reads what there is."""
        await self._read("")

    async def _read(self, query: str) -> None:
        parts = urlsplit(self.url)
        answer = (await self._client.get(f"{parts.scheme}://{parts.netloc}{parts.path}{query}")).raise_for_status()
        self.at = time.monotonic()
        self.now = parse(answer.text)
        self.listed = {(msn, number): part.uri for msn, number, part in self.now.parts()}
        self.parts = dict(self.listed)
        for hint in map(parse_attributes, self.now.hints):
            if hint["TYPE"] == "PART":
                self.parts[self.now.edge] = hint["URI"].strip('"')
        self.news.set()
