"""Chromium plays by WHEP what was published by RTMP and by WHIP, on a line that loses, and on the page."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.interop.test_whip import chromium, codecs, ffmpeg, server_url
from tests.support.broadcast import wait_for_playlist
from tests.support.eventually import eventually_here
from tests.support.lossy_line import LossyLine
from tests.support.ports import free_port
from tests.support.server import CHECKOUT, HlsdServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.alone, pytest.mark.timeout(150)]

GLASS = 300
"""Milliseconds from when a picture is drawn to when it is shown, on loopback."""


@contextlib.contextmanager
def coded(server: HlsdServer, *more: str) -> Iterator[None]:
    """A publisher by RTMP whose pictures say when they were drawn."""
    command = [sys.executable, "-m", "tests.support.coded_publisher", server.rtmp("cam"), "120", *more]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL) as publisher:
        try:
            eventually_here(lambda: "mp4a" in codecs(server))
            yield
        finally:
            publisher.kill()


def whep(server: HlsdServer, *more: str) -> dict[str, Any]:
    return chromium("whep.mjs", f"http://127.0.0.1:{server.http_port}", "live/cam", *more)


def seen_and_heard(report: dict[str, Any]) -> list[str]:
    """What is wrong with a play of eight seconds and more."""
    late = sorted(report["delays"][30:])  # not while it begins
    found = [f"{report['shown']} pictures were shown"] if report["shown"] < 100 else []
    if report["loudness"] <= 0.1:
        found.append(f"a loudness of {report['loudness']}: {report['inbound']}")
    if not late or statistics.median(late) > GLASS:
        found.append(f"shown so late: {late}")
    return found


def went_on(report: dict[str, Any]) -> list[str]:
    """What is wrong behind an ICE restart."""
    more = report["shown"] - report["before"]
    found = [] if more > 20 else [f"{more} further pictures: {report['inbound']}"]
    return found if report["loudness"] > 0.02 else [*found, f"a loudness of {report['loudness']}"]


def picture_goes_on(report: dict[str, Any]) -> list[str]:
    """What is wrong with a play on a line that loses."""
    video = report["inbound"]["video"]
    found = [f"{report['shown']} pictures were shown"] if report["shown"] < 100 else []
    # Which of whole pictures it shows is the browser's: on a busy core it leaps to the newest key picture, and counts
    # what it leaves out as dropped. One that it could not decode would be neither.
    if video["framesDecoded"] + video["framesDropped"] < 0.9 * video["framesReceived"]:
        found.append(f"not decoded: {video}")
    if report["longest"] >= 2500:  # at worst the next key picture
        found.append(f"{report['longest']} ms without one")
    return found


def figure(server: HlsdServer, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{server.http_port}/metrics", headers=server.bearer).text
    return sum(float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(name))


@pytest.mark.alone
def test_pictures_are_seen_within_three_tenths_of_a_second_and_the_tone_is_heard(tmp_path: Path) -> None:
    with HlsdServer(tmp_path) as server, coded(server):
        report = whep(server, "--seconds", "8")
        assert report["status"] == 201, report
        assert seen_and_heard(report) == []
        assert report["deleted"] == 200
        assert figure(server, 'hlsd_session_sent_bytes_total{app="live",protocol="whep"') > 300_000
        assert figure(server, "hlsd_whep_sessions ") == 0


def test_on_a_long_line_that_loses_two_percent_the_picture_goes_on_and_the_tone_is_heard(tmp_path: Path) -> None:
    port = free_port()
    env = {"HLSD_WEBRTC__BIND": "127.0.0.1", "HLSD_WEBRTC__PORT": str(port), "HLSD_WEBRTC__HOSTS": "127.0.0.2"}
    lossy = LossyLine(port, 0.02, 7, late=0.04)
    lossy.start()
    try:
        with HlsdServer(tmp_path, env=env) as server, coded(server):
            report = whep(server, "--seconds", "12")
            again = figure(server, 'hlsd_whep_packets_total{kind="again"}')
            missed = figure(server, 'hlsd_whep_packets_total{kind="missed"}')
    finally:
        lossy.over = True
        lossy.join()
    video = report["inbound"]["video"]
    assert lossy.dropped >= 5
    assert again >= 3, video
    assert picture_goes_on(report) == []
    assert report["loudness"] > 0.1, report["inbound"]
    # What the server owes: all that was asked for came again, so that no decoder had to ask for a key picture.
    assert missed == 0
    assert video["packetsLost"] - video["retransmittedPacketsReceived"] <= 3, video  # lost as the test ended
    assert video["pliCount"] == 0, video


def test_what_is_published_by_whip_is_played_and_goes_on_over_an_ice_restart(tmp_path: Path) -> None:
    with HlsdServer(tmp_path) as server, ffmpeg(server_url(server), tmp_path / "ffmpeg.log", seconds=60):
        eventually_here(lambda: "mp4a" in codecs(server))
        report = whep(server, "--seconds", "8", "--restart")
    assert report["restarted"] == 200, report
    assert went_on(report) == []


def test_b_frames_are_refused_in_words_and_the_page_goes_on_by_hls(tmp_path: Path) -> None:
    with HlsdServer(tmp_path, target=1) as server, coded(server, "--bframes", "2"):
        eventually_here(lambda: figure(server, 'hlsd_stream_info{app="live"') > 0)
        refused = whep(server)
        for _ in range(3):  # who comes before the first of them was seen is let in, and told when it is
            if refused["status"] == 422:
                break
            refused = whep(server)
        assert refused["status"] == 422, refused
        assert "bframes=0" in refused["problem"]["detail"]
        page = whep(server, "--page", "--seconds", "1")
        assert page["way"] == "hls"
        assert page["engine"] != "WebRTC"


def test_the_page_plays_it_and_tells_its_latency(tmp_path: Path) -> None:
    with HlsdServer(tmp_path) as server, coded(server):
        wait_for_playlist(server.hls("cam"))  # a page that is early asks again, and its browser complains of the 404
        page = whep(server, "--page", "--seconds", "4", "--screenshot", str(tmp_path / "page.png"))
    assert page["errors"] == []
    assert (page["way"], page["engine"]) == ("whep", "WebRTC")
    assert page["chosen"].startswith("WebRTC · ")
    assert 0 < float(page["latency"].split()[0]) < 2, page  # the browsers of other tests share the cores
    assert page["bitrate"].endswith("bit/s")
