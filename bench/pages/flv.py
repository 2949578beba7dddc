"""How many viewers of FLV and RTMP a core carries, beside Node-Media-Server and nginx-rtmp in the same run.

Four publishers of 3 Mbit/s, the same number of viewers for every server, server on core 0, load on core 1. nginx-rtmp
has no HTTP-FLV. Viewers per core is what was delivered, in streams, divided by the share of a core that it took; a
server whose core was full delivers less than was asked, and is judged by what it delivered. hlsd and nginx-rtmp make
HLS beside it, Node-Media-Server does not.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench import machine, nms, report, swarm
from bench.peers import Nginx
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.server import HlsdServer

NAME = "flv"
TITLE = "FLV and RTMP: viewers per core"
COUNTS = (400,)
STREAMS = 4
BITRATE = 3.0
FILM = Film(seconds=20, width=640, height=360, rate=30, gop=60, bitrate=2_900_000, noise=40)
SERVERS = ("hlsd", "nginx-rtmp", "Node-Media-Server")
NMS_TARGET, NGINX_TARGET = 3.0, 0.8
WARM_UP = 3.0
"""Seconds from the publishers' start to the first viewer: every server has a whole GOP by then."""
CROWD, STOPPED = 1000, 50
"""Viewers of one stream, and how many of them stop reading at once."""
SMALL_FILM = Film(seconds=20, width=320, height=180, rate=30, gop=30, bitrate=900_000, noise=40)


class Served(NamedTuple):
    """A running server: where publishers and players go, where FLV is (empty if nowhere), whose CPU counts."""

    rtmp: str
    flv: str
    pid: int


def run(*, seconds: float, rounds: int, counts: Sequence[int] = COUNTS, only: Sequence[str] = ()) -> bool:
    """Measures, writes the page, prints the table; True if the targets are met."""
    swarm.build()
    if counts[0] < 50:  # the counts of publishers of another page
        counts = COUNTS
    names = [name for name in SERVERS if not only or name in only]
    for name, missing in (("nginx-rtmp", Nginx.missing), ("Node-Media-Server", nms.missing)):
        if name in names and (why := missing()):
            print(f"{NAME}: {name} left out: {why}")
            names.remove(name)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="hlsd-bench-") as folder:
        film = FILM.make(Path(folder))
        for number in range(rounds):
            for viewers in counts:
                for name in names:
                    rows += _measure(name, film, Path(folder) / f"{number}-{viewers}-{name}", viewers, seconds)
        crowd = _crowd(SMALL_FILM.make(Path(folder)), Path(folder) / "crowd", seconds)
    return _write(rows, names, counts, (seconds, rounds), crowd)


@contextmanager
def _server(name: str, root: Path) -> Iterator[Served]:
    with ExitStack() as stack:
        if name == "hlsd":
            env = {"HLSD_HTTP__MAX_CONNECTIONS_PER_IP": "0"}
            server = stack.enter_context(HlsdServer(root, env=env, prefix=["taskset", "-c", "0"]))
            http = f"http://127.0.0.1:{server.http_port}/live/s%d.flv"
            yield Served(server.rtmp("s%d"), http, server.process.pid)
        elif name == "nginx-rtmp":
            nginx = stack.enter_context(Nginx())
            yield Served(nginx.rtmp("s%d"), "", nginx.pids()[0])
        else:
            rtmp, web = free_port(), free_port()
            root.mkdir()
            process = nms.start(rtmp, web, root, prefix=["taskset", "-c", "0"])
            try:
                yield Served(f"rtmp://127.0.0.1:{rtmp}/live/s%d", f"http://127.0.0.1:{web}/live/s%d.flv", process.pid)
            finally:
                process.kill()
                process.wait()


def _measure(name: str, film: Path, root: Path, viewers: int, seconds: float) -> list[dict[str, Any]]:
    rows = []
    with _server(name, root) as served:
        command = ["taskset", "-c", "1", str(swarm.LOAD / "rtmpswarm"), served.rtmp, "--publishers", str(STREAMS)]
        command += ["--flv", str(film), "--seconds", str(4 * seconds + 120)]
        publishers = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        common = ["--streams", str(STREAMS), "--ramp", "4", "--server-pid", str(served.pid)]
        try:
            time.sleep(WARM_UP)
            for way in ("flv", "rtmp"):
                if way == "flv" and served.flv:
                    said = swarm.run("flvswarm", [served.flv, "--viewers", str(viewers), *common], seconds=seconds)
                elif way == "rtmp":
                    players = ["--play", served.rtmp, "--players", str(viewers)]
                    said = swarm.run("rtmpswarm", [*players, *common], seconds=seconds)
                else:
                    continue
                rows.append(_row(name, way, viewers, said))
                print(rows[-1], flush=True)
        finally:
            publishers.terminate()
            publishers.wait(10)
    return rows


