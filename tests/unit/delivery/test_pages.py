"""The pages: their files, their safety, and the list they live on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from hlsd.base.clock import SystemClock
from hlsd.delivery.pages import PLAYER, Pages, find_hls_js
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import StreamSummary
from tests.support.playable import MemoryDirectory
from tests.unit.delivery.conftest import Running


@pytest.mark.parametrize("path", ["/", "/live/cam", "/live/not-there"])
async def test_both_pages_are_html_behind_a_strict_policy(running: Running, path: str) -> None:
    """No inline script can run, nobody frames the page, and no address leaks by Referer."""
    page = await running.client.get(path, headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert 'data-rtmp-port="1936"' in page.text
    assert not re.search(r"<script(?![^>]*src)|\son[a-z]+=|style=", page.text)


async def test_behind_a_path_of_a_proxy_the_page_names_nothing_outside_of_it(running: Running) -> None:
    """Its files, the way home and the slash that goes; a stranger's word for the path counts for nothing."""
    told = {"accept": "text/html", "x-forwarded-prefix": "/tv/hls/"}
    page = await running.client.get("/live/cam", headers=told)
    named = re.findall(r'(?:href|src|data-hls-js|data-mpegts-js)="([^"]*)"', page.text)
    assert len(named) >= 5
    assert all(not name or name.startswith("/tv/hls/") for name in named), named
    for name in filter(None, named):
        assert (await running.client.get(name.removeprefix("/tv/hls"))).status_code == 200, name
    moved = await running.client.get("/live/cam/?sign=1", headers=told)
    assert moved.headers["location"] == "/tv/hls/live/cam?sign=1"
    twice = await running.client.get("/", headers=[("x-forwarded-prefix", "/a"), ("x-forwarded-prefix", "/b")])
    assert 'src="/_/page.js' in twice.text
    for script in PLAYER.glob("*.js"):
        assert not re.search(r"""(?:fetch\(|href = )["'`]/""", script.read_text()), script


async def test_a_slash_behind_the_name_goes_and_the_signature_stays(running: Running) -> None:
    """The page hands its query to the stream; without it a signed link with a slash would be refused."""
    page = await running.client.get("/live/cam/?sign=1-a&way=flv", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (302, "/live/cam?sign=1-a&way=flv")
    page = await running.client.get("/live/cam/", headers={"accept": "text/html"})
    assert page.headers["location"] == "/live/cam"


async def test_a_cache_keeps_the_page_apart_from_the_way_to_the_playlist(running: Running) -> None:
    """One address answers browsers and players differently: both answers say by what."""
    for accept in ("text/html", "*/*"):
        answer = await running.client.get("/live/cam", headers={"accept": accept})
        assert "Accept" in answer.headers["vary"].split(", "), accept


async def test_every_file_the_page_names_is_there_and_kept_by_its_version(running: Running) -> None:
    """A new release must show at once, an old one must not be asked for again."""
    page = await running.client.get("/")
    names = re.findall(r'(?:href|src)="(/_/[^"]+)"', page.text)
    assert len(names) >= 3
    for name in names:
        file = await running.client.get(name)
        assert file.status_code == 200, name
        assert "immutable" in file.headers["cache-control"]
        bare = await running.client.get(name.partition("?")[0])
        assert bare.headers["cache-control"] == "no-cache"
        again = await running.client.get(name, headers={"if-none-match": bare.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    ["/_/nothing.js", "/_/..%2fpages.py", "/_/page.html", "/api/v1", "/live/cam.flv", "/favicon.ico", "/a/b/c/d/e/f"],
)
async def test_what_is_nobodys_is_404(running: Running, path: str) -> None:
    """Only named files are served: nothing is looked up on disk by what a stranger sends."""
    assert (await running.client.get(path, headers={"accept": "text/html"})).status_code == 404


async def test_the_list_tells_the_streams_and_the_time(running: Running) -> None:
    """The page reckons the latency by the server's clock."""
    running.directory.rows = [
        StreamSummary("live", "cam", "avc1.64001f,mp4a.40.2", 1280, 720, 29.97, 3e6, 1700000000.5, True)
    ]
    answer = await running.client.get("/streams.json")
    body = json.loads(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert body["now"] > 1700000000
    assert body["streams"] == [
        {
            "path": "/live/cam",
            "codecs": "avc1.64001f,mp4a.40.2",
            "width": 1280,
            "height": 720,
            "frame_rate": 29.97,
            "bitrate": 3000000,
            "since": 1700000000.5,
            "publishing": True,
        }
    ]


async def test_streams_that_need_a_ticket_are_not_named_to_anybody() -> None:
    """Their names are half of what a stranger needs, and the page could not play them anyway."""
    directory = MemoryDirectory()
    directory.rows = [
        StreamSummary(app, "cam", "avc1.64001f", 1280, 720, 25.0, 3e6, 1700000000.5, True) for app in ("live", "vip")
    ]
    request = Request({"type": "http", "method": "GET", "path": "/streams.json", "headers": [], "query_string": b""})
    for opened, named, listed in (({"", "live"}, ["/live/cam"], True), (set(), [], False)):
        pages = Pages(directory, HttpSettings(), SystemClock(), 1935, opened.__contains__)
        body = json.loads(bytes((await pages.streams(request)).body))
        assert ([row["path"] for row in body["streams"]], body["listed"]) == (named, listed)


async def test_a_head_of_a_page_and_a_slash_too_many(running: Running) -> None:
    """What people type and what monitors send."""
    assert (await running.client.head("/", headers={"accept": "text/html"})).status_code == 200
    moved = await running.client.get("/live/cam/", headers={"accept": "text/html"})
    assert (moved.status_code, moved.headers["location"]) == (302, "/live/cam")


def test_names_reach_the_page_as_text_only() -> None:
    """A stream named like markup must stay a name."""
    for script in PLAYER.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text())


def test_hls_js_is_taken_from_the_configured_place(tmp_path: Path) -> None:
    """And a place that does not exist is none: the page then says so."""
    file = tmp_path / "hls.min.js"
    assert find_hls_js(str(file)) is None
    file.write_text("x")
    assert find_hls_js(str(file)) == file


def test_hls_js_is_fetched_beside_the_page_s_own_scripts(tmp_path: Path) -> None:
    """The first picture waits for all of them: none of them is to wait for another to name it."""
    file = tmp_path / "hls.min.js"
    file.write_text("x")
    pages = Pages(MemoryDirectory(), HttpSettings(hls_js=str(file)), SystemClock(), 1935)
    shell = pages._shells("").body.decode()
    address = re.search(r'data-hls-js="([^"]+)"', shell)
    assert address is not None
    assert f'<script id="hls-js" src="{address[1]}" async></script>' in shell
    module = re.search(r'rel="modulepreload" href="/_/(player\.js\?v=\w+)"', shell)
    assert module is not None
    assert f'from "./{module[1]}"' in pages._files["page.js"].body.decode(), "else it is fetched twice"


def test_without_hls_js_the_page_says_so(tmp_path: Path) -> None:
    """The script reads an empty address and falls back on the browser's own HLS."""
    pages = Pages(MemoryDirectory(), HttpSettings(hls_js=str(tmp_path / "none.js")), SystemClock(), 1935)
    assert b'data-hls-js=""' in pages._shells("").body
    assert b'hls-js" src' not in pages._shells("").body
