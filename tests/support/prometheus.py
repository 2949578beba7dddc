"""A real Prometheus over a real hlsd with real publishers and viewers, and the questions that dashboards ask it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urljoin

import httpx

from bench import swarm
from hlsd.auth import sign
from hlsd.delivery.tls.certificate import write_self_signed
from tests.support.broadcast import wait_for_playlist
from tests.support.encoders import Publishing, current_ffmpeg, system_ffmpeg
from tests.support.eventually import eventually_here
from tests.support.ports import free_port
from tests.support.receiver import Receiver
from tests.support.server import CHECKOUT, HlsdServer

RULES = CHECKOUT / "conf" / "prometheus"
BOARDS = CHECKOUT / "grafana" / "dashboards"
WINDOW = "15s"
"""What stands for $__rate_interval and for the windows of rules: scrapes are a second apart here."""
CMCD = ("CMCD-Request: bl=2100,mtp=4800", "CMCD-Status: bs,rtp=9000", 'CMCD-Session: sid="swarm"')

SECRET = "a secret for tests"
JUMPY = "jumpy"
JUMPS = ("-vf", "setpts=PTS+floor(T/4)*3/TB", "-af", "asetpts=PTS+floor(T/4)*3/TB")
"""An encoder whose clock leaps by three seconds every four."""

TALK = "talk"
MP3 = ("-c:a", "libmp3lame", "-ar", "44100")
"""An encoder whose sound becomes AAC."""


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
        config = (RULES / "prometheus.yml").read_text().replace("127.0.0.1:9464", target)
        (folder / "prometheus.yml").write_text(re.sub(r"interval: \d+s", "interval: 1s", config))
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

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
        eventually_here(self._ready, what="Prometheus")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
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
        answer = self._client.get("/api/v1/alerts").json()
        return {
            (alert["labels"]["alertname"], alert["labels"].get("stream", "")): alert["state"]
            for alert in answer["data"]["alerts"]
        }

    def _ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _get(self, what: str, **fields: Any) -> list[dict[str, Any]]:
        answer = self._client.get(f"/api/v1/{what}", params=fields).json()
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
        asks.append(Ask("rules", name, re.sub(r" (>|<|==) ", r" \1 bool ", line)))
    return asks


def _filled(ask: str) -> str:
    ask = ask.replace("$__rate_interval", WINDOW)
    return re.sub(r'"\$(?:job|instance|app|stream)"', '".*"', ask)


class Load:
    """Publishers, their viewers, and the `receiver` of what happens to them; who watches must show a sign."""

    def __init__(self, server: HlsdServer, folder: Path, receiver: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self._folder = folder
        self.publishers: dict[str, Publishing] = {}

    @property
    def figures(self) -> str:
        """Where they are read: on a port of their own, as conf/prometheus/prometheus.yml has it."""
        return f"http://127.0.0.1:{self.server.env['HLSD_METRICS__PORT']}/metrics"

    def url(self, name: str, secret: str = SECRET) -> str:
        """Where a viewer begins who has been given a sign."""
        return f"{self.server.hls(name)}?sign={sign.make(f'/live/{name}', int(time.time()) + 3600, secret)}"

    def publish(self, name: str, *more: str) -> Publishing:
        """A small test picture with sound, until it is ended; `more` for the encoder."""
        program = system_ffmpeg() or current_ffmpeg()
        command = [
            *(program, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=160x90:rate=15"),
            *("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "300"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", "-b:a", "48k", *more, "-f", "flv", self.server.rtmp(name)),
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
            [self.url(name), "--viewers", str(viewers), "--ramp", "1", *headers, *more],
            seconds=seconds,
            core=None,
        )

    def knock(self, name: str, times: int, url: str | None = None) -> list[int]:
        """Viewers who come at once; the statuses that they get."""
        with httpx.Client() as client:
            return [client.get(url or self.url(name)).status_code for _ in range(times)]

    def rush(self, name: str, many: int) -> list[int]:
        """Viewers who come all at once: each of them may have to wait for the next part."""
        limits = httpx.Limits(max_connections=many)
        with httpx.Client(timeout=30, limits=limits) as client, ThreadPoolExecutor(many) as pool:
            return list(pool.map(lambda _: client.get(self.url(name)).status_code, range(many)))

    def roam(self, name: str) -> int:
        """A viewer who comes from one address and goes on from another; the status that it gets there."""
        with httpx.Client() as home:
            text = home.get(self.url(name)).text
        way = next(line for line in text.splitlines() if line and not line.startswith("#"))
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as away:
            return away.get(urljoin(self.server.hls(name), way)).status_code


class CountedServer(HlsdServer):
    """As it runs, with the figures of rooms that are not there yet counted by hand."""

    def command(self) -> list[str]:
        plain = super().command()
        return [sys.executable, "-m", "tests.support.counted_server", *plain[plain.index("-c") :]]


@contextmanager
def scene(folder: Path, streams: Sequence[str] = ("cam", "hall")) -> Iterator[tuple[Load, Prometheus]]:
    """A server with publishers on the air, one whose clock jumps, one of MP3, and a Prometheus that scrapes it."""
    swarm.build()
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    environment = {
        "HLSD_HTTPS__PORT": str(free_port()),
        "HLSD_HTTPS__CERT": str(cert),
        "HLSD_HTTPS__KEY": str(key),
        "HLSD_SESSIONS__IDLE_TIMEOUT": "2",
        "HLSD_SESSIONS__MAX_SESSIONS": "30",
        "HLSD_RTMP__IDLE_TIMEOUT": "120",
        "HLSD_METRICS__PORT": str(free_port()),
        "HLSD_AUTH__PLAY": "true",
        "HLSD_AUTH__SECRETS": SECRET,
        "HLSD_NOTIFY__TIMEOUT": "20",
        "HLSD_NOTIFY__BACKOFF_FIRST": "0.2",
        "HLSD_NOTIFY__BACKOFF_MAX": "0.5",
        "HLSD_RECORD__RULES": '[{"match": "live/hall", "rotate": "2s"}]',
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_RECORD__STORE": f"file://{folder}/store",
    }
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(folder / "receiver"))
        environment["HLSD_NOTIFY__URL"] = receiver.url
        server = stack.enter_context(CountedServer(folder / "hlsd", target=1, low_latency=True, env=environment))
        load = Load(server, folder, receiver)
        for name in streams:
            stack.enter_context(load.publish(name))
        stack.enter_context(load.publish(JUMPY, *JUMPS))
        stack.enter_context(load.publish(TALK, *MP3))
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", load.figures.split("/")[2]))
        for name in streams:
            wait_for_playlist(load.url(name))
        yield load, prometheus


def settle(seconds: float) -> None:
    """Lets a few scrapes go by: rates are made of them."""
    time.sleep(seconds)
