"""What a publisher costs: server CPU per stream-minute and memory per stream, beside nginx-rtmp in the same run.

Each measurement is a fresh server, pinned to core 0, and a load generator on core 1 that publishes N streams of
720p30 at 3 Mbit/s. CPU is read from /proc by the generator over the measured seconds only, after the ramp; memory is
the resident size at the end less that of the idle server, divided by N. Rounds alternate between the servers, so that
a disturbance of the machine meets all of them; the table shows medians.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import machine, report, swarm
from bench.peers import Hlsd, Nginx, Peer, resident
from tests.support.footage import Film

NAME = "ingest"
TITLE = "Ingest: what a publisher costs"
FILM = Film(seconds=30, width=1280, height=720, rate=30, gop=60, bitrate=2_900_000, noise=24)
COUNTS = (1, 20, 50)
TARGET_RATIO, TARGET_RSS = 2.0, 20.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. CPU seconds per stream-minute, MiB per stream; `faults` says why it does not count."""

    peer: str
    count: int
    cpu: float
    rss: float
    idle_rss: float
    end_rss: float
    core: float
    mbit: float
    backlog_p99_ms: float
    faults: tuple[str, ...]


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met (or could not be judged)."""
    swarm.build()
    peers: list[type[Peer]] = []
    left_out = []
    for peer in (Hlsd, Nginx):
        if only and peer.name not in only:
            continue
        why = peer.missing()
        if why:
            left_out.append(f"{peer.name} was left out: {why}")
        else:
            peers.append(peer)
    for line in left_out:
        print(line)
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        print(f"encoding {FILM.seconds:.0f} s of 720p30", flush=True)
        film = FILM.make(Path(folder))
        rate = 8 * film.stat().st_size / FILM.seconds / 1e6
        runs = _measure(film, peers, counts, seconds, rounds)
    return _write(runs, [peer.name for peer in peers], counts, (seconds, rounds, rate), left_out)


def _measure(film: Path, peers: Sequence[type[Peer]], counts: Sequence[int], seconds: float, rounds: int) -> list[Run]:
    runs = []
    for number in range(rounds):
        for count in counts:
            for peer in peers:
                one = _one(peer, film, count, seconds)
                runs.append(one)
                print(
                    f"round {number + 1}/{rounds}  {one.peer:<11} {count:>3} streams  {one.cpu:.4f} CPU s/stream-min  "
                    f"{one.rss:6.2f} MiB/stream  core {100 * one.core:.1f} %  {' '.join(one.faults)}",
                    flush=True,
                )
    return runs


def _one(peer: type[Peer], film: Path, count: int, seconds: float) -> Run:
    ramp = min(5.0, max(2.0, count / 10))
    with peer(core=0) as server:
        idle = sum(resident(pid) for pid in server.pids())
        said = swarm.run(
            "rtmpswarm",
            [server.rtmp("s%d"), "--publishers", str(count), "--flv", str(film), "--ramp", str(ramp)]
            + [word for pid in server.pids() for word in ("--server-pid", str(pid))],
            seconds=seconds,
        )
    faults = [f"{said[key]} {key}" for key in ("closed", "refused", "stream_errors", "connect_errors") if said[key]]
    if said["running_at_end"] != count:
        faults.append(f"{said['running_at_end']} of {count} ran at the end")
    if said.get("warning"):
        faults.append(str(said["warning"]))
    end = said["server"]["rss_end_mib"] * MIB
    return Run(
        peer=peer.name,
        count=count,
        cpu=said["server_cpu_s_per_stream_minute"],
        rss=(end - idle) / count / MIB,
        idle_rss=idle / MIB,
        end_rss=end / MIB,
        core=said["server"]["cpu_core_ratio"],
        mbit=said["mbit_per_s"],
        backlog_p99_ms=said["backlog_ms"].get("p99", 0.0),
        faults=tuple(faults),
    )


def _write(
    runs: Sequence[Run],
    peers: Sequence[str],
    counts: Sequence[int],
    how: tuple[float, int, float],
    left_out: Sequence[str],
) -> bool:
    def median(peer: str, count: int, figure: Callable[[Run], float]) -> float | None:
        values = [figure(one) for one in runs if one.peer == peer and one.count == count]
        return statistics.median(values) if values else None

    cpu = {peer: [median(peer, count, lambda one: one.cpu) for count in counts] for peer in peers}
    rss = {peer: [median(peer, count, lambda one: one.rss) for count in counts] for peer in peers}
    rows = []
    for index, count in enumerate(counts):
        for peer in peers:
            own = [one for one in runs if one.peer == peer and one.count == count]
            spread = f"{min(one.cpu for one in own):.3f}–{max(one.cpu for one in own):.3f}"
            base = cpu.get("nginx-rtmp", [None] * len(counts))[index]
            mine = cpu[peer][index]
            ratio = f"{mine / base:.2f}×" if mine is not None and base else "–"
            rows.append(
                [
                    f"{count}",
                    peer,
                    f"{mine:.4f}",
                    spread,
                    ratio,
                    f"{rss[peer][index]:.2f}",
                    f"{100 * (median(peer, count, lambda one: one.core) or 0):.1f} %",
                    f"{median(peer, count, lambda one: one.idle_rss):.1f}",
                    f"{median(peer, count, lambda one: one.backlog_p99_ms):.0f}",
                ]
            )
    head = ["publishers", "server", "CPU s / stream-min", "min–max", "of nginx-rtmp", "RSS MiB / stream"]
    head += ["of a core", "idle RSS MiB", "backlog p99 ms"]
    the_table = report.table(head, rows)
    verdicts, met = _verdicts(cpu, rss, counts)
    faults = [f"{one.peer}, {one.count} publishers: {fault}" for one in runs for fault in one.faults]
    seconds, rounds, rate = how
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{FILM.width}x{FILM.height} at {FILM.rate} frames/s, {rate:.2f} Mbit/s with sound, key frame every "
                f"{FILM.gop / FILM.rate:.0f} s, H.264 and AAC over RTMP; MPEG-TS in segments of 2 s. "
                f"Medians of {rounds} runs of {seconds:.0f} s, a fresh server each, server on core 0, load on core 1. "
                "hlsd: six segments listed and six more kept, no parts; nginx-rtmp: one worker, `hls on`, "
                "`hls_fragment 2s`, into memory. Written by `make bench`."
            ),
            "",
            the_table,
            "",
            *(f"- {line}" for line in (*verdicts, *left_out)),
            "",
            "![CPU per stream-minute](ingest-cpu.svg)",
            "",
            "![Memory per stream](ingest-rss.svg)",
            "",
            "Nobody watches: hlsd then keeps access units and muxes nothing, nginx-rtmp writes its files all the same.",
            "What a watched stream costs stands in [the house](../architecture.md).",
            "",
            "CPU is user and system time of the server's processes over the measured seconds. Memory per stream is",
            "(resident at the end - resident when idle) / publishers; nginx-rtmp keeps its segments in files,",
            "which its resident size does not count, hlsd keeps them in the process. Its window holds 24 s: a shorter",
            "run shows less memory than a stream ends up with.",
            "",
            *(["## Disturbed runs", "", *(f"- {fault}" for fault in faults), ""] if faults else []),
            *machine.section(),
        ]
    )
    labels = [f"{count} publishers" for count in counts]
    charts = {
        "ingest-cpu": report.Chart("Server CPU per stream-minute", "seconds, lower is better", labels, cpu),
        "ingest-rss": report.Chart("Memory per stream", "MiB, lower is better", labels, rss),
    }
    page = report.write(NAME, text, charts, [asdict(one) for one in runs])
    print(f"\n{the_table}\n")
    print("\n".join((*verdicts, *faults, f"written to {page}")))
    return met


def _verdicts(
    cpu: dict[str, list[float | None]], rss: dict[str, list[float | None]], counts: Sequence[int]
) -> tuple[list[str], bool]:
    said = []
    met = True
    if "hlsd" in cpu and "nginx-rtmp" in cpu and 20 in counts:
        at = list(counts).index(20)
        mine, base = cpu["hlsd"][at], cpu["nginx-rtmp"][at]
        if mine is not None and base:
            good = mine / base <= TARGET_RATIO
            met &= good
            verdict = "met" if good else "missed"
            target = f"target {TARGET_RATIO:.0f}×: {verdict}"
            said.append(f"At 20 publishers hlsd takes {mine / base:.2f}× the CPU of nginx-rtmp ({target}).")
    if "hlsd" in rss:
        worst = max((value for value in rss["hlsd"] if value is not None), default=0.0)
        good = worst <= TARGET_RSS
        met &= good
        verdict = "met" if good else "missed"
        said.append(f"hlsd takes at most {worst:.1f} MiB a stream (target {TARGET_RSS:.0f} MB: {verdict}).")
    return said, met
