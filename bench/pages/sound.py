"""What it costs to turn sound into AAC: processor time for each codec, how many streams a core has room for, the delay.

A sound process, a converter for each publisher and `Intake` as in a server, in this process; publishers send films of
real encoders at their own pace. The processor time is that of the sound process; what the loop pays for a packet is
measured beside it. The delay is how much of the sound that has come in has not come out when its packet is answered,
and the time until it is: what the frame and the encoder's look ahead hold back, and the process. At last the process is
killed under twenty publishers: how long silence stands in for their sound.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog

from bench import machine, report
from hlsd.base.clock import SystemClock
from hlsd.ingest.intake import Intake
from hlsd.media import aac, aac_silence, flv
from hlsd.media.unit import AccessUnit, Kind
from hlsd.sound.converter import RECORDS
from hlsd.sound.service import SoundService
from hlsd.sound.settings import SoundSettings
from tests.support.clicks import BY_FOURCC, PLAIN, ClickFilm, missing
from tests.support.collected import Collected, Tag

NAME = "sound"
TITLE = "Sound: what becomes AAC, and at what price"
COUNTS = (24,)
"""Publishers at once of each codec: about half of what the process has room for. Few keep it so idle that its waking
costs more than its work."""
KILLED: Final = 20
"""Publishers under whom the process is killed."""
BACK_TARGET: Final = 1.0
"""Seconds until all of them are heard again."""
FILM: Final = 20
CPU_TARGET: Final = 0.025
"""Of a core, for a stream."""
DELAY_TARGET: Final = 64.0
"""Milliseconds, of 99 in 100 packets."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: seconds of a core for a second of sound in the process and in the loop; milliseconds."""

    codec: str
    streams: int
    cpu: float
    loop: float
    p50: float
    p99: float
    wait99: float
    """Of the time between handing a packet over and its answer."""


_SILENCE: Final = [aac_silence.silent_frame(aac.read_record(record)) for record in RECORDS.values()]


class _Timed(Collected):
    """Notes when sound comes out, and up to which time of the source's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[tuple[float, float]] = []
        self.heard = 0.0
        """When a frame came out last that is not silence."""

    def unit(self, unit: AccessUnit) -> None:
        if unit.kind is Kind.AUDIO:
            now = time.monotonic()
            self.out.append((unit.dts / 90_000 + 1024 / 48_000, now))
            if unit.payload not in _SILENCE:
                self.heard = now


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met, or nothing can be measured here.

    `counts` are publishers at once, `only` codecs.
    """
    if reason := missing():
        print(f"sound is not measured: {reason}")
        return True
    codecs = [codec for codec in (*PLAIN, *BY_FOURCC) if not only or codec in only]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        films = {codec: ClickFilm(codec, FILM, busy=True).tags(Path(folder)) for codec in codecs}
        for number in range(rounds):
            for count in counts:
                for codec, tags in films.items():
                    one = asyncio.run(_measure(codec, tags, count, min(seconds, FILM - 2)))
                    runs.append(one)
                    print(f"round {number + 1}/{rounds}  {_words(one)}", flush=True)
        back = [asyncio.run(_killed(films[codecs[0]])) for _ in range(rounds)]
        print(f"killed under {KILLED} streams of {codecs[0]}: all heard again after {max(back):.2f} s", flush=True)
    return _write(runs, seconds, rounds, max(back))


def _words(one: Run) -> str:
    return (
        f"{one.codec}: {one.streams} streams, {1000 * one.cpu:.1f} ms/s in the process, {1000 * one.loop:.1f} in the "
        f"loop, delay p50 {one.p50:.0f} p99 {one.p99:.0f} ms"
    )


async def _measure(codec: str, tags: list[Tag], count: int, seconds: float) -> Run:
    desk = SoundService(SoundSettings(), SystemClock(), structlog.get_logger())
    sound = [tag for tag in tags if tag[0] == flv.AUDIO]  # metadata would announce a picture
    try:
        warm = Intake(Collected(), time.monotonic(), patience=0.0, sound=desk)
        for tag in sound[:40]:
            warm.tag(*tag, time.monotonic(), time.time())
        while not desk.process.ready or desk.process.under_way:
            await asyncio.sleep(0.01)
        warm.close()
        await asyncio.sleep(0.2)
        begun, loop_begun = desk.stats.cpu, time.process_time()
        delays: list[float] = []
        gap = _gap(sound)
        await asyncio.gather(*[_publish(desk, sound, seconds, gap * n / count, delays) for n in range(count)])
        loop = time.process_time() - loop_begun
        cpu = (desk.stats.cpu - begun) / 1e9
        wait = _quantile(desk.stats.wait.bounds, desk.stats.wait.counts, 0.99)
    finally:
        await desk.stop(1.0)
    delays.sort()
    return Run(
        codec=codec,
        streams=count,
        cpu=cpu / count / seconds,
        loop=loop / count / seconds,
        p50=1000 * statistics.median(delays),
        p99=1000 * delays[int(len(delays) * 0.99)],
        wait99=1000 * wait,
    )


def _gap(tags: Sequence[Tag]) -> float:
    """Seconds from a packet to the next one.

    Publishers begin spread over it: a packet of 128 ms costs a millisecond, and of 24 that all come within 20 ms the
    last one waits for the others, which no crowd of real ones does in each packet.
    """
    times = [ms for _, ms, _ in tags]
    return statistics.median(later - earlier for earlier, later in pairwise(times) if later > earlier) / 1000


