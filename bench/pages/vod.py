"""What it costs to make a film of a file: copied, and made anew, beside ffmpeg on the same file.

Turn by turn, hlsd's media process and one ffmpeg do the same: all packets into an MP4, or `sd` of the film with x264
veryfast, one thread, the same quality, key pictures and sound. Of hlsd it is the whole step of a job: a process of its
own that is shut in, the fragments, the full `moov` at the end. Compared are seconds of the processor, of medians.
"""

from __future__ import annotations

import compileall
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import hlsd
from bench import machine, report
from hlsd.vod.media import carry_out
from hlsd.vod.orders import MediaOrder
from hlsd.vod.plan import PlannedRendition, Probed, plan

NAME = "vod"
TITLE = "VOD: what it costs to make a film"
COUNTS = (600,)
"""Seconds of the film that is copied."""
ENCODED: Final = 20
"""Seconds of the film that is made anew."""
TARGETS: Final = {"copy": 0.5, "veryfast": 0.8}
"""Throughput of hlsd's by ffmpeg's."""


@dataclass(frozen=True, slots=True)
class Run:
    """One turn: seconds of the processor and of the clock, bytes that were written."""

    work: str
    who: str
    cpu: float
    wall: float
    bytes: int


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met, or nothing can be measured here."""
    if shutil.which("ffmpeg") is None:
        print("vod is not measured: there is no ffmpeg")
        return True
    runs: list[Run] = []
    compileall.compile_dir(Path(hlsd.__file__).parent, quiet=2)  # as pip does when it installs: children are begun anew
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as name:
        folder = Path(name)
        short = _film(folder / "short.mp4", min(ENCODED, int(seconds)))
        long = _looped(short, folder / "long.mp4", counts[0])
        for _ in range(rounds):
            for work, film in (("copy", long), ("veryfast", short)):
                if not only or work in only:
                    runs += [_timed(work, "hlsd", folder, film, _ours), _timed(work, "ffmpeg", folder, film, _ffmpeg)]
                    print(*runs[-2:], sep="\n", flush=True)
    return _write(runs, counts[0], rounds)


def _film(path: Path, seconds: int) -> Path:
    pictures = f"testsrc2=size=1280x720:rate=30:duration={seconds},noise=alls=12:allf=t"
    sound = f"sine=frequency=440:duration={seconds}"
    command = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-preset", "veryfast"]
    command += ["-b:v", "3M", "-maxrate", "3M", "-bufsize", "3M", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    _run([*command, str(path)])
    return path


def _looped(film: Path, path: Path, seconds: int) -> Path:
    _run(["-stream_loop", "-1", "-i", str(film), "-t", str(seconds), "-c", "copy", str(path)])
    return path


def _run(command: list[str]) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command], check=True, stdin=subprocess.DEVNULL)


def _timed(work: str, who: str, folder: Path, film: Path, do: Callable[[str, Path, Path], None]) -> Run:
    out = folder / "out.mp4"
    out.unlink(missing_ok=True)
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    do(work, film, out)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(work, who, cpu, wall, out.stat().st_size)


def _ours(work: str, film: Path, out: Path) -> None:
    """What the step `make` of a job does (`hlsd.vod.workshop`)."""
    source, target = os.open(film, os.O_RDONLY), os.open(out, os.O_RDWR | os.O_CREAT)
    try:
        # What a look at the film says is the same each time, and is no part of what ffmpeg does
        probed = Probed("mov", 0.0, "h264", 100, 31, "yuv420p", 1280, 720, 30.0, 0, False, False, "aac", 1, 44_100, 1)
        planned: list[PlannedRendition] = plan(probed, ["hd"] if work == "copy" else ["sd"])
        order = MediaOrder(
            "make", source, "mov", 1 << 30, 8 << 30, 3600, [target], planned, ident="1" * 23, app="vod"
        )  # fmt: skip
        carry_out(order, lambda: True, lambda _: None)
    finally:
        os.close(source)
        os.close(target)


def _ffmpeg(work: str, film: Path, out: Path) -> None:
    if work == "copy":
        _run(["-i", str(film), "-c", "copy", str(out)])
        return
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-maxrate", "1400k", "-bufsize", "2800k"]
    keys = ["-g", "60", "-sc_threshold", "0", "-threads:v", "1", "-vf", "scale=852:480:flags=bicubic"]
    _run(["-threads", "1", "-i", str(film), *encoder, *keys, "-c:a", "copy", str(out)])


def _write(runs: list[Run], length: int, rounds: int) -> bool:
    rows: list[list[str]] = []
    met, worst = True, list[str]()
    for work, target in TARGETS.items():
        cpu = {who: [one.cpu for one in runs if (one.work, one.who) == (work, who)] for who in ("hlsd", "ffmpeg")}
        if not cpu["hlsd"]:
            continue
        ours, theirs = (statistics.median(cpu[who]) for who in ("hlsd", "ffmpeg"))
        ratio = theirs / ours
        met &= ratio >= target
        worst.append(f"{work}: {ratio:.2f} × ffmpeg's throughput (target: at least {target})")
        spread = [f"{min(cpu[who]):.2f}–{max(cpu[who]):.2f}" for who in ("hlsd", "ffmpeg")]
        rows.append([work, f"{ours:.2f} ({spread[0]})", f"{theirs:.2f} ({spread[1]})", f"{ratio:.2f}"])
    about = (
        f"`python -m bench vod`. 720p30 of 3 Mbit/s with AAC; copied: {length} s of it; made anew: {ENCODED} s at most,"
        " as sd by x264 veryfast with one thread. Seconds of the processor, hlsd's and ffmpeg's in turns on the same"
        f" file: medians of {rounds} (least–most behind them). hlsd's is the media step of a job, process included."
    )
    table = report.table(["work", "hlsd CPU s", "ffmpeg CPU s", "throughput by ffmpeg's"], rows)
    text = "\n".join([f"# {TITLE}", "", about, "", table, "", *(f"- {one}" for one in worst), "", *machine.section()])
    report.write(NAME, text, {}, [asdict(one) for one in runs])
    print(table, *worst, sep="\n")
    return met
