"""A server's day in an hour: publishers and viewers come and go by all ways; memory, files and the loop are watched.

Programs of others (ffmpeg) publish and play by RTMP, HTTP-FLV, MPEG-TS, SRT, RTSP and WHIP, each for some seconds;
threads watch by HLS with and without low latency, over HTTP and HTTPS, play what was recorded, and ask the API. What is
drawn is drawn by a seed. Memory is the server's resident set, in bytes; times are seconds.
"""

from __future__ import annotations

import contextlib
import random
import re
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests.support.encoders import current_ffmpeg
from tests.support.server import HlsdServer

QUIET: Final = ("-v", "error", "-nostdin")
STAYS: Final = (4.0, 12.0)
"""Seconds for which a publisher stays: some twenty times as often as people do."""
AWAY: Final = 3.5
"""Seconds after which a stream has ended: more than the grace that it has."""
WATCHES: Final = (2.0, 6.0)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the ways are that have ports of their own."""

    https: int
    srt: int
    rtsp: int


class Soak:
    """All who come and go, from `start` to the end of the context; `did` counts what they did, by its name."""

    def __init__(self, server: HlsdServer, ports: Ports, film: Path, origin: str, chance: random.Random) -> None:
        self._server, self._ports, self._film, self._origin = server, ports, film, origin
        self._chance = chance
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.did: Counter[str] = Counter()

    def __enter__(self) -> Self:
        http = f"http://127.0.0.1:{self._server.http_port}"
        srt = f"srt://127.0.0.1:{self._ports.srt}?streamid="
        rtsp = f"rtsp://127.0.0.1:{self._ports.rtsp}/live"
        tcp = ("-rtsp_transport", "tcp")
        copy = ("-c", "copy")
        publishers: dict[str, tuple[str, ...]] = {
            "rtmp": (*copy, "-f", "flv", self._server.rtmp("rtmp")),
            "flv": (*copy, "-f", "flv", "-method", "POST", f"{http}/live/flv.flv"),
            "ts": (*copy, "-f", "mpegts", "-method", "POST", f"{http}/live/ts.ts"),
            "srt": (*copy, "-f", "mpegts", f"{srt}publish:live/srt"),
            "rtsp": (*copy, "-f", "rtsp", *tcp, f"{rtsp}/rtsp"),
            "whip": ("-c:v", "copy", "-c:a", "libopus", "-ac", "2", "-f", "whip", f"{http}/live/whip/whip"),
        }
        players: dict[str, tuple[str, ...]] = {
            "rtmp": (self._server.rtmp("rtmp"),),
            "flv": (f"{http}/live/rtmp.flv",),
            "srt": (f"{srt}request:live/rtmp",),
            "rtsp": (*tcp, f"{rtsp}/rtmp"),
        }
        for name, to in publishers.items():
            self._begin(f"publish {name}", self._publisher(to))
        for name, at in players.items():
            self._begin(f"play {name}", self._player(at))
        for name in (*publishers, "film"):
            self._begin(f"hls {name}", self._viewer(name, secure=False))
        self._begin("https", self._viewer("rtmp", secure=True))
        self._begin("low latency", self._waiter("rtmp"))
        self._begin("recordings", self._browser)
        self._begin("relays", self._relayer)
        self._begin("api", self._operator)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def names(self) -> list[str]:
        """Whoever comes and goes."""
        return [thread.name for thread in self._threads]

    def _begin(self, name: str, turn: Callable[[httpx.Client, random.Random], bool]) -> None:
        seed = self._chance.random()

        def run() -> None:
            chance = random.Random(seed)
            with httpx.Client(timeout=20, verify=False) as http:
                while not self._over.is_set():
                    with contextlib.suppress(httpx.TransportError, KeyError, ValueError):
                        if turn(http, chance):
                            self.did[name] += 1
                    self._over.wait(chance.uniform(0.2, 1.0))

        self._threads.append(threading.Thread(target=run, name=name))

    def _ran(self, command: list[str], seconds: float, brutal: bool) -> bool:
        """A program for so long at most, and then no more, in order or not; whether it was at work until then."""
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        lasted = process.poll() is None
        process.kill() if brutal else process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        return lasted

    def _publisher(self, to: tuple[str, ...]) -> Callable[[httpx.Client, random.Random], bool]:
        read = [current_ffmpeg(), *QUIET, "-re", "-stream_loop", "-1", "-i", str(self._film)]

        def turn(_: httpx.Client, chance: random.Random) -> bool:
            lasted = self._ran([*read, *to], chance.uniform(*STAYS), chance.random() < 0.5)
            if chance.random() < 0.4:
                self._over.wait(AWAY)
            return lasted

        return turn

    def _player(self, at: tuple[str, ...]) -> Callable[[httpx.Client, random.Random], bool]:
        *options, url = at
        command = [current_ffmpeg(), *QUIET, *options, "-i", url, "-c", "copy", "-f", "null", "-"]
        return lambda _, chance: self._ran(command, chance.uniform(*WATCHES), chance.random() < 0.5)

    def _entered(self, http: httpx.Client, name: str, *, secure: bool = False) -> httpx.URL | None:
        """The media playlist of a session of its own."""
        url = f"https://127.0.0.1:{self._ports.https}/live/{name}.m3u8" if secure else self._server.hls(name)
        top = http.get(url)
        if top.status_code != httpx.codes.OK:
            return None
        return top.url.join(next(line for line in top.text.splitlines() if line[:1] != "#"))

    def _viewer(self, name: str, *, secure: bool) -> Callable[[httpx.Client, random.Random], bool]:
        def turn(http: httpx.Client, chance: random.Random) -> bool:
            variant = self._entered(http, name, secure=secure)
            until = time.monotonic() + chance.uniform(*WATCHES)
            seen: set[str] = set()
            while variant is not None and time.monotonic() < until and not self._over.wait(0.4):
                lines = http.get(variant).text.splitlines()
                for uri in [line for line in lines if line and line[0] != "#" and line not in seen][-2:]:
                    seen.add(uri)
                    http.get(variant.join(uri))
            http.get(self._server.page(name) + ".jpg")
            return bool(seen)

        return turn

    def _waiter(self, name: str) -> Callable[[httpx.Client, random.Random], bool]:
        def turn(http: httpx.Client, _: random.Random) -> bool:
            variant = self._entered(http, name)
            held = 0
            while variant is not None and held < 20 and not self._over.is_set():
                text = http.get(variant).text
                if "#EXTINF" not in text:
                    break
                number = int(re.findall(r"MEDIA-SEQUENCE:(\d+)", text)[0]) + text.count("#EXTINF")
                part = sum(line.startswith("#EXT-X-PART:") for line in text.rpartition("#EXTINF")[2].splitlines())
                answer = http.get(variant, params={"_HLS_msn": number, "_HLS_part": part})
                if answer.status_code != httpx.codes.OK:
                    break
                held += 1
            return held > 0

        return turn

    def _api(self, http: httpx.Client, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{self._server.http_port}/api/v1/{path}"
        return http.request(method, url, **{"headers": self._server.bearer, **more})

    def _browser(self, http: httpx.Client, _: random.Random) -> bool:
        """Plays one of the oldest recordings that are finished, and deletes it."""
        found = self._api(http, "records", params={"limit": 200}).json()["data"]["items"]
        done = [one for one in found if one["state"] == "done"]
        if not done:
            return False
        path = f"records/{done[0]['id']}"
        self._api(http, f"{path}/file", headers={**self._server.bearer, "range": "bytes=0-99999"})
        played = http.get(self._server.hls(f"{done[0]['name']}/r/{done[0]['id']}"), follow_redirects=True)
        return played.is_success and self._api(http, path, "DELETE").is_success

    def _relayer(self, http: httpx.Client, chance: random.Random) -> bool:
        """A pull that comes by the API, works for a while, and goes."""
        task = {"mode": "static", "app": "live", "name": "relayed", "url": self._origin}
        made = self._api(http, "relays", "POST", json=task)
        if not made.is_success:
            return False
        self._over.wait(chance.uniform(3.0, 6.0))
        live = http.get(self._server.hls("relayed")).status_code == httpx.codes.OK
        self._api(http, f"relays/{made.json()['data']['id']}", "DELETE")
        return live

    def _operator(self, http: httpx.Client, _: random.Random) -> bool:
        """What a console, a dashboard and Prometheus ask for; one viewer is sent away."""
        for path in ("streams", "sessions", "server", "events", "relays"):
            self._api(http, path)
        sessions = self._api(http, "sessions").json()["data"]["items"]
        if len(sessions) > 8:
            self._api(http, f"sessions/{sessions[0]['id']}", "DELETE", params={"ban": "0"})
        scraped = http.get(f"http://127.0.0.1:{self._server.http_port}/metrics", headers=self._server.bearer)
        return scraped.is_success


@dataclass(slots=True)
class Watch:
    """What a server uses, second by second: moments, resident bytes, descriptors."""

    moments: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, server: HlsdServer) -> None:
        """Once more."""
        self.moments.append(time.monotonic())
        self.memory.append(server.usage().rss)
        self.files.append(len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())))

    def slope(self, since: float) -> float:
        """Megabytes an hour by which memory grows behind the first `since` seconds: least squares."""
        points = [(t, m) for t, m in zip(self.moments, self.memory, strict=True) if t - self.moments[0] >= since]
        line = statistics.linear_regression([t for t, _ in points], [m for _, m in points])
        return line.slope * 3600 / 1e6

    def grown(self, of: list[int], since: float) -> float:
        """By how much the median of the last quarter is above that of the first, behind the first `since` seconds."""
        values = [v for t, v in zip(self.moments, of, strict=True) if t - self.moments[0] >= since]
        quarter = max(1, len(values) // 4)
        return statistics.median(values[-quarter:]) - statistics.median(values[:quarter])


def lag(metrics: str) -> dict[float, int]:
    """How often the event loop was at most so many seconds late."""
    found = re.findall(r'hlsd_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)', metrics)
    return {float(bound.replace("+Inf", "inf")): int(count) for bound, count in found}


def share(before: dict[float, int], after: dict[float, int], bound: float) -> float:
    """Which share of the looks between two scrapes found the loop at most `bound` seconds late."""
    looks = after[float("inf")] - before.get(float("inf"), 0)
    good = max(count - before.get(le, 0) for le, count in after.items() if le <= bound)
    return good / looks if looks else 1.0
