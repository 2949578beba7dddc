"""What cameras, vehicles and bad lines cost: terminals of JT/T 1078, publishers by SRT, and how late SRT hands on.

Terminals and publishers are of real clients' bytes: pictures of x264 in packets of Table 19, and libsrt in ffmpeg. The
peer is srt-live-transmit, which receives the same and throws it away. The delay is libsrt's, over a TUN pair of 40 ms
that loses nothing: from the packet's entry into the caller to where the server takes media out of it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx

from bench import machine, report
from bench.lossy import LossyPath, missing
from hlsd.ingest.mpeg.items import MpegPicture
from tests.support.encoders import current_ffmpeg
from tests.support.footage import Film
from tests.support.jt1078 import I_FRAME, P_FRAME, Terminal
from tests.support.ports import free_port
from tests.support.server import HlsdServer, usage
from tests.support.tsfilm import demuxed

NAME = "transports"
TITLE = "Transports: what terminals and publishers by SRT cost"
COUNTS = (500,)
"""Terminals."""
CALLERS: Final = 10
"""Publishers by SRT."""
FILM: Final = Film(seconds=30, width=1280, height=720, rate=30, gop=60, bitrate=2_900_000, noise=24)
PICTURES: Final = 15
"""A second, of a terminal."""
DRIVE: Final = Film(seconds=8, width=352, height=288, rate=PICTURES, gop=30, bitrate=400_000, noise=24)
"""What a terminal sees: 400 kbit/s."""
DELAY: Final = 0.04
TARGET_CORE, TARGET_LATE = 1.0, 0.010
"""Of a core, for all terminals; seconds beyond the one way, at the median."""
PACED: Final = 0.9
"""Of the bit rate must have come; x264 keeps it on average."""
BYTES: Final = "hlsd_stream_ingest_bytes_total"
_SERVER_CORE, _LOAD_CORE = "0", "1"


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: `core`: share of a core while it lasted; `late`: seconds beyond the one way, sorted."""

    work: str
    who: str
    count: int
    core: float
    arrived: float
    late: tuple[float, ...] = ()


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:  # noqa: ARG001
    """Measures, writes the page, prints the table; True if the targets are met (or could not be judged)."""
    runs: list[Run] = []
    left_out = [f"the delay was left out: {reason}"] if (reason := missing() or _no_tools()) else []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as name:
        folder = Path(name)
        picture, drive = FILM.make(folder), DRIVE.make(folder)
        for _ in range(rounds):
            runs += [_terminals(folder, drive, counts[0], seconds), _callers(folder, picture, seconds)]
            if not _no_tools():
                runs.append(_peer(picture, seconds))
            if not left_out:
                runs.append(_delay(min(seconds, 8.0)))
            print(*(f"{one.work}, {one.who}: {one.core:.3f}" for one in runs[-4:]), sep="\n", flush=True)
    return _write(runs, seconds, rounds, left_out)


def _no_tools() -> str:
    return "" if shutil.which("srt-live-transmit") else "srt-tools is not installed"


@contextmanager
def _server(folder: Path, env: dict[str, str]) -> Iterator[HlsdServer]:
    with (
        tempfile.TemporaryDirectory(dir=folder) as state,
        HlsdServer(Path(state), env=env, prefix=["taskset", "-c", _SERVER_CORE]) as server,
    ):
        yield server


def _share(pid: int, seconds: float) -> float:
    before, begun = usage(pid).cpu, time.monotonic()
    time.sleep(seconds)
    return (usage(pid).cpu - before) / (time.monotonic() - begun)


def _terminals(folder: Path, drive: Path, count: int, seconds: float) -> Run:
    port = free_port()
    env = {"HLSD_JT1078__PORT": str(port), "HLSD_JT1078__BIND": "127.0.0.1"}
    env |= {"HLSD_JT1078__MAX_TERMINALS_PER_IP": "0", "HLSD_LIMITS__MAX_STREAMS": "2000"}
    with _server(folder, env) as server:
        command = ["taskset", "-c", _LOAD_CORE, sys.executable, "-m", __name__, str(drive), f"{port}", f"{count}"]
        load = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            assert load.stdout is not None
            load.stdout.readline()  # all are on
            before, begun = _figure(server, BYTES), time.monotonic()
            core = _share(server.process.pid, seconds)
            octets, lasted = _figure(server, BYTES) - before, time.monotonic() - begun
            there = _figure(server, "hlsd_streams")
        finally:
            load.terminate()
            load.wait()
    # A load that cannot keep up with the clock sends less, and would flatter the server.
    paced = octets * 8 / lasted / (count * DRIVE.bitrate)
    return Run("JT/T 1078", "hlsd", count, core, min(there / count, paced / PACED))


def _figure(server: HlsdServer, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=server.bearer, timeout=20).text
    rows = [line.rpartition(" ") for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] == name]
    return sum(float(value) for _, _, value in rows)


def _pictures(drive: Path) -> list[bytes]:
    command = [str(current_ffmpeg()), "-v", "error", "-i", str(drive), "-map", "0:v", "-c", "copy", "-f", "mpegts", "-"]
    octets = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
    return [item.data for item in demuxed(octets) if isinstance(item, MpegPicture)]


