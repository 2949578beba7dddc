"""A transport stream is published by POST and PUT as FLV is, and what is none is refused before anybody is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hlsd.app import Server
from tests.support.services import running
from tests.support.tsfilm import make_ts
from tests.support.watched import Watched

pytestmark = pytest.mark.thorough


async def put(server: Server, body: bytes, method: str = "POST", path: str = "/live/cam.ts") -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:  # chunked: its length is not told
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with httpx.AsyncClient(timeout=20) as client:
        url = f"http://127.0.0.1:{server.services['http'].port}{path}"
        return await client.request(method, url, content=pieces())


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_film_is_published_to_its_last_picture(tmp_path: Path, method: str) -> None:
    async with running(tmp_path) as server:
        watched = Watched(server)
        answer = await put(server, make_ts(seconds=4.0, gop=15), method)
        assert answer.status_code == 204
        told = {event.action.value: event for event in watched.told}
        assert told["postPublish"].facts["protocol"] == "ts"
        assert told["donePublish"].facts["reason"] == "closed"
        assert told["donePublish"].facts["inbytes"] == len(make_ts(seconds=4.0, gop=15))
        stream = server.hub.get("live", "cam")
        assert stream is not None
        assert stream.run is not None
        assert stream.tracks is not None
        assert stream.tracks.audio is not None


async def test_what_is_no_transport_stream_is_refused_with_words(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        watched = Watched(server)
        answer = await put(server, b"no packet of it" * 20_000)
        assert (answer.status_code, answer.text) == (400, "400 no packet of a transport stream in 65536 bytes\n")
        answer = await put(server, b"short")
        assert (answer.status_code, answer.text) == (400, "400 no MPEG-TS stream\n")
        assert watched.told == []


async def test_a_page_of_a_stream_with_such_a_name_is_still_a_page_and_off_is_off(tmp_path: Path) -> None:
    async with running(tmp_path, {"publish.ts": False}) as server:
        assert (await put(server, b"G" * 188)).status_code == 405
        assert (await put(server, b"", "GET")).headers["location"] == "/live/cam.ts.m3u8"
