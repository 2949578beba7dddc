"""A mount: what is taken off the path, what is refused, and whose life the server's is."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from hlsd.delivery.hosted import MOUNT, HostedApp
from hlsd.delivery.settings import HttpSettings
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app


class Life:
    """Starts and stops, or fails to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.told: list[str] = []

    async def __aenter__(self) -> Self:
        if self.fault is not None:
            raise self.fault
        self.told.append("start")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.told.append("stop")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    words = f"{scope.get(MOUNT, '-')} {scope['path']} {scope['raw_path'].decode()} {scope['root_path']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": words.encode()})


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as http:
        yield http


@pytest.mark.parametrize(
    ("mount", "asked", "seen"),
    [
        ("", "/live/a%2fb", "- /live/a/b /live/a%2fb "),
        ("/tv", "/tv/live/a%2fb", "/tv /live/a/b /live/a%2fb "),
        ("/a/b", "/a/b/live/film.m3u8", "/a/b /live/film.m3u8 /live/film.m3u8 "),
        ("/tv", "/tv/", "/tv / / "),
    ],
)
async def test_the_server_sees_its_own_paths_and_what_was_taken_off(mount: str, asked: str, seen: str) -> None:
    """The judge reads raw paths: `%2f` in a name is no slash, below a mount no more than at the root."""
    hosted = HostedApp(Life(), lambda: echo)
    async with client(Starlette(routes=[Mount(mount, hosted)])) as http:
        assert (await http.get(asked)).text == seen


async def test_a_mount_within_a_mount_and_behind_a_proxy_is_all_said() -> None:
    """A redirect must name every step that somebody takes off."""
    settings = HttpSettings(prefix="/outside")
    directory = MemoryDirectory(cam=MemoryPlayable())
    hosted = HostedApp(Life(), lambda: web_app(directory, viewers(), settings))
    inner = Starlette(routes=[Mount("/tv", hosted)])
    async with client(Starlette(routes=[Mount("/site", inner)])) as http:
        answer = await http.get("/site/tv/live/cam/", headers={"Accept": "text/html"})
        assert answer.headers["location"] == "/outside/site/tv/live/cam"
        flat = await http.get("/site/tv/live/cam.m3u8?flat=1")
        assert flat.headers["location"].startswith("/outside/site/tv/live/cam/~")


@pytest.mark.parametrize("root", ["//evil.example", "/a/../b", "/a b", '/"x', "/%74v"])
async def test_a_root_path_that_is_no_plain_path_is_not_followed(root: str) -> None:
    """It would go into addresses that browsers follow."""
    hosted = HostedApp(Life(), lambda: echo)
    scope = {"type": "http", "method": "GET", "path": f"{root}/x", "raw_path": b"/x", "root_path": root, "headers": []}
    assert await _status(hosted, scope) == 404


async def test_a_path_written_otherwise_than_the_mount_is_not_found() -> None:
    """/%74v/… is /tv/… to a router; the judge would read another path than it."""
    hosted = HostedApp(Life(), lambda: echo)
    async with client(Starlette(routes=[Mount("/tv", hosted)])) as http:
        assert (await http.get("/%74v/live/film")).status_code == 404


async def test_while_the_server_does_not_run_it_says_so() -> None:
    """A host that forgot the lifespan must find out by an answer, not by a traceback."""
    async with client(HostedApp(Life(), lambda: None)) as http:
        assert (await http.get("/live/film.m3u8")).status_code == 503


async def test_a_websocket_below_a_mount_is_closed() -> None:
    """WebSocket-FLV takes its connection over, which a host's listener cannot give."""
    told: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    await HostedApp(Life(), lambda: echo)({"type": "websocket", "path": "/x", "root_path": ""}, receive, send)
    assert [message["type"] for message in told] == ["websocket.close"]


async def test_its_life_is_the_hosts_or_its_own() -> None:
    """Mounted, the host's lifespan starts it; served alone, the lifespan protocol does."""
    life = Life()
    async with HostedApp(life, lambda: echo).lifespan(None):
        assert life.told == ["start"]
    assert life.told == ["start", "stop"]
    life = Life()
    assert await _lifespan(HostedApp(life, lambda: echo)) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert life.told == ["start", "stop"]


async def test_a_start_that_fails_is_told_to_the_host() -> None:
    """A port that is taken: the host must not serve on as if nothing were."""
    hosted = HostedApp(Life(OSError("rtmp.port: cannot listen")), lambda: echo)
    with pytest.raises(OSError, match="cannot listen"):
        await _lifespan(hosted)
    with pytest.raises(OSError, match="cannot listen"):
        async with hosted.lifespan():
            pass


async def _lifespan(app: HostedApp[Life]) -> list[str]:
    told: list[str] = []
    asked = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(asked)}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return told


async def _status(app: HostedApp[Life], scope: Scope) -> int:
    told: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    return int(told[0]["status"])
