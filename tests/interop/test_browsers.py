"""Real browsers play the live stream: no stall, no error, frames on the screen."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.broadcast import GRACE
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

LISTED = 4
"""Segments of 2 s before the player comes: it starts three target durations from the end, in the second of them."""


def watch(
    place: tuple[Path, Path],
    film: Film,
    browser: browsers.Browser,
    mode: browsers.Mode,
    seconds: float,
    *,
    smooth: bool = False,
) -> dict[str, Any]:
    """What the browser reports of `seconds` of a live stream.

    AssertionError unless it plays nearly all the time; if `smooth`, without a stall, an error or a lost frame.
    """
    why = browsers.missing(browser)
    if why:
        pytest.skip(why)

    def once(number: int) -> dict[str, Any]:
        return _watch((place[0], place[1] / str(number)), film, browser, mode, seconds)

    frames = film.rate * (seconds - 5) if smooth else 0
    return browsers.undisturbed(once, lambda report: browsers.faults(report, seconds, smooth=smooth, decoded=frames))


def _watch(
    place: tuple[Path, Path], film: Film, browser: browsers.Browser, mode: browsers.Mode, seconds: float
) -> dict[str, Any]:
    films, folder = place
    path = film.make(films)
    with HlsdServer(folder, env=GRACE) as server:
        encoder = ENCODERS["ffmpeg-current"]
        with encoder.publish(film, path, server.rtmp("cam"), folder / "encoder.log"):
            # Not at the stream's first instant: Chromium's own HLS gives up on a live playlist of one segment
            # (DEMUXER_ERROR_COULD_NOT_PARSE), and hls.js reports as an error (bufferSeekOverHole) that the sound begins
            # with the encoder's priming, a frame before the picture.
            seen = follow(server.hls("cam"), seconds=30, until=lambda one: len(one.segments) >= LISTED)
            assert seen.faults == []
            url = server.page("cam") if mode == "page" else server.hls("cam")
            report = browsers.play(url, browser, mode, seconds)
    (folder / "report.json").write_text(repr(report))
    return report


def test_chromium_plays_h264_with_hls_js_for_half_a_minute(films: Path, tmp_path: Path) -> None:
    # The usual viewer.
    film = Film(seconds=60)
    report = watch((films, tmp_path), film, "chromium", "hlsjs", 30, smooth=True)
    assert (report["width"], report["height"]) == (film.width, film.height)


def test_chromium_plays_natively(films: Path, tmp_path: Path) -> None:
    # Chromium has a demuxer of its own for HLS.
    watch((films, tmp_path), Film(seconds=60), "chromium", "native", 10)


def test_chromium_plays_the_page(films: Path, tmp_path: Path) -> None:
    # What `/{app}/{stream}` shows to someone who clicks the link.
    watch((films, tmp_path), Film(seconds=60), "chromium", "page", 10)


def test_firefox_plays_hevc(films: Path, tmp_path: Path) -> None:
    # H.265 in fMP4 with hvc1, in a browser that can decode it.
    film = Film(seconds=40, codec="h265", width=640, height=360)
    report = watch((films, tmp_path), film, "firefox", "hlsjs", 12)
    assert (report["width"], report["height"]) == (film.width, film.height)


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
    who = {"Authorization": f"Bearer {(folder / 'state' / 'api.token').read_text().strip()}"}
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=who).text
    lines = [line for line in text.splitlines() if line.startswith("hlsd_http_requests_total") and '"403"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)
