"""What renditions cost: pictures made smaller, beside ffmpeg that does the same; and streams that come in qualities.

The first is the processor time of the child that decodes 720p30 once and encodes 480p and 360p, as the server's own
figures have it, and that of an ffmpeg with the same decoder, sizes, rates, preset and one thread, of the same film. The
second is what the server takes for publishers that are renditions of one stream, and for as many that are not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final

from bench import machine, report, swarm
from bench.pages.ingest import FILM
from bench.peers import Hlsd

NAME = "abr"
TITLE = "Renditions: what they cost"
COUNTS = (6,)
"""Publishers that are one stream's renditions."""
CORE_TARGET: Final = 0.3
"""Of a core, for 720p30 to 480p and 360p at veryfast."""
RATIO_TARGET: Final = 1.1
"""Of what ffmpeg takes for it."""
PROFILES: Final = {"480p": (480, 1_200_000), "360p": (360, 600_000)}


class LadderHlsd(Hlsd):
    """hlsd that makes two smaller renditions of each stream."""

    name: ClassVar[str] = "hlsd"
    env: ClassVar = {
        "HLSD_TRANSCODE__PROFILES": json.dumps(
            {
                name: {"height": height, "bitrate": rate, "preset": "veryfast"}
                for name, (height, rate) in PROFILES.items()
            }
        ),
        "HLSD_TRANSCODE__RULES": json.dumps([{"match": "live/*", "profiles": list(PROFILES)}]),
    }


class GroupHlsd(Hlsd):
    """hlsd to which the qualities of one stream come by themselves."""

    env: ClassVar = {
        "HLSD_HLS__GROUPS": json.dumps([{"match": "live/*", "members": [str(one) for one in range(1, COUNTS[0] + 1)]}])
    }


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: `what` was done by whom, in cores, or CPU seconds for a stream-minute."""

    what: str
    peer: str
    cost: float
    faults: tuple[str, ...] = ()


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:  # noqa: ARG001
    """Measures, writes the page, prints the tables; True if the targets are met (or could not be judged)."""
    swarm.build()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = FILM.make(Path(folder))
        measures: list[Callable[[], Run]] = [lambda: _encoded(film, seconds)]
        if shutil.which("ffmpeg"):
            measures.append(lambda: _by_ffmpeg(film, seconds))
        measures += [
            lambda: _published(Hlsd, "s%d", film, seconds),
            lambda: _published(GroupHlsd, "g_%d", film, seconds),
        ]
        for number in range(rounds):
            for measure in measures:
                runs.append(measure())
                print(f"round {number + 1}/{rounds}  {runs[-1]}", flush=True)
    return _write(runs, seconds, rounds)


def _swarm(server: Hlsd, name: str, count: int, film: Path, seconds: float) -> dict[str, float]:
    pids = [word for pid in server.pids() for word in ("--server-pid", str(pid))]
    asked = [server.rtmp(name), "--publishers", str(count), "--flv", str(film), "--ramp", "2", *pids]
    return swarm.run("rtmpswarm", asked, seconds=seconds)


def _faults(said: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{said[key]} {key}" for key in ("closed", "refused", "stream_errors", "connect_errors") if said[key])


def _encoded(film: Path, seconds: float) -> Run:
    """The child's processor time for the pictures that it has encoded, as if each second had `FILM.rate` of them."""
    with LadderHlsd(core=0) as server:
        said = _swarm(server, "s%d", 1, film, seconds)
        text = _metrics(server)
        cpu = _figure(text, r"hlsd_transcode_cpu_seconds_total")
        pictures = _figure(text, r'hlsd_transcode_pictures_total\{profile="480p"\}')
    return Run("720p30 to 480p and 360p", "hlsd", cpu / max(1.0, pictures) * FILM.rate, _faults(said))


def _by_ffmpeg(film: Path, seconds: float) -> Run:
    length = min(seconds, FILM.seconds)
    command = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    command += ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-t", str(length), "-i", str(film)]
    for height, rate in PROFILES.values():
        command += [
            "-map", "0:v", "-vf", f"scale=-2:{height}", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1",
            "-bf", "0", "-b:v", str(rate), "-maxrate", str(rate), "-bufsize", str(2 * rate), "-f", "null", "-",
        ]  # fmt: skip
    before = os.times()
    subprocess.run(command, check=True, timeout=60 + 10 * length)
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Run("720p30 to 480p and 360p", "ffmpeg", cpu / length)


def _published(peer: type[Hlsd], name: str, film: Path, seconds: float) -> Run:
    with peer(core=0) as server:
        said = _swarm(server, name, COUNTS[0], film, seconds)
    what = "publishers of one stream's renditions" if peer is GroupHlsd else "publishers of a stream each"
    return Run(f"{COUNTS[0]} {what}", "hlsd", said["server_cpu_s_per_stream_minute"], _faults(said))


def _metrics(server: Hlsd) -> str:
    request = urllib.request.Request(f"{server.base}/metrics", headers=server.bearer)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def _figure(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found is not None else 0.0


def _write(runs: Sequence[Run], seconds: float, rounds: int) -> bool:
    kinds = list(dict.fromkeys((one.what, one.peer) for one in runs))
    costs = {kind: [one.cost for one in runs if (one.what, one.peer) == kind] for kind in kinds}
    medians = {kind: statistics.median(own) for kind, own in costs.items()}
    unit = {kind: "of a core" if "720p30" in kind[0] else "CPU s / stream-min" for kind in kinds}
    rows = [
        [what, peer, f"{medians[what, peer]:.4f}", f"{min(own):.4f}–{max(own):.4f}", unit[what, peer]]
        for (what, peer), own in costs.items()
    ]
    table = report.table(["what", "who", "cost", "least–most", "unit"], rows)
    made, theirs = (medians.get(("720p30 to 480p and 360p", peer)) for peer in ("hlsd", "ffmpeg"))
    alone, grouped = (cost for kind, cost in medians.items() if "publishers" in kind[0])
    judged = [("720p30 to 480p and 360p, cores", made, CORE_TARGET)]
    if made is not None and theirs:
        judged.append(("of what ffmpeg takes for it", made / theirs, RATIO_TARGET))
    said = [
        f"- {words}: {value:.2f} (target {target:g} at most): {'met' if value <= target else 'missed'}."
        for words, value, target in judged
        if value is not None
    ]
    said.append(f"- A rendition that comes by itself costs {grouped / alone:.2f} of a stream of its own.")
    faults = [f"- {one.what}, {one.peer}: {fault}" for one in runs for fault in one.faults]
    how = (
        f"{FILM.width}x{FILM.height} at {FILM.rate} frames/s, 3 Mbit/s, noisy, H.264 and AAC over RTMP; no viewers. "
        f"Medians of {rounds} runs of {seconds:.0f} s, a fresh server each, with its child on core 0, load on core "
        "1. Encoding is counted per picture encoded, as if each second had thirty. ffmpeg reads the same film as fast "
        "as it can, one thread for each decoder and encoder. Written by `python -m bench abr`."
    )
    parts = [f"# {TITLE}", "", how, "", table, "", *said, ""]
    text = "\n".join(parts + (["## Disturbed runs", "", *faults, ""] if faults else []) + list(machine.section()))
    page = report.write(NAME, text, {}, [asdict(one) for one in runs])
    print(f"\n{table}\n", *said, *faults, f"written to {page}", sep="\n")
    return all(value is None or value <= target for _, value, target in judged)
