"""The server's own share of latency: from the access unit that closes a part to the playlist that lists it.

Ten streams are published in real time, and a hundred viewers wait with blocking reloads. The clock runs from the
moment the last byte of the closing access unit has entered the RTMP socket until the last byte of the held playlist
has been read by a viewer. Which access unit closed a part is told by the playlist itself: the end of its newest part,
by PROGRAM-DATE-TIME, is when that unit arrived, and units are a frame apart. The generator shares one process on a
core of its own; its own work for a hundred answers is in the figures.
"""

from __future__ import annotations

import asyncio
import bisect
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench import machine, report
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.publishing.publish import SET_DATA_FRAME, Source
from hlsd.publishing.tagger import SCRIPT, VIDEO, Tag
from tests.support.footage import Film
from tests.support.llcheck import Playlist, parse
from tests.support.server import HlsdServer

NAME = "latency"
TITLE = "Latency: what the server adds"
COUNTS = (10,)
VIEWERS = 100
TARGET_P50, TARGET_P99 = 5.0, 20.0
RAMP = 8.0
"""Seconds until the streams have their first playlists."""


@dataclass(slots=True)
class Publisher:
    """One stream under way; `sent` are the wall clock times at which its pictures were in the socket."""

    name: str
    sent: list[float]


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement, milliseconds."""

    streams: int
    viewers: int
    answers: int
    p50: float
    p99: float
    worst: float
    late_sends: int
    unmatched: int


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met."""
    if only and "hlsd" not in only:
        print("latency is measured of hlsd only")
        return True
    runs = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = Film(seconds=RAMP + seconds + 4, width=640, height=360, rate=30, gop=60, bitrate=800_000)
        print(f"encoding {film.seconds:.0f} s of 360p30", flush=True)
        path = film.make(Path(folder))
        for number in range(rounds):
            for count in counts:
                one = _one(path, count, seconds)
                runs.append(one)
                print(
                    f"round {number + 1}/{rounds}  {one.streams} streams, {one.viewers} viewers, "
                    f"{one.answers} answers: p50 {one.p50:.2f} ms, p99 {one.p99:.2f} ms, max {one.worst:.1f} ms",
                    flush=True,
                )
    return _write(runs, seconds, rounds)


def _one(film: Path, count: int, seconds: float) -> Run:
    prefix = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="hlsd-bench-") as root,
        HlsdServer(Path(root), low_latency=True, prefix=prefix) as server,
        context.Pool(1) as pool,  # a process of its own, so that it can be pinned
    ):
        return pool.apply(_measure, (film, server.rtmp("s%d"), server.hls("s%d"), count, seconds))


def _measure(film: Path, rtmp: str, hls: str, count: int, seconds: float) -> Run:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    return asyncio.run(_play(film, rtmp, hls, count, seconds))


async def _play(film: Path, rtmp: str, hls: str, count: int, seconds: float) -> Run:
    tags = list(Source(film).tags())
    publishers = [Publisher(f"s{number}", []) for number in range(count)]
    late: list[float] = []
    sending = [
        asyncio.ensure_future(_publish(one, rtmp % number, tags, number / count / 3, late))
        for number, one in enumerate(publishers)
    ]
    await asyncio.sleep(RAMP)
    until = time.monotonic() + seconds
    answers = await asyncio.gather(
        *(_watch(publishers[viewer % count], hls % (viewer % count), until) for viewer in range(VIEWERS))
    )
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    waits = sorted(1000 * wait for viewer in answers for wait in viewer if wait is not None)
    return Run(
        streams=count,
        viewers=VIEWERS,
        answers=len(waits),
        p50=statistics.median(waits),
        p99=waits[int(0.99 * len(waits))],
        worst=waits[-1],
        late_sends=len(late),
        unmatched=sum(wait is None for viewer in answers for wait in viewer),
    )


