"""R19: a server whose publishers and viewers of all ways come and go keeps its memory, its files and its pace.

Seventy seconds in the test run; `make soak` makes it an hour, `make soak MINUTES=5` five minutes. Coming and going is
some twenty times as brisk as life: an hour of it is a day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hlsd.delivery.tls.certificate import write_self_signed
from tests.support import gears
from tests.support.footage import Film
from tests.support.ports import free_port
from tests.support.publishing import Persistent
from tests.support.seeds import rng
from tests.support.server import HlsdServer
from tests.support.soak import Ports, Soak, Watch, lag, share
from tests.support.told import told

SECONDS = 60 * int(told("SOAK") or 0) or gears.ALL_WAYS.now()
WARM = SECONDS / 3
"""Seconds in which caches fill, pools of threads and arenas of the allocator come to their size."""
pytestmark = [pytest.mark.interop, pytest.mark.timeout(SECONDS + 240)]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[HlsdServer]:
    """Where the relay that comes by the API pulls from."""
    with HlsdServer(tmp_path / "origin") as server:
        yield server


def settings(folder: Path, ports: Ports, film: Path) -> dict[str, str]:
    """Every way that needs to be turned on, and lives that are short."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    write_self_signed(cert, key, ["localhost"])
    return {
        "HLSD_HTTPS__PORT": str(ports.https),
        "HLSD_HTTPS__CERT": str(cert),
        "HLSD_HTTPS__KEY": str(key),
        "HLSD_SRT__PORT": str(ports.srt),
        "HLSD_RTSP__PORT": str(ports.rtsp),
        "HLSD_PUBLISH__GRACE": "2s",
        "HLSD_SESSIONS__IDLE_TIMEOUT": "3s",
        "HLSD_SESSIONS__RESUME_WINDOW": "10s",
        "HLSD_RECORD__RULES": '[{"match": "live/*"}]',
        "HLSD_RECORD__MIN_FREE": "0",
        "HLSD_RELAY__ALLOW_HOSTS": '["127.0.0.1"]',
        "HLSD_RELAY__RULES": json.dumps([{"mode": "static", "match": "live/film", "url": f"file:{film}"}]),
    }


def test_memory_files_and_pace_stay_while_everybody_comes_and_goes(
    films: Path, tmp_path: Path, origin: HlsdServer
) -> None:
    film = Film(seconds=10, width=192, height=108, gop=25).make(films)
    ports = Ports(free_port(), free_port(), free_port())
    watch = Watch()
    env = settings(tmp_path, ports, film)
    from_there = f"rtmp://127.0.0.1:{origin.rtmp_port}/live/cam"
    with (
        HlsdServer(tmp_path / "server", low_latency=True, env=env, fresh=True) as server,
        Persistent(film, origin.rtmp("cam")),
        Soak(server, ports, film, from_there, rng("soak")) as soak,
    ):

        def metrics() -> str:
            url = f"http://127.0.0.1:{server.http_port}/metrics"
            return httpx.get(url, headers=server.bearer, timeout=20).text

        began = time.monotonic()
        late: dict[float, int] = {}
        while (now := time.monotonic() - began) < SECONDS:
            watch.look(server)
            if not late and now >= WARM:
                late = lag(metrics())
            time.sleep(0.5)
        in_time = share(late, lag(metrics()), 0.025)
        errors = [line for line in server.logs().splitlines() if '"level": "error"' in line]
    grown = watch.grown(watch.memory, WARM) / 1e6
    figures = {
        "seconds": SECONDS,
        "did": dict(sorted(soak.did.items())),
        "rss_mb": [round(value / 1e6, 1) for value in (watch.memory[0], watch.memory[-1], max(watch.memory))],
        "slope_mb_per_hour": round(watch.slope(WARM), 2),
        "grown_mb": round(grown, 2),
        "files": [watch.files[0], max(watch.files), watch.files[-1]],
        "in_time": round(in_time, 4),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures are what the long run is for
    assert [name for name in soak.names if not soak.did[name]] == [], figures
    assert errors == [], figures
    assert watch.grown(watch.files, WARM) <= 40, figures
    assert in_time >= 0.99 or SECONDS < 300, figures  # beside other tests it is the machine that is late
    assert grown <= 12 or watch.slope(WARM) <= 1, figures
