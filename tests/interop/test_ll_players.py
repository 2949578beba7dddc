"""Low-latency play in the players of docs/players.md, a few seconds each: no stall, no error, near the edge."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.interop.test_ll_directives import looping
from tests.support import browser as browsers
from tests.support.broadcast import wait_for_playlist
from tests.support.footage import Film
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(180)]

FILMS = {
    "h264": Film(seconds=12, rate=30, gop=30),
    "h265": Film(seconds=12, rate=30, gop=30, codec="h265"),
    "av1": Film(seconds=12, rate=30, gop=30, codec="av1"),
}
SECONDS = 7.0
ON_THE_PAGE = 12.0
"""Our page catches up: that takes some seconds, and its latency is judged in the second half."""


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A low-latency server with an endless stream of each codec."""
    folder = tmp_path_factory.mktemp("players")
    with (
        HlsdServer(folder, low_latency=True) as running,
        looping(running, films, "h264", folder / "h264.log", FILMS["h264"]),
        looping(running, films, "h265", folder / "h265.log", FILMS["h265"]),
        looping(running, films, "av1", folder / "av1.log", FILMS["av1"]),
    ):
        for name in FILMS:
            wait_for_playlist(running.hls(name))
        yield running


@pytest.mark.parametrize(
    ("browser", "mode", "codec"),
    [
        ("chromium", "hlsjs", "h264"),
        ("chromium", "page", "h264"),
        ("chromium", "shaka", "h264"),
        ("firefox", "hlsjs", "h264"),
        ("firefox", "hlsjs", "h265"),
        ("chromium", "hlsjs", "av1"),
        ("webkit", "hlsjs", "h264"),
    ],
)
def test_it_plays_near_the_live_edge(
    server: HlsdServer, browser: browsers.Browser, mode: browsers.Mode, codec: str
) -> None:
    # Shaka Player found what no other player minded: parts without parameter sets.
    why = browsers.missing(browser)
    if why:
        pytest.skip(why)
    url = server.page(codec) if mode == "page" else server.hls(codec)
    # A busy machine starts late, and what is lost at the start stays, but on our page, which catches up.
    latency, seconds = (1.3, ON_THE_PAGE) if mode == "page" else (3.0, SECONDS)

    def wrong(report: dict[str, Any]) -> list[str]:
        stalls = [f"stalls: {report['stalls']}"] if report["stalls"] else []
        return stalls + browsers.faults(report, seconds, smooth=False, latency=latency)

    browsers.undisturbed(lambda _: browsers.play(url, browser, mode, seconds), wrong)


def test_the_page_of_an_edge_makes_the_stream_come(server: HlsdServer, tmp_path: Path) -> None:
    # Asking by HEAD, which fetches nothing for anybody, it waited for a stream that waited for a viewer.
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    rule = {"name": "edge", "mode": "pull", "match": "live/*", "url": server.rtmp("{stream}")}
    with HlsdServer(tmp_path, low_latency=True, env={"HLSD_RELAY__RULES": json.dumps([rule])}) as edge:
        assert httpx.head(edge.hls("h264")).status_code == 404
        browsers.undisturbed(
            lambda _: browsers.play(edge.page("h264"), "chromium", "page", 7.0),
            lambda report: browsers.faults(report, 7.0, smooth=False),
        )


def complaints_of_mpv(log: str) -> list[str]:
    """What mpv said, warnings and worse, until it had played what it should; AssertionError if it never came so far.

    At the end of `--length` it interrupts its reader. Where that is between the head and the body of a playlist,
    libavformat takes the empty body for one that is wrong and says "Failed to reload playlist 0": that is the player's
    own doing. A server that fails a reload does so before the end, which it brings about.
    """
    lines = log.splitlines()
    ends = [
        number for number, line in enumerate(lines) if "[cplayer] EOF code: 1" in line
    ]  # 1: at the end of what is played
    assert len(ends) == 1, lines[-5:]
    return [line for line in lines[: ends[0]] if re.match(r"\[ *[\d.]+\]\[[few]\]", line)]


def test_mpv_plays_without_a_complaint(server: HlsdServer, tmp_path: Path) -> None:
    # libavformat's reader, in a player that people use.
    if not shutil.which("mpv"):
        pytest.skip("mpv is not installed")
    log = tmp_path / "mpv.log"
    command = ["mpv", "--no-config", "--no-terminal", "--vo=null", "--ao=null", "--length=6", f"--log-file={log}"]
    done = subprocess.run([*command, server.hls("h264")], timeout=120, check=False)
    assert (done.returncode, complaints_of_mpv(log.read_text())) == (0, [])


def test_what_mpv_says_when_it_is_told_to_end_is_no_complaint_and_what_it_said_before_is() -> None:
    said = "[ 0.10][v][cplayer] Starting\n{}[ 6.40][v][cplayer] EOF code: 1  \n{}[ 6.60][v][cplayer] Exiting...\n"
    failed = "[ 6.59][w][ffmpeg/demuxer] hls: Failed to reload playlist 0\n"
    assert complaints_of_mpv(said.format("", failed)) == []
    assert complaints_of_mpv(said.format(failed, "")) == [failed.strip()]
    with pytest.raises(AssertionError):
        complaints_of_mpv(failed)