async def _publish(one: Publisher, url: str, tags: Sequence[Tag], after: float, late: list[float]) -> None:
    """Sends each tag when its time has come; `after` keeps the streams out of step, as they are in life."""
    await asyncio.sleep(after)
    push = await RtmpPush.connect(url)
    start = time.monotonic() - tags[0][1] / 1000
    try:
        for kind, at, body in tags:
            wait = start + at / 1000 - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -0.02:
                late.append(-wait)
            await push.send(kind, at, SET_DATA_FRAME + body if kind == SCRIPT else body)
            if kind == VIDEO:
                one.sent.append(time.time())
        await asyncio.sleep(60)
    finally:
        await push.close()


async def _watch(one: Publisher, url: str, until: float) -> list[float | None]:
    """Reloads as a low-latency player does; seconds from the closing access unit to each answer, None if unknown."""
    async with httpx.AsyncClient(timeout=20) as client:
        top = await client.get(url)
    variant = urlsplit(str(top.url.join(top.text.splitlines()[-1])))
    reader, writer = await asyncio.open_connection(variant.hostname, variant.port)
    waits: list[float | None] = []
    try:
        now = parse((await _get(reader, writer, variant.path, variant.netloc)).decode())
        while time.monotonic() < until:
            msn, part = now.edge
            query = f"?_HLS_msn={msn}&_HLS_part={part}"
            asked = time.time()
            body = await _get(reader, writer, variant.path + query, variant.netloc)
            got = time.time()
            now = parse(body.decode())
            if got - asked > 0.05:  # it did wait
                closed = _closing(one.sent, now)
                waits.append(None if closed is None else got - closed)
    finally:
        writer.close()
    return waits


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, host: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"{path}: {head[:40]!r}")
    return await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


def _closing(sent: Sequence[float], now: Playlist) -> float | None:
    """When the picture was sent whose arrival ended the newest part: the one nearest to the part's end."""
    last = now.segments[-1]
    date = next(line.partition(":")[2] for line in last.lines if line.startswith("#EXT-X-PROGRAM-DATE-TIME"))
    length = sum(part.duration for part in last.parts) if last.duration is None else last.duration
    end = datetime.fromisoformat(date).timestamp() + length
    at = bisect.bisect_left(sent, end)
    near = min(sent[max(0, at - 1) : at + 1], key=lambda moment: abs(moment - end), default=None)
    return near if near is not None and abs(near - end) < 0.016 else None


def _write(runs: Sequence[Run], seconds: float, rounds: int) -> bool:
    head = ["streams", "waiting viewers", "answers", "p50 ms", "p99 ms", "max ms", "sent late", "not matched"]
    rows = []
    for one in runs:
        figures = (f"{one.p50:.2f}", f"{one.p99:.2f}", f"{one.worst:.1f}", f"{one.late_sends}", f"{one.unmatched}")
        rows.append([f"{one.streams}", f"{one.viewers}", f"{one.answers}", *figures])
    p50, p99 = statistics.median(one.p50 for one in runs), statistics.median(one.p99 for one in runs)
    met = p50 <= TARGET_P50 and p99 <= TARGET_P99
    verdict = (
        f"The server adds {p50:.1f} ms (p50) and {p99:.1f} ms (p99); targets {TARGET_P50:.0f} and {TARGET_P99:.0f} ms: "
        f"{'met' if met else 'missed'}."
    )
    the_table = report.table(head, rows)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{rounds} runs of {seconds:.0f} s: 640x360 at 30 frames/s, parts of 0.334 s, server on core 0, "
                "publishers and viewers together on core 1. From the last byte of the access unit that closes a part "
                "entering the RTMP socket to the last byte of the held playlist read by a viewer. "
                "Written by `make bench`."
            ),
            "",
            the_table,
            "",
            f"- {verdict}",
            "- A part ends when the picture after it arrives: its duration is then known exactly. That wait of one",
            "  frame is the stream's, not the server's, and is not in these figures.",
            "",
            *machine.section(),
        ]
    )
    page = report.write(NAME, text, {}, [{name: getattr(one, name) for name in Run.__slots__} for one in runs])
    print(f"\n{the_table}\n\n{verdict}\nwritten to {page}")
    return met
