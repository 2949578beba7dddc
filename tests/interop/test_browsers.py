"""Real browsers play the live stream: no stall, no error, frames on the screen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support import browser as browsers
from tests.support.broadcast import GRACE
from tests.support.encoders import ENCODERS
from tests.support.footage import Film
from tests.support.players import follow
from tests.support.server import HlsdServer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]


def watch(
    place: tuple[Path, Path], film: Film, browser: browsers.Browser, mode: browsers.Mode, seconds: float
) -> dict[str, Any]:
    """What the browser reports of `seconds` of a live stream."""
    why = browsers.missing(browser)
    if why:
        pytest.skip(why)
    films, folder = place
    path = film.make(films)
    with HlsdServer(folder, env=GRACE) as server:
        encoder = ENCODERS["ffmpeg-current"]
        with encoder.publish(film, path, server.rtmp("cam"), folder / "encoder.log"):
            # MP22: a player that starts three target durations from the end wants as many; Chromium's own gives up on
            # a live playlist of one segment (DEMUXER_ERROR_COULD_NOT_PARSE).
            listed = 3 if mode == "native" else 1
            seen = follow(server.hls("cam"), seconds=20, until=lambda one: len(one.segments) >= listed)
            assert seen.faults == []
            url = server.page("cam") if mode == "page" else server.hls("cam")
            report = browsers.play(url, browser, mode, seconds)
    (folder / "report.json").write_text(repr(report))
    return report


def assert_smooth(report: dict[str, Any], seconds: float, rate: float | Fraction) -> None:
    """Played nearly all the time, without a stall, an error or a lost frame."""
    said = {key: report[key] for key in ("played", "first_frame", "stalls", "errors", "media_error", "console")}
    assert report["stalls"] == [], said
    assert report["errors"] == [], said
    assert not report["media_error"], said
    assert report["played"] >= seconds - 3, said
    assert report["decoded"] >= rate * (seconds - 4), report["decoded"]


def test_chromium_plays_h264_with_hls_js_for_half_a_minute(films: Path, tmp_path: Path) -> None:
    # The usual viewer.
    film = Film(seconds=60)
    report = watch((films, tmp_path), film, "chromium", "hlsjs", 30)
    assert_smooth(report, 30, film.rate)
    assert (report["width"], report["height"]) == (film.width, film.height)


def test_chromium_plays_natively(films: Path, tmp_path: Path) -> None:
    # Chromium has a demuxer of its own for HLS.
    film = Film(seconds=30)
    report = watch((films, tmp_path), film, "chromium", "native", 10)
    assert not report["media_error"], report
    assert report["played"] >= 6, report


def test_chromium_plays_the_page(films: Path, tmp_path: Path) -> None:
    # What `/{app}/{stream}` shows to someone who clicks the link.
    report = watch((films, tmp_path), Film(seconds=30), "chromium", "page", 10)
    assert report["errors"] == [], report
    assert report["played"] >= 6, report


def test_firefox_plays_hevc(films: Path, tmp_path: Path) -> None:
    # H.265 in fMP4 with hvc1, in a browser that can decode it.
    film = Film(seconds=30, codec="h265", width=640, height=360)
    report = watch((films, tmp_path), film, "firefox", "hlsjs", 12)
    assert report["errors"] == [], report
    assert report["played"] >= 8, report
    assert (report["width"], report["height"]) == (film.width, film.height)
