"""Runs hlsd inside another Starlette application: one process, one event loop, your own rules and pages.

    python examples/embed.py

RTMP on 1935 and HLS on 8000 are hlsd's; the application's own pages are on 8080. Publishers need `?key=letmein` (a rule
of this example), viewers may not watch streams whose name begins with "private". http://127.0.0.1:8080/viewers tells
who watches, http://127.0.0.1:8080/events what happened last. Ports may be given: `RTMP HTTP APPLICATION`.
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

from hlsd.app import Server
from hlsd.config import load
from hlsd.events import Subject
from hlsd.streams.publisher import Publisher

RTMP_PORT, HTTP_PORT, APPLICATION_PORT = [int(port) for port in sys.argv[1:4]] or [1935, 8000, 8080]

settings = load(
    None,
    {},
    {
        "rtmp.port": RTMP_PORT,
        "http.port": HTTP_PORT,
        "server.state_dir": "var",
    },
)


async def only_with_key(publisher: Subject) -> None:
    """prePublish: handlers may be coroutines and take their time; the publisher waits."""
    assert isinstance(publisher, Publisher)
    if publisher.query.get("key") != "letmein":
        publisher.reject()


def not_the_private_ones(session: Subject) -> None:
    """prePlay: or plain functions."""
    if getattr(session, "name", "").startswith("private"):
        session.reject()


def said(subject: Subject) -> None:
    """What happens afterwards."""
    print("done:", subject.id)  # noqa: T201 - an example shows


@asynccontextmanager
async def with_hlsd(application: Starlette) -> AsyncIterator[None]:
    """The application's lifespan is hlsd's."""
    server = Server(settings)
    server.on("prePublish", only_with_key)
    server.on("prePlay", not_the_private_ones)
    server.on("donePublish", said)
    server.on("donePlay", said)
    async with server:
        application.state.hlsd = server
        yield


async def viewers(request: Request) -> JSONResponse:
    """Who watches at this instant."""
    server: Server = request.app.state.hlsd
    return JSONResponse(
        [{"id": session.id, "path": session.path, "bytes": session.out_bytes} for session in server.sessions]
    )


async def events(request: Request) -> JSONResponse:
    """The last events; `?after=` is the cursor of the answer before."""
    server: Server = request.app.state.hlsd
    found, cursor = server.notify.ring.after(int(request.query_params.get("after", "0")), 100)
    return JSONResponse({"events": found, "cursor": cursor})


app = Starlette(routes=[Route("/viewers", viewers), Route("/events", events)], lifespan=with_hlsd)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=APPLICATION_PORT, log_level="warning")
