"""Publishers that stop for a moment, as an overloaded encoder does: the viewer sees a frozen picture, then goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import browser as browsers
from tests.support.eventually import eventually_here
from tests.support.footage import Film
from tests.support.llcheck import parse
from tests.support.server import HlsdServer
from tests.support.uneven import Break, publishing

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(120)]

FILM = Film(seconds=12, rate=30, gop=30)
HOLES = [Break(8, 0.37), Break(12, 0.95), Break(16, 0.7, "video")]
"""Between one part and the second from which on the clock is taken to have jumped."""
SECONDS = 17
STUCK = 3 * 2.0
"""Seconds: hls.js does not leave the edge of an empty part before its segment is three target durations old."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HlsdServer]:
    """With low latency, as it is by default."""
    with HlsdServer(tmp_path, low_latency=True) as running:
        yield running


def variant_of(server: HlsdServer) -> httpx.URL:
    """The media playlist of a session, once the stream has one of several segments."""
    top = httpx.get(server.hls("cam"), timeout=20)
    return top.url.join(top.text.splitlines()[-1])


def test_hls_js_plays_on_over_holes_in_what_is_sent(server: HlsdServer, films: Path, tmp_path: Path) -> None:
    # With parts of GAP=YES for what was not sent, each of these holes cost four to ten seconds.
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    with publishing(server.rtmp("cam"), FILM, films, tmp_path / "publisher.log", HOLES):
        eventually_here(
            lambda: httpx.get(server.hls("cam"), timeout=20).status_code == httpx.codes.OK, what="the playlist"
        )
        variant = variant_of(server)
        eventually_here(lambda: len(parse(httpx.get(variant).text, 0).segments) >= 2, what="two segments")
        report = browsers.play(server.hls("cam"), "chromium", "hlsjs", SECONDS)
        text = httpx.get(variant).text
    said = {key: report[key] for key in ("played", "stalls", "errors", "media_error", "latency")}
    assert "GAP" not in text
    assert report["fatal_errors"] == 0, said
    assert not report["media_error"], said
    assert "fragGap" not in [error["details"] for error in report["errors"]], said
    # A busy machine may stall now and then; three holes that stop it are more.
    assert report["stall_seconds"] < STUCK, said
    assert not any(stall.get("open") for stall in report["stalls"]), said
