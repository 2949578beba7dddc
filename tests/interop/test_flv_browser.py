"""A browser plays FLV: mpegts.js as pages have it, and our own page with `?way=flv`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.test_flv_viewers import flv_url, on_air
from tests.support import browser as browsers
from tests.support.footage import Film

pytestmark = [pytest.mark.interop, pytest.mark.browser, pytest.mark.timeout(150)]


def test_chromium_plays_by_http_by_websocket_and_on_the_page(films: Path, tmp_path: Path) -> None:
    # mpegts.js from another origin, as flv.js-era pages use it, and our own page, which tells the latency.
    why = browsers.missing("chromium")
    if why:
        pytest.skip(why)
    with on_air((films, tmp_path), Film(seconds=60), to_the_end=False) as (server, _):
        for scheme in ("http", "ws"):
            report = browsers.play(flv_url(server).replace("http", scheme, 1), "chromium", "mpegts", 3)
            said = {key: report[key] for key in ("played", "first_frame", "errors", "media_error", "console")}
            assert report["errors"] == [], said
            assert report["played"] > 0.5, said
            assert report["decoded"] > 10, said
        report = browsers.play(server.page("cam") + "?way=flv", "chromium", "page", 4)
    assert report["errors"] == [], report
    assert report["page"]["engine"].startswith("mpegts.js"), report["page"]
    assert report["page"]["latency"] is not None, report["page"]
    assert report["played"] > 0.5, report
