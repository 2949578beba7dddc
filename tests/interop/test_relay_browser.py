"""A viewer at an edge: hls.js plays on while the origin behind it is killed, comes back, or gives way to another.

A kill and a swap in the test run. `HLSD_LONG` set makes it ten kills and the swap; its figures stand in docs/relay.md.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.interop.test_soak import discontinuities
from tests.support import browser as browsers
from tests.support import gears
from tests.support.broadcast import wait_for_playlist
from tests.support.eventually import eventually_here
from tests.support.server import CHECKOUT, HlsdServer

KILLS, APART = gears.KILLS.now(), 12.0 if gears.LONG else 6.5
"""How many, and seconds from one to the next."""
PATIENCE = 60.0
"""Seconds within which whatever must come about does on a loaded machine: an origin comes up, a player goes on."""
SECONDS = APART * (KILLS + 2) + (KILLS + 2) * PATIENCE / 2
"""The longest play; it is over once the player has recovered from the last blow."""
GRACE = {"HLSD_PUBLISH__GRACE": "60"}
"""An origin comes back when it can, on a busy machine after more than the usual ten seconds: no end of the stream."""

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(SECONDS + 120)]

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
        command = [
            sys.executable,
            "-m",
            "hlsd.publishing.demo_source",
            "--url",
            self.server.rtmp("cam"),
            "--size",
            "320x180",
        ]
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
    """What the edge's media playlist is meanwhile: its discontinuities, its numbers, how long it stood still."""

    def __init__(self, top: httpx.Response) -> None:
        self._variant = top.url.join(top.text.splitlines()[-1])
        self.marked: set[int] = set()
        self.first: list[int] = []
        self.still = 0.0
        """Seconds, the longest of all."""
        self.text = ""
        """Of the last playlist."""
        self.over = False

    def run(self) -> None:
        """Until it is over."""
        last, since = "", time.monotonic()
        while not self.over:
            text = self.text = httpx.get(self._variant).raise_for_status().text
            now = time.monotonic()
            assert "#EXT-X-ENDLIST" not in text, "the stream has ended for its viewers"
            if text != last:
                last, since = text, now
            self.still = max(self.still, now - since)
            self.marked |= discontinuities(text)
            self.first.append(int(text.partition("MEDIA-SEQUENCE:")[2].partition("\n")[0]))
            time.sleep(0.2)

    def until_marked(self, blows: int) -> None:
        """Waits until each blow so far is a discontinuity: media has come again."""
        eventually_here(lambda: len(self.marked) >= blows, PATIENCE, f"discontinuity {blows}")


def until(when: float) -> None:
    time.sleep(max(0.0, when - time.monotonic()))


def test_hls_js_outlives_origins_that_are_killed_restarted_and_swapped(tmp_path: Path) -> None:
    # Nobody at the edge should have to press play again because a machine behind it was restarted.
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    with origins(tmp_path) as (first, second), ThreadPoolExecutor(2) as pool:
        first.start()
        state = tmp_path / "edge"
        state.mkdir()
        rule = RULE.format(first=first.server.rtmp_port, second=second.server.rtmp_port)
        state.joinpath("hlsd.toml").write_text(rule)
        with HlsdServer(state, low_latency=True, env=GRACE) as edge:
            wait_for_playlist(edge.hls("cam"))
            watch = Watch(httpx.get(edge.hls("cam")))
            watching = pool.submit(watch.run)
            struck = tmp_path / "struck"
            try:
                playing = pool.submit(browsers.play, edge.hls("cam"), "chromium", "hlsjs", SECONDS, until=struck)
                blow = time.monotonic() + APART
                for _ in range(KILLS):
                    until(blow)
                    seen = len(watch.marked)
                    first.kill()
                    first.start()
                    watch.until_marked(seen + 1)
                    blow = max(blow + APART, time.monotonic() + APART / 2)  # it plays in between, however late it is
                second.start()
                wait_for_playlist(second.server.hls("cam"))
                until(blow)
                seen = len(watch.marked)
                first.kill()
                watch.until_marked(seen + 1)
                struck.touch()
                report = playing.result()
            finally:
                struck.touch()
                watch.over = True
            watching.result()
            listed = httpx.get(f"http://127.0.0.1:{edge.http_port}/api/v1/relays", headers=edge.bearer).json()["data"]
            figures = httpx.get(f"http://127.0.0.1:{edge.http_port}/metrics", headers=edge.bearer).text
    keys = (
        "time",
        "ready",
        "ranges",
        "lasted",
        "played",
        "first_frame",
        "stalls",
        "stall_seconds",
        "jumps",
        "errors",
        "media_error",
        "latency",
    )
    said = {key: report[key] for key in (*keys, "buffer")} | {"seconds": SECONDS, "kills": KILLS, "still": watch.still}
    print(json.dumps(said | {"marked": sorted(watch.marked), "relays": listed["items"]}), watch.text)  # noqa: T201 - docs/relay.md
    assert all(later >= earlier for earlier, later in pairwise(watch.first)), watch.first
    # One for each blow; two where the pull found the origin up and lost it again.
    assert len(watch.marked) >= KILLS + 1, watch.marked
    assert report["fatal_errors"] == 0, said
    assert not report["media_error"], said
    assert not any(stall.get("open") for stall in report["stalls"]), said
    # A kill costs what the origin takes to come back, and then what the player needs to begin again: Chromium wants up
    # to three seconds of sound in hand once it has run dry a few times; a loaded machine brings it that late.
    assert max((stall["duration"] for stall in report["stalls"]), default=0) < watch.still + 12, said
    assert report["played"] >= report["lasted"] - report["stall_seconds"] - 6, said
    assert [(relay["rule"], relay["state"]) for relay in listed["items"]] == [("origin", "running")]
    assert str(second.server.rtmp_port) in listed["items"][0]["url"], "the failover took over"
    assert 'hlsd_relay_up{mode="pull",rule="origin"} 1' in figures