async def _load(pictures: list[bytes], port: int, count: int) -> None:
    """So many terminals, each with its own phase, at the pace of the clock."""
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    terminals = [Terminal(sim=f"{13_900_000_000 + number}") for number in range(count)]
    step = 1 / PICTURES
    begun = time.monotonic()
    for number in range(1 << 30):
        picture = pictures[number % len(pictures)]
        kind = I_FRAME if number % len(pictures) % DRIVE.gop == 0 else P_FRAME
        for place, (terminal, (_, writer)) in enumerate(zip(terminals, pairs, strict=True)):
            writer.write(b"".join(terminal.frame(kind, 98, round(number * step * 1000), picture)))
            if place % 25 == 24:  # spread over the picture's time
                due = begun + step * (number + place / count)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        if number == 2 * PICTURES:
            print("on", flush=True)


def _callers(folder: Path, picture: Path, seconds: float) -> Run:
    port = free_port()
    with _server(folder, {"HLSD_SRT__PORT": str(port), "HLSD_SRT__BIND": "127.0.0.1"}) as server, ExitStack() as stack:
        for number in range(CALLERS):
            stack.enter_context(
                _caller(picture, f"srt://127.0.0.1:{port}?streamid=publish:live/s{number}&latency=120000")
            )
        time.sleep(4)
        core = _share(server.process.pid, seconds)
        there = _figure(server, "hlsd_streams")
    return Run("SRT", "hlsd", CALLERS, core, there / CALLERS)


@contextmanager
def _caller(picture: Path, url: str) -> Iterator[None]:
    command = ["taskset", "-c", _LOAD_CORE, str(current_ffmpeg()), "-v", "error", "-nostdin", "-re"]
    command += ["-stream_loop", "-1", "-i", str(picture), "-c", "copy", "-f", "mpegts", url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as caller:
        try:
            yield
        finally:
            caller.kill()


def _peer(picture: Path, seconds: float) -> Run:
    """A process for each publisher, which is all that srt-live-transmit can."""
    with ExitStack() as stack:
        peers: list[subprocess.Popen[bytes]] = []
        for _ in range(CALLERS):
            port = free_port()
            command = [
                "taskset",
                "-c",
                _SERVER_CORE,
                "srt-live-transmit",
                "-q",
                f"srt://127.0.0.1:{port}?mode=listener",
            ]
            peers.append(
                subprocess.Popen([*command, "file://con"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            )
            stack.callback(peers[-1].wait)
            stack.callback(peers[-1].kill)
            time.sleep(0.1)
            stack.enter_context(_caller(picture, f"srt://127.0.0.1:{port}?latency=120000"))
        time.sleep(4)
        before, begun = [usage(one.pid).cpu for one in peers], time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - begun
        core = sum(usage(one.pid).cpu - was for one, was in zip(peers, before, strict=True)) / lasted
    return Run("SRT", "srt-live-transmit", CALLERS, core, 1.0)


def _delay(seconds: float) -> Run:
    with LossyPath(delay=DELAY, loss=0.0, rate=100e6) as path:
        within = ["nsenter", f"--net=/proc/{path.near}/ns/net", sys.executable, "-m", "bench.srt_delay"]
        done = subprocess.run([*within, f"{path.far}", f"{seconds}"], capture_output=True, text=True, check=True)
    late = json.loads(done.stdout.splitlines()[-1])
    return Run("SRT delay", "hlsd", 1, 0.0, 1.0, tuple(sorted(one - DELAY for one in late)))


def _write(runs: Sequence[Run], seconds: float, rounds: int, left_out: Sequence[str]) -> bool:
    rows, verdicts, met = [], list[str](), True
    for work, who in dict.fromkeys((one.work, one.who) for one in runs if not one.late):
        own = [one for one in runs if (one.work, one.who) == (work, who)]
        core = statistics.median(one.core for one in own)
        spread = f"{min(one.core for one in own):.3f}–{max(one.core for one in own):.3f}"
        arrived = min(one.arrived for one in own)
        rows.append([f"{work}, {who}", f"{own[0].count}", f"{core:.3f}", spread, f"{1000 * core / own[0].count:.2f}"])
        if arrived < 1:
            verdicts.append(f"{work}, {who}: only {arrived:.0%} were on air, or sent at their pace")
            met = False
        if work == "JT/T 1078":
            met &= core < TARGET_CORE
            verdicts.append(f"{own[0].count} terminals take {core:.2f} of a core (target: under {TARGET_CORE:.0f})")
    late = sorted(value for one in runs for value in one.late)
    if late:
        p50, p99 = statistics.median(late), late[int(0.99 * len(late))]
        met &= p50 <= TARGET_LATE
        verdicts.append(
            f"SRT without loss: handed on {1000 * p50:.1f} ms after the one way at the median, {1000 * p99:.1f} ms at "
            f"p99, of {len(late)} packets (target: median at most {1000 * TARGET_LATE:.0f} ms)"
        )
    about = (
        f"`python -m bench transports`. Terminals: x264 of {DRIVE.width}x{DRIVE.height}, {PICTURES} pictures a second "
        "and 400 kbit/s, without sound, by TCP. "
        f"Publishers by SRT: 720p30 of 3 Mbit/s, libsrt in ffmpeg. Server on core 0, load on core 1, {rounds} runs of "
        f"{seconds:.0f} s. srt-live-transmit is a process for each, and does nothing with what comes."
    )
    table = report.table(["", "at once", "of a core", "min–max", "thousandths of a core each"], rows)
    lines = [f"- {one}" for one in (*verdicts, *left_out)]
    text = "\n".join([f"# {TITLE}", "", about, "", table, "", *lines, "", *machine.section()])
    raw = [asdict(one) | {"late": list(one.late[:: max(1, len(one.late) // 100)])} for one in runs]
    page = report.write(NAME, text, {}, raw)
    print(f"\n{table}\n", *lines, f"written to {page}", sep="\n")
    return met


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(_load(_pictures(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])))
