"""A real Prometheus over a real hlsd with real publishers and viewers, and the questions that dashboards ask it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx

from bench import swarm
from tests.support.broadcast import wait_for, wait_for_playlist
from tests.support.encoders import Publishing, current_ffmpeg, system_ffmpeg
from tests.support.ports import free_port
from tests.support.server import CHECKOUT, HlsdServer

RULES = CHECKOUT / "conf" / "prometheus"
BOARDS = CHECKOUT / "grafana" / "dashboards"
WINDOW = "15s"
"""What stands for $__rate_interval and for the windows of rules: scrapes are a second apart here."""
CMCD = ("CMCD-Request: bl=2100,mtp=4800", "CMCD-Status: bs,rtp=9000", 'CMCD-Session: sid="swarm"')


def missing() -> str | None:
    """Why it cannot run here, or None."""
    for tool in ("prometheus", "promtool", "gcc", "make"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    return None


class Prometheus:
    """The program, scraping `target` once a second by our rules; a context manager."""

    def __init__(self, folder: Path, target: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        rules = (RULES / "hlsd.rules.yml").read_text()
        # A quarter of an hour in a few seconds: windows and patience are shorter, thresholds of time too.
        rules = re.sub(r"\[\d+m\]", f"[{WINDOW}]", rules).replace("interval: 5s", "interval: 1s")
        rules = rules.replace("last_media_timestamp_seconds > 10", "last_media_timestamp_seconds > 3")
        rules = re.sub(r"for: \S+", "for: 2s", rules)
        (folder / "hlsd.rules.yml").write_text(rules)
        config = (RULES / "prometheus.yml").read_text().replace("127.0.0.1:8000", target)
        (folder / "prometheus.yml").write_text(re.sub(r"interval: \d+s", "interval: 1s", config))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self.folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'series'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_for("Prometheus", self._ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        if error is not None:
            error.add_note((self.folder / "prometheus.log").read_text(errors="replace")[-3000:])

    def query(self, ask: str, at: float) -> list[dict[str, Any]]:
        """What an expression yields at `at`, seconds since the epoch; AssertionError if it is not understood."""
        return self._get("query", query=ask, time=at)

    def over(self, ask: str, begin: float, end: float, step: float = 1.0) -> list[dict[str, Any]]:
        """What it yielded from `begin` to `end`, seconds since the epoch."""
        return self._get("query_range", query=ask, start=begin, end=end, step=step)

    def alerts(self) -> dict[tuple[str, str], str]:
        """State of each active alert, by name and stream."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/alerts", timeout=10).json()
        return {
            (alert["labels"]["alertname"], alert["labels"].get("stream", "")): alert["state"]
            for alert in answer["data"]["alerts"]
        }

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _get(self, what: str, **fields: Any) -> list[dict[str, Any]]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/{what}", params=fields, timeout=10).json()
        assert answer["status"] == "success", (fields, answer)
        return cast("list[dict[str, Any]]", answer["data"]["result"])


@dataclass(frozen=True, slots=True)
class Ask:
    """One expression of a panel or a rule, ready to be put to Prometheus."""

    where: str
    title: str
    text: str
    legend: str = ""


def panels(board: Path) -> Iterator[tuple[dict[str, Any], list[Ask]]]:
    """The panels of a dashboard with what they ask."""
    for panel in json.loads(board.read_text())["panels"]:
        if panel["type"] != "row":
            asks = [
                Ask(board.stem, panel["title"], _filled(target["expr"]), target["legendFormat"])
                for target in panel["targets"]
            ]
            yield panel, asks


def rules() -> list[Ask]:
    """What the rules ask; comparisons yield 0 or 1 instead of nothing, so that it shows whether there is data."""
    text = (RULES / "hlsd.rules.yml").read_text()
    found = re.findall(
        r"- (?:alert|record): (\S+)\n\s+expr: (?:>-\n)?((?:.|\n)*?)(?=\n\s+(?:for|labels|- )|\n\n|\Z)", text
    )
    asks = []
    for name, ask in found:
        line = re.sub(r"\[\d+m\]", f"[{WINDOW}]", re.sub(r"\s+", " ", ask).strip())
        asks.append(Ask("rules", name, re.sub(r" (>|==) ", r" \1 bool ", line)))
    return asks


def _filled(ask: str) -> str:
    ask = ask.replace("$__rate_interval", WINDOW)
    return re.sub(r'"\$(?:job|instance|app|stream)"', '".*"', ask)


class Load:
    """Two publishers and their viewers; `reports` are those of the swarms that have ended."""

    def __init__(self, server: HlsdServer, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self.publishers: dict[str, Publishing] = {}

    def publish(self, name: str) -> Publishing:
        """A small test picture with sound, until it is ended."""
        program = system_ffmpeg() or current_ffmpeg()
        command = [
            *(program, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=15"),
            *("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "300"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", "-b:a", "48k", "-f", "flv", self.server.rtmp(name)),
        ]
        self.publishers[name] = Publishing(command, self._folder / f"{name}.log")
        return self.publishers[name]

    def watch(
        self, name: str, viewers: int, seconds: float, *more: str, reports: Sequence[str] = CMCD
    ) -> dict[str, Any]:
        """Viewers that report by CMCD; the swarm's own figures."""
        headers = [argument for header in reports for argument in ("--header", header)]
        return swarm.run(
            "llswarm",
            [self.server.hls(name), "--viewers", str(viewers), "--ramp", "1", *headers, *more],
            seconds=seconds,
            core=None,
        )

    def knock(self, name: str, times: int) -> list[int]:
        """Viewers who come at once; the statuses that they get."""
        with httpx.Client() as client:
            return [client.get(self.server.hls(name)).status_code for _ in range(times)]


class CountedServer(HlsdServer):
    """As it runs, with the figures of unused rooms counted by hand."""

    def command(self) -> list[str]:
        plain = super().command()
        return [sys.executable, "-m", "tests.support.counted_server", *plain[plain.index("-c") :]]


@contextmanager
def scene(folder: Path, streams: Sequence[str] = ("cam", "hall")) -> Iterator[tuple[Load, Prometheus]]:
    """A server with publishers on the air, and a Prometheus that scrapes it."""
    swarm.build()
    environment = {
        "HLSD_SESSIONS__IDLE_TIMEOUT": "2",
        "HLSD_SESSIONS__MAX_SESSIONS": "30",
        "HLSD_RTMP__IDLE_TIMEOUT": "120",
    }
    with ExitStack() as stack:
        server = stack.enter_context(CountedServer(folder / "hlsd", target=1, low_latency=True, env=environment))
        load = Load(server, folder)
        for name in streams:
            stack.enter_context(load.publish(name))
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", f"127.0.0.1:{server.http_port}"))
        for name in streams:
            wait_for_playlist(server.hls(name))
        yield load, prometheus


def settle(seconds: float) -> None:
    """Lets a few scrapes go by: rates are made of them."""
    time.sleep(seconds)
