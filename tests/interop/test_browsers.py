"""Real browsers play the live stream: no stall, no error, frames on the screen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.interop.test_ll_directives import looping
from tests.support import browser as browsers
from tests.support import gears
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

LISTED = 4
"""Segments of 2 s before a player comes: it starts three target durations from the end, in the second of them."""

FILMS = {
    "h264": Film(seconds=20),
    "h265": Film(seconds=20, codec="h265", width=640, height=360),
    "av1": Film(seconds=20, codec="av1"),
}


@pytest.fixture(scope="module")
def server(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HlsdServer]:
    """A server with an endless stream of each codec."""
    folder = tmp_path_factory.mktemp("browsers")
    with HlsdServer(folder) as running, ExitStack() as stack:
        for name, film in FILMS.items():
            stack.enter_context(looping(running, films, name, folder / f"{name}.log", film))
        # Not at the stream's first instant: Chromium's own HLS gives up on a live playlist of one segment
        # (DEMUXER_ERROR_COULD_NOT_PARSE), and hls.js reports as an error (bufferSeekOverHole) that the sound begins
        # with the encoder's priming, a frame before the picture.
        for name in FILMS:
            seen = follow(running.hls(name), seconds=30, until=lambda one: len(one.segments) >= LISTED)
            assert seen.faults == []
        yield running


def watch(
    server: HlsdServer,
    codec: str,
    browser: browsers.Browser,
    mode: browsers.Mode,
    seconds: float,
    *,
    smooth: bool = False,
    decoded: float = 0,
) -> None:
    """Watches a live stream; AssertionError unless it plays nearly all the time, in its own size.

    If `smooth`, without a stall, an error or a lost frame. `decoded`: frames at least.
    """
    why = browsers.missing(browser)
    if why:
        pytest.skip(why)
    film = FILMS[codec]
    url = server.page(codec) if mode == "page" else server.hls(codec)
    frames = film.rate * (seconds - 5) if smooth else decoded
    report = browsers.undisturbed(
        lambda _: browsers.play(url, browser, mode, seconds),
        lambda report: browsers.faults(report, seconds, smooth=smooth, decoded=float(frames)),
    )
    assert (report["width"], report["height"]) == (film.width, film.height)


@pytest.mark.alone
def test_chromium_plays_h264_with_hls_js_without_a_stall(server: HlsdServer) -> None:
    # The usual viewer.
    watch(server, "h264", "chromium", "hlsjs", gears.PLAY.now(), smooth=True)


@pytest.mark.browser
def test_chromium_plays_natively(server: HlsdServer) -> None:
    # Chromium has a demuxer of its own for HLS.
    watch(server, "h264", "chromium", "native", 7)


@pytest.mark.browser
def test_chromium_plays_the_page(server: HlsdServer) -> None:
    # What `/{app}/{stream}` shows to someone who clicks the link: a picture of the stream, and then the stream.
    watch(server, "h264", "chromium", "page", 7)
    assert counted(server, server.state, "hlsd_snapshot_requests_total", 'result="made"') >= 1


@pytest.mark.alone
def test_firefox_plays_hevc(server: HlsdServer) -> None:
    # H.265 in fMP4 with hvc1, in a browser that can decode it.
    watch(server, "h265", "firefox", "hlsjs", 9)


@pytest.mark.browser
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_browsers_play_av1_with_hls_js(server: HlsdServer, browser: browsers.Browser) -> None:
    # Enhanced RTMP's av01 in fMP4. The short codec string: Firefoxes refused the long one.
    watch(server, "av1", browser, "hlsjs", 8, decoded=75)


@pytest.mark.browser
def test_the_page_says_why_a_viewer_is_not_let_in_and_asks_no_more(tmp_path: Path) -> None:
    # "Not live now" to somebody whose link has expired keeps him waiting for ever, and the server answering.
    if why := browsers.missing("chromium"):
        pytest.skip(why)
    secret = "a-secret-of-viewers"
    past = int(time.time()) - 60
    sign = hashlib.md5(f"/live/cam-{past}-{secret}".encode(), usedforsecurity=False).hexdigest()
    env = {"HLSD_AUTH__PLAY": "true", "HLSD_AUTH__SECRETS": secret}
    with HlsdServer(tmp_path, env=env) as server:
        for query, words in (("", "You may not watch this"), (f"?sign={past}-{sign}", "This link has expired")):
            before = refusals(server, tmp_path)
            report = browsers.play(server.page("cam") + query, "chromium", "page", 4)
            page = report["page"]
            assert (page["state"], page["words"], page["again"]) == ("refused", words, "Try again"), report
            assert refusals(server, tmp_path) == before + 1


def refusals(server: HlsdServer, folder: Path) -> int:
    """How many playlists were answered with 403; `folder` is the server's."""
    return counted(server, folder, "hlsd_http_requests_total", '"403"')


def counted(server: HlsdServer, folder: Path, name: str, label: str) -> int:
    """What the figures of that name say together that have the label; `folder` is the server's."""
    who = {"Authorization": f"Bearer {(folder / 'state' / 'api.token').read_text().strip()}"}
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=who).text
    lines = [line for line in text.splitlines() if line.startswith(name) and label in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)
