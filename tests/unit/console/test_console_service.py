"""The console's page and files: what strangers get of them, and what they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from hlsd.console.service import FILES
from tests.support.services import running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        yield server


async def get(server: Server, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"http://127.0.0.1:{server.services['http'].port}{path}", headers=headers)


async def test_the_page_lets_nobody_frame_it_and_runs_only_its_own_scripts(server: Server) -> None:
    page = await get(server, "/console")
    assert page.status_code == httpx.codes.OK
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "{{" not in page.text
    assert "<script>" not in page.text
    assert " style=" not in page.text


async def test_every_module_that_a_module_imports_is_there(server: Server) -> None:
    for file in FILES.glob("*.js"):
        for line in file.read_text().splitlines():
            if line.startswith("import"):
                name = line.rpartition('"./')[2].rstrip('";')
                answer = await get(server, f"/_/console/{name}")
                assert answer.status_code == httpx.codes.OK, name
                assert answer.headers["content-type"].startswith("text/javascript")


async def test_a_file_that_has_not_changed_is_not_sent_again(server: Server) -> None:
    first = await get(server, "/_/console/console.css")
    again = await get(server, "/_/console/console.css", **{"if-none-match": first.headers["etag"]})
    assert again.status_code == httpx.codes.NOT_MODIFIED
    for name in ("console.html", "nothing.js", "..%2fservice.py", "%2e%2e/service.py"):
        assert (await get(server, f"/_/console/{name}")).status_code == httpx.codes.NOT_FOUND


async def test_the_curves_want_a_token(server: Server) -> None:
    path = "/api/v1/streams/live/cam/history"
    assert (await get(server, path)).status_code == httpx.codes.UNAUTHORIZED
    told = await get(server, path, authorization=f"Bearer {server.node.local_token.value}")
    data = told.json()["data"]
    assert (data["every_ms"], data["bitrate"], data["sessions"]) == (10_000, [], [])


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    async with running(tmp_path, {"console.enabled": False}) as server:
        assert (await get(server, "/console")).status_code == httpx.codes.NOT_FOUND
        assert (await get(server, "/_/console/console.js")).status_code == httpx.codes.NOT_FOUND
