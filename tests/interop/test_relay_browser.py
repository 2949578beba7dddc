"""A viewer at an edge: hls.js plays on while the origin behind the relay is killed, comes back, or gives way to another.

Two kills and a swap in the test run. `HLSD_LONG` set makes it ten kills and the swap; its figures stand in
docs/relay.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.test_soak import discontinuities
from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.server import CHECKOUT, HlsdServer

KILLS, APART = (10, 12.0) if os.environ.get("HLSD_LONG") else (2, 6.5)
"""How many, and seconds from one to the next."""
SECONDS = APART * (KILLS + 2)
AWAY = 3.0
"""Seconds that a killed origin and its publisher need at most to be back, on two busy cores."""

pytestmark = [pytest.mark.interop, pytest.mark.timeout(SECONDS + 120)]

RULE = """
[[relay]]
name = "origin"
mode = "pull"
match = "live/*"
urls = ["rtmp://127.0.0.1:{first}/{{app}}/{{stream}}", "rtmp://127.0.0.1:{second}/{{app}}/{{stream}}"]
backoff = ["500ms", "2s"]
"""


class Origin:
    """A server with a publisher, which goes with it: an encoder beside its server, in one box."""

    def __init__(self, folder: Path) -> None:
        self.server = HlsdServer(folder)
        self._publisher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.start()
        command = [sys.executable, "-m", "hlsd.demo_source", "--url", self.server.rtmp("cam"), "--size", "320x180"]
        self._publisher = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """As a power cut would."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self.server.kill()
            publisher.kill()
            publisher.wait()


@contextlib.contextmanager
def origins(folder: Path) -> Iterator[tuple[Origin, Origin]]:
    both = Origin(folder / "first"), Origin(folder / "second")
    try:
        yield both
    finally:
        for origin in both:
            origin.kill()


class Watch:
    """What a viewer's media playlist is meanwhile: where its discontinuities are, and whether its numbers ever fell."""

    def __init__(self, top: httpx.Response) -> None:
        self._variant = top.url.join(top.text.splitlines()[-1])
        self.marked: set[int] = set()
        self.first: list[int] = []
        self.ended = False

    def until(self, when: float, playing: Future[dict[str, Any]]) -> None:
        while time.monotonic() < when and not playing.done():
            text = httpx.get(self._variant).raise_for_status().text
            self.marked |= discontinuities(text)
            self.first.append(int(text.partition("MEDIA-SEQUENCE:")[2].partition("\n")[0]))
            self.ended = self.ended or "#EXT-X-ENDLIST" in text
            time.sleep(0.5)


def test_hls_js_outlives_origins_that_are_killed_restarted_and_swapped(tmp_path: Path) -> None:
    # Nobody at the edge should have to press play again because a machine behind it was restarted.
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    with origins(tmp_path) as (first, second), ThreadPoolExecutor(1) as pool:
        first.start()
        state = tmp_path / "edge"
        state.mkdir()
        state.joinpath("hlsd.toml").write_text(RULE.format(first=first.server.rtmp_port, second=second.server.rtmp_port))
        with HlsdServer(state, low_latency=True) as edge:
            wait_for_playlist(edge.hls("cam"))
            watch = Watch(httpx.get(edge.hls("cam")))
            playing = pool.submit(browsers.play, edge.hls("cam"), "chromium", "hlsjs", SECONDS)
            began = time.monotonic()
            for number in range(KILLS):
                watch.until(began + APART * (number + 1), playing)
                first.kill()
                first.start()
            watch.until(began + APART * (KILLS + 1) - AWAY, playing)
            second.start()
            watch.until(began + APART * (KILLS + 1), playing)
            first.kill()
            watch.until(began + SECONDS + 60, playing)
            report = playing.result()
            running = httpx.get(f"http://127.0.0.1:{edge.http_port}/api/v1/relays").json()["data"]
            figures = httpx.get(f"http://127.0.0.1:{edge.http_port}/metrics").text
    keys = ("played", "first_frame", "stalls", "stall_seconds", "jumps", "errors", "media_error", "latency", "buffer")
    said = {key: report[key] for key in keys} | {"seconds": SECONDS, "kills": KILLS}
    print(json.dumps(said | {"marked": sorted(watch.marked), "relays": running}))  # noqa: T201 - docs/relay.md
    assert not watch.ended
    assert all(later >= earlier for earlier, later in pairwise(watch.first)), watch.first
    # One for each blow; two where the pull found the origin up and lost it again.
    assert len(watch.marked) >= KILLS + 1, watch.marked
    assert report["fatal_errors"] == 0, said
    assert not report["media_error"], said
    assert not any(stall.get("open") for stall in report["stalls"]), said
    # A kill costs what the origin needs to come back, the longest pause of the relay, and what hls.js takes to notice.
    assert max((stall["duration"] for stall in report["stalls"]), default=0) < AWAY + 8, said
    assert report["played"] >= SECONDS - (KILLS + 1) * (AWAY + 3) - 6, said
    assert [(relay["rule"], relay["state"]) for relay in running] == [("origin", "running")]
    assert str(second.server.rtmp_port) in running[0]["url"], "the failover took over"
    assert 'hlsd_relay_up{mode="pull",rule="origin"} 1' in figures
