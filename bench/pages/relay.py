"""What a hop costs: a chain of three hlsd servers on loopback, joined by pushes or by pulls.

A film is published to the first; each server relays it to the next, and pushes what it has to the generator as well,
which notes when each picture arrives. The same picture has the same bytes at every hop, so its delay from one server to
the next is the difference of two arrivals in one process, by one clock. The first figure, from the publisher's
socket to the first server's push, is for comparison: it has the generator's own sending in it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx

from bench import machine, report
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.server import PublishRequested, ServerConnection
from hlsd.ingest.rtmp_push import RtmpPush
from hlsd.publishing.publish import SET_DATA_FRAME, Source
from hlsd.publishing.tagger import SCRIPT, VIDEO, Tag
from tests.support.footage import Film
from tests.support.server import HlsdServer

NAME = "relay"
TITLE = "Relay: what a hop adds"
COUNTS = (3,)
TARGET = 50.0
"""Milliseconds a hop may add, median."""
LINKS = {
    "push": "RTMP push",
    "rtmp": "RTMP pull",
    "flv": "HTTP-FLV pull",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: milliseconds from each server to the next."""

    link: str
    hop: int
    pictures: int
    p50: float
    p99: float


class Listener(asyncio.Protocol):
    """Takes one push and notes the first arrival of each picture under the stream's name, as soon as it is there."""

    def __init__(self, arrivals: dict[str, dict[bytes, float]]) -> None:
        self._arrivals = arrivals
        self._at: dict[bytes, float] = {}
        self._conversation = ServerConnection(time.monotonic())
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A server comes."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, received: bytes) -> None:
        """Bytes of the push."""
        assert self._transport is not None
        now = time.monotonic()
        while True:
            for event in self._conversation.receive_data(received, now):
                if isinstance(event, PublishRequested):
                    self._at = self._arrivals.setdefault(event.name, {})
                    self._conversation.accept_publish(now)
                elif isinstance(event, Message) and event.type_id == VIDEO and event.body[1] == 1:
                    self._at.setdefault(event.body[5:], now)
            if not self._conversation.more:
                break
            received = b""
        self._transport.write(self._conversation.data_to_send())


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the target is met."""
    if only and "hlsd" not in only:
        print("the relay is measured of hlsd only")
        return True
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = Film(seconds=seconds + 4, width=640, height=360, rate=25, gop=50, bitrate=800_000).make(Path(folder))
        tags = list(Source(film).tags())
        for number in range(rounds):
            for link, words in LINKS.items():
                for count in counts:
                    measured = asyncio.run(_chain(tags, link, count, Path(folder) / f"{link}{number}"))
                    runs += measured
                    shown = ", ".join(f"hop {one.hop} p50 {one.p50:.1f} p99 {one.p99:.1f} ms" for one in measured)
                    print(f"round {number + 1}/{rounds}  {words}: {shown}", flush=True)
    return _write(runs, seconds, rounds)


async def _chain(tags: Sequence[Tag], link: str, count: int, folder: Path) -> list[Run]:
    arrivals: dict[str, dict[bytes, float]] = {}
    listener = await asyncio.get_running_loop().create_server(lambda: Listener(arrivals), "127.0.0.1", 0)
    port = int(listener.sockets[0].getsockname()[1])
    servers = [HlsdServer(folder / str(place), env={"HLSD_SERVER__ID": f"s{place}"}) for place in range(count)]
    started: list[HlsdServer] = []
    try:
        for place, server in enumerate(servers):
            _configure(server, place, servers, link, port)
            await asyncio.to_thread(server.start)
            started.append(server)
        sent = await _publish(servers[0].rtmp("film"), servers[-1].hls("film"), tags)
    finally:
        for server in started:
            await asyncio.to_thread(server.stop)
        listener.close()
    stages = [sent, *(arrivals.get(f"film{place}", {}) for place in range(count))]
    runs: list[Run] = []
    for hop in range(1, len(stages)):
        before, after = stages[hop - 1], stages[hop]
        waits = sorted(1000 * (after[body] - before[body]) for body in after if body in before)
        if len(waits) < 10:
            raise RuntimeError(f"{LINKS[link]}: hop {hop} brought {len(waits)} pictures")
        runs.append(Run(link, hop, len(waits), statistics.median(waits), waits[int(0.99 * len(waits))]))
    return runs


def _configure(server: HlsdServer, place: int, servers: Sequence[HlsdServer], link: str, listener: int) -> None:
    """Each pushes to the listener under a name of its own; the link to its neighbour is a push or a pull."""
    rules = [("push", f"rtmp://127.0.0.1:{listener}/live/{{stream}}{place}")]
    if link == "push" and place + 1 < len(servers):
        rules.append(("push", f"rtmp://127.0.0.1:{servers[place + 1].rtmp_port}/live/{{stream}}"))
    elif link != "push" and place:
        origin = servers[place - 1]
        rtmp = f"rtmp://127.0.0.1:{origin.rtmp_port}/live/{{stream}}"
        flv = f"http://127.0.0.1:{origin.http_port}/live/{{stream}}.flv"
        rules.append(("static", rtmp if link == "rtmp" else flv))
    server.command()  # makes its folder
    rule = '[[relay]]\nmode = "{}"\nmatch = "live/film"\nurl = "{}"\nbackoff = [0.1, 0.3]\n'
    (server.state / "hlsd.toml").write_text("".join(rule.format(*each) for each in rules))


async def _publish(rtmp: str, last: str, tags: Sequence[Tag]) -> dict[bytes, float]:
    """Sends the film at its own pace; when each picture was in the socket."""
    sent: dict[bytes, float] = {}
    push = await RtmpPush.connect(rtmp)
    start = time.monotonic() - tags[0].time / 1000
    try:
        for kind, at, body in tags:
            await asyncio.sleep(max(0.0, start + at / 1000 - time.monotonic()))
            await push.send(kind, at, SET_DATA_FRAME + body if kind == SCRIPT else body)
            if kind == VIDEO:
                sent[body[5:]] = time.monotonic()
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.get(last)
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"the last server answers {answer.status_code}")
    finally:
        await push.close()
    return sent


def _write(runs: Sequence[Run], seconds: float, rounds: int) -> bool:
    rows: list[list[str]] = []
    worst = 0.0
    for link, words in LINKS.items():
        for hop in sorted({one.hop for one in runs}):
            these = [one for one in runs if one.link == link and one.hop == hop]
            p50 = statistics.median(one.p50 for one in these)
            p99 = statistics.median(one.p99 for one in these)
            worst = max(worst, p50) if hop > 1 else worst
            where = "publisher to server 1" if hop == 1 else f"server {hop - 1} to server {hop}"
            rows.append([f"{words}, {where}", f"{sum(one.pictures for one in these)}", f"{p50:.1f}", f"{p99:.1f}"])
    met = worst <= TARGET
    verdict = f"A hop adds at most {worst:.1f} ms (p50); target {TARGET:.0f} ms: {'met' if met else 'missed'}."
    the_table = report.table(["link", "pictures", "p50 ms", "p99 ms"], rows)
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{rounds} runs of {seconds:.0f} s for each kind of link: a chain of three servers on loopback, one "
                "stream of 640x360 at 25 frames/s. The time between two servers is that between the arrivals of the "
                "same picture, pushed by each of them to the generator. All on one machine, nothing pinned. "
                "Written by `python -m bench relay`."
            ),
            "",
            the_table,
            "",
            f"- {verdict}",
            "- Publisher to server 1 has the generator's own sending in it, and one more push.",
            "",
            *machine.section(),
        ]
    )
    page = report.write(NAME, text, {}, [{name: getattr(one, name) for name in Run.__slots__} for one in runs])
    print(f"\n{the_table}\n\n{verdict}\nwritten to {page}")
    return met