def _crowd(film: Path, root: Path, seconds: float) -> dict[str, Any]:
    """`CROWD` viewers of one stream by HTTP-FLV, `STOPPED` of whom ask and never read."""
    with _server("hlsd", root) as served, ExitStack() as stack:
        command = ["taskset", "-c", "1", str(swarm.LOAD / "rtmpswarm"), served.rtmp, "--publishers", "1"]
        command += ["--flv", str(film), "--seconds", str(seconds + 120)]
        publisher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WARM_UP)
            address = urlsplit(served.flv)
            for _ in range(STOPPED):
                reader = stack.enter_context(socket.create_connection((address.hostname, address.port or 80)))
                reader.sendall(b"GET /live/s0.flv HTTP/1.1\r\nHost: h\r\n\r\n")
            viewers = ["--viewers", str(CROWD - STOPPED), "--streams", "1", "--gap", "0.5", "--ramp", "5"]
            said = swarm.run("flvswarm", [served.flv, *viewers, "--server-pid", str(served.pid)], seconds=seconds)
        finally:
            publisher.terminate()
            publisher.wait(10)
    print(said, flush=True)
    return said


def _row(name: str, way: str, viewers: int, said: dict[str, Any]) -> dict[str, Any]:
    server = said["server"]
    delivered = said["mbit_per_s"] / BITRATE
    return {
        "server": name,
        "way": way,
        "viewers": viewers,
        "delivered": delivered,
        "core": server["cpu_core_ratio"],
        "per_core": delivered / max(server["cpu_core_ratio"], 0.001),
        "gaps": said["timestamp_gaps"],
        "rss_mib": server["rss_max_mib"],
        "waited_s": server["waited_for_core_s"],
        "behind_p99_ms": (said.get("behind_ms") or {}).get("p99"),
    }


def _write(
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    counts: Sequence[int],
    how: tuple[float, int],
    crowd: dict[str, Any],
) -> bool:
    seconds, rounds = how
    table, verdicts, met = [], [], True
    per_core: dict[tuple[str, str, int], float] = {}
    for viewers in counts:
        for way in ("flv", "rtmp"):
            for name in names:
                own = [row for row in rows if (row["server"], row["way"], row["viewers"]) == (name, way, viewers)]
                if not own:
                    continue

                def middle(key: str, own: Sequence[dict[str, Any]] = own) -> float:
                    return float(statistics.median(row[key] for row in own))

                per_core[name, way, viewers] = middle("per_core")
                table.append(
                    [
                        f"{name}, {'HTTP-FLV' if way == 'flv' else 'RTMP'}",
                        f"{viewers}",
                        f"{middle('delivered'):.0f}",
                        f"{100 * middle('core'):.0f} %",
                        f"{middle('per_core'):,.0f}",
                        f"{sum(row['gaps'] for row in own)}",
                        f"{middle('rss_mib'):.0f}",
                        f"{middle('waited_s'):.1f}",
                    ]
                )
            for name, target in (("Node-Media-Server", NMS_TARGET), ("nginx-rtmp", NGINX_TARGET)):
                theirs, ours = per_core.get((name, way, viewers)), per_core.get(("hlsd", way, viewers))
                if theirs and ours:
                    good = ours / theirs >= target
                    met &= good
                    verdicts.append(
                        f"{'HTTP-FLV' if way == 'flv' else 'RTMP'}, {viewers} viewers: {ours / theirs:.1f}× {name} "
                        f"(target {target}): {'met' if good else 'missed'}."
                    )
    head = ["server", "viewers", "delivered", "of a core", "viewers per core", "gaps", "RSS MiB", "waited for core s"]
    text = "\n".join(
        [
            f"# {TITLE}",
            "",
            (
                f"{STREAMS} streams of {BITRATE:.0f} Mbit/s (H.264 at 30 fps, AAC); medians of {rounds} runs of "
                f"{seconds:.0f} s, server on core 0, load on core 1. Viewers per core is what was delivered, in "
                "streams, divided by the share of a core that it took."
            ),
            "",
            report.table(head, table),
            "",
            *(f"- {line}" for line in verdicts),
            "",
            "![Viewers per core](flv-viewers.svg)",
            "",
            "## Readers who stop",
            "",
            (
                f"{CROWD} viewers of one stream of 1 Mbit/s by HTTP-FLV, {STOPPED} of whom ask and never read: the "
                f"others counted {crowd['timestamp_gaps']} gaps of more than 0.5 s; the server took "
                f"{100 * crowd['server']['cpu_core_ratio']:.0f} % of its core and at most "
                f"{crowd['server']['rss_max_mib']:.0f} MiB."
            ),
            "",
            *machine.section(),
        ]
    )
    ways = {"HTTP-FLV": "flv", "RTMP": "rtmp"}
    series = {label: [per_core.get((name, way, counts[0])) for name in names] for label, way in ways.items()}
    chart = report.Chart("Viewers of 3 Mbit/s on one core", "viewers, higher is better", list(names), series)
    page = report.write(NAME, text, {"flv-viewers": chart}, {"runs": list(rows), "crowd": crowd})
    print("\n" + report.table(head, table) + "\n")
    print("\n".join((*verdicts, f"written to {page}")))
    return met and not crowd["timestamp_gaps"]
