"""The browser harness sees what there is to see: good media plays, missing media is reported, our page is clean."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import StreamSummary
from tests.support.browser import Browser, Mode, missing, play, play_async
from tests.support.playable import MemoryDirectory
from tests.support.viewers import viewers
from tests.support.web import web_app

pytestmark = pytest.mark.browser


def need(browser: Browser) -> None:
    reason = missing(browser) or (None if shutil.which("ffmpeg") else "ffmpeg is not installed")
    if reason:
        pytest.skip(reason)


class OpenFiles(http.server.SimpleHTTPRequestHandler):
    """Files for pages of any origin."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the base class
        """Says nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with eight seconds of HLS made by ffmpeg, and where it is served."""
    need("chromium")
    source = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=440 -t 8 -c:v libx264 -preset ultrafast -bf 0"
    target = "-pix_fmt yuv420p -g 50 -c:a aac -f hls -hls_time 2 -hls_playlist_type vod cam.m3u8"
    subprocess.run(["ffmpeg", "-v", "error", *source.split(), *target.split()], cwd=tmp_path, check=True, timeout=60)
    handler = functools.partial(OpenFiles, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}/cam.m3u8"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("browser", "mode"), [("chromium", "hlsjs"), ("chromium", "native"), ("firefox", "hlsjs")])
def test_good_media_plays(folder: tuple[Path, str], browser: Browser, mode: Mode) -> None:
    """Else every verdict of the interop tests would be about the harness; stalls are left to a machine at rest."""
    need(browser)
    report = play(folder[1], browser, mode, 6)
    assert report["played"] > 2
    assert report["decoded"] > 50
    assert (report["width"], report["height"]) == (320, 180)
    assert report["fatal_errors"] == 0
    assert report["media_error"] is None
    assert report["first_frame"] > 0


def test_missing_media_is_reported(folder: tuple[Path, str]) -> None:
    """A harness that cannot fail proves nothing."""
    for segment in folder[0].glob("*.ts"):
        segment.unlink()
    report = play(folder[1], seconds=4)
    assert report["played"] == 0
    assert "fragLoadError" in {error["details"] for error in report["errors"]}


@pytest.mark.parametrize(
    "rows", [[], [StreamSummary("live", "<img src=x onerror=alert(1)>", "avc1.64001f", 1, 1, 25, 1, 0, True)]]
)
async def test_the_front_page_runs_without_a_complaint(rows: list[StreamSummary]) -> None:
    """No script error, nothing against the page's own policy, and a name like markup stays a name."""
    need("chromium")
    settings = HttpSettings(bind="127.0.0.1", port=0)
    directory = MemoryDirectory()
    directory.rows = rows
    server = HttpServer(settings, web_app(directory, viewers(), settings), structlog.get_logger())
    await server.start()
    try:
        report = await play_async(f"http://127.0.0.1:{server.port}/", mode="page", seconds=3)
    finally:
        await server.stop(2)
    assert report["page"]["state"] == ("refused" if rows else "idle")  # no stream can have that name
    assert [line for line in report["console"] if "Failed to load resource" not in line] == []