async def _killed(tags: list[Tag]) -> float:
    """Seconds from the process's end until each of its streams has sound again."""
    desk = SoundService(SoundSettings(), SystemClock(), structlog.get_logger())
    sound = [tag for tag in tags if tag[0] == flv.AUDIO]
    heard = [_Timed() for _ in range(KILLED)]
    delays: list[float] = []
    try:
        async with asyncio.timeout(FILM):  # a publisher that fails, or sound that does not come back, ends it
            playing = [
                asyncio.create_task(_publish(desk, sound, FILM - 2, n / KILLED / 50, delays, one))
                for n, one in enumerate(heard)
            ]
            await _until(lambda: all(one.heard for one in heard), playing)
            await asyncio.sleep(2.0)  # all of them are under way then, and none begins
            begun = time.monotonic()
            os.kill(desk.process.pid, signal.SIGKILL)
            await _until(lambda: not desk.process.ready, playing)  # what it had answered is still on its way
            gone = time.monotonic()
            await _until(lambda: all(one.heard > gone for one in heard), playing)
            back = max(one.heard for one in heard) - begun
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
    finally:
        await desk.stop(1.0)
    return back


async def _until(told: Callable[[], bool], playing: Sequence[asyncio.Task[None]]) -> None:
    """Returns when it is so. Raises what a publisher has raised."""
    while not told():
        for task in playing:
            if task.done():
                task.result()
        await asyncio.sleep(0.002)


async def _publish(  # noqa: PLR0913, PLR0917 - what a publisher is
    desk: SoundService,
    tags: list[Tag],
    seconds: float,
    later: float,
    delays: list[float],
    collected: _Timed | None = None,
) -> None:
    """One publisher at its own pace; adds the delays of its packets."""
    await asyncio.sleep(later)
    collected = collected or _Timed()
    begin = time.monotonic()
    intake = Intake(collected, begin, patience=0.0, sound=desk)
    sent: list[tuple[float, float]] = []
    for kind, ms, body in tags:
        if ms / 1000 > seconds:
            break
        await asyncio.sleep(max(0.0, begin + ms / 1000 - time.monotonic()))
        now = time.monotonic()
        intake.tag(kind, ms, body, now, time.time())
        if kind == flv.AUDIO:
            sent.append((ms / 1000, now))
    while desk.process.under_way:
        await asyncio.sleep(0.01)
    intake.close()
    # Where a packet ends the next one begins. What comes out stands behind the publication's first tick.
    out = [(end - Collected.origin / 90_000, at) for end, at in collected.out]
    arrivals = [at for _, at in out]
    for (_, handed), (end, following) in pairwise(sent[20:]):
        newest = bisect_left(arrivals, following) - 1
        if newest >= 0:
            delays.append(end - out[newest][0] + max(0.0, out[newest][1] - handed))


def _quantile(bounds: tuple[float, ...], counts: list[int], part: float) -> float:
    """The upper bound of the bucket in which that part of all lies."""
    left = part * sum(counts)
    for bound, count in zip(bounds, counts, strict=False):
        left -= count
        if left <= 0:
            return bound
    return float("inf")


def _write(runs: list[Run], seconds: float, rounds: int, back: float) -> bool:
    codecs = list(dict.fromkeys(one.codec for one in runs))
    rows, worst_cpu, worst_delay = [], 0.0, 0.0
    for codec in codecs:
        own = [one for one in runs if one.codec == codec]
        cpu, loop = (statistics.median(getattr(one, name) for one in own) for name in ("cpu", "loop"))
        p50, p99 = (statistics.median(getattr(one, name) for one in own) for name in ("p50", "p99"))
        worst_cpu, worst_delay = max(worst_cpu, cpu), max(worst_delay, p99)
        shares = [f"{60 * cpu:.2f}", f"{100 * cpu:.2f} %", f"{1 / cpu:.0f}", f"{100 * loop:.2f} %"]
        rows.append([codec, *shares, f"{p50:.0f}", f"{p99:.0f}"])
    head = ["sound", "CPU s a stream-minute", "of a core", "streams a core", "in the loop", "p50 ms", "p99 ms"]
    table = report.table(head, rows)
    met = worst_cpu <= CPU_TARGET and worst_delay <= DELAY_TARGET and back <= BACK_TARGET
    said = (
        f"{rounds} runs of {min(seconds, FILM - 2):g} s for each codec, {runs[0].streams} publishers at once at their "
        "own pace, films of real encoders with tones, noise and clicks. *Of a core* is the sound process; "
        "*in the loop* is the server's share, with the sending of this program in it. The delay is what is missing of "
        "the sound that has come in once its packet is answered, and the time until it is: ms of 50 and of 99 in 100 "
        f"packets. Written by `python -m bench {NAME}`."
    )
    costs = f"- The dearest takes {100 * worst_cpu:.2f} % of a core; target {100 * CPU_TARGET:.1f} %: {{}}."
    delay = (
        f"- The longest delay is {worst_delay:.0f} ms (p99); target {DELAY_TARGET:.0f} ms: {{}}. Of that 43 to 64 ms "
        "are libavcodec's: a frame of AAC is 21 ms, its window overlaps with the next one, and the encoder looks one "
        "more ahead; where packets are not in step with frames that alone is 63.8 ms at p99. The rest is the "
        "resampler's filter (0.4 ms of 44.1 kHz, 2 of 8 kHz) and the process."
    )
    again = f"- Killed under {KILLED} streams: all heard again after {back:.2f} s; target {BACK_TARGET:g} s: {{}}."
    verdicts = [
        costs.format("met" if worst_cpu <= CPU_TARGET else "missed"),
        delay.format("met" if worst_delay <= DELAY_TARGET else "missed"),
        again.format("met" if back <= BACK_TARGET else "missed"),
    ]
    text = "\n".join([f"# {TITLE}", "", said, "", table, "", *verdicts, "", *machine.section()])
    report.write(NAME, text, {}, [asdict(one) for one in runs])
    print(table)
    return met
