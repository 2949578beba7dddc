"""Runs hlsd beside another Starlette application: one process, one event loop, your own rules and pages.

    python examples/embed.py

RTMP on 1935 and HLS on 8000 are hlsd's; the application's own pages are on 8080. Publishers need `?key=letmein` (a rule
of this example), viewers may not watch streams whose name begins with "private". http://127.0.0.1:8080/viewers tells
who watches, http://127.0.0.1:8080/events what happened last. Ports may be given: `RTMP HTTP APPLICATION`.

examples/mounted.py shows the other way: hlsd's pages and playlists below a path of the application's own.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import hlsd

RTMP_PORT, HTTP_PORT, APPLICATION_PORT = [int(port) for port in sys.argv[1:4]] or [1935, 8000, 8080]

settings = hlsd.load(None, {}, {"rtmp.port": RTMP_PORT, "http.port": HTTP_PORT, "server.state_dir": "var"})


async def only_with_key(publisher: hlsd.Publisher) -> None:
    """prePublish: handlers may be coroutines and take their time; the publisher waits."""
    if publisher.query.get("key") != "letmein":
        publisher.reject()


def not_the_private_ones(viewer: hlsd.Viewer) -> None:
    """prePlay: or plain functions."""
    if viewer.name.startswith("private"):
        viewer.reject()


def watched(viewer: hlsd.Viewer) -> None:
    """A viewer has gone: what happens afterwards."""
    print(f"done: {viewer.id} watched {viewer.path}, {viewer.media_bytes} bytes: {viewer.reason}")  # noqa: T201 - an example shows


def published(publisher: hlsd.Publisher) -> None:
    """A publisher has gone."""
    print(f"done: {publisher.id} published {publisher.path} from {publisher.ip}")  # noqa: T201


@asynccontextmanager
async def with_hlsd(application: Starlette) -> AsyncIterator[None]:
    """The application's lifespan is hlsd's."""
    server = hlsd.Server(settings)
    server.on("prePublish", only_with_key)
    server.on("prePlay", not_the_private_ones)
    server.on("donePublish", published)
    server.on("donePlay", watched)
    async with server:
        application.state.hlsd = server
        yield


async def viewers(request: Request) -> JSONResponse:
    """Who watches at this instant."""
    server: hlsd.Server = request.app.state.hlsd
    return JSONResponse(
        [{"id": session.id, "path": session.path, "bytes": session.out_bytes} for session in server.sessions]
    )


async def events(request: Request) -> JSONResponse:
    """The last events; `?after=` is the cursor of the answer before."""
    server: hlsd.Server = request.app.state.hlsd
    found, cursor = server.notify.ring.after(int(request.query_params.get("after", "0")), 100)
    return JSONResponse({"events": found, "cursor": cursor})


app = Starlette(routes=[Route("/viewers", viewers), Route("/events", events)], lifespan=with_hlsd)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=APPLICATION_PORT, log_level="warning")
