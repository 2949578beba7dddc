"""Mounts hlsd below a path of another application: pages, playlists and segments under /tv of its one port.

    python examples/mounted.py

    ffmpeg -re -i film.mp4 -c copy -f flv rtmp://127.0.0.1:1935/live/film

http://127.0.0.1:8080/tv/live/film is the player then, http://127.0.0.1:8080/ the application's own page. FastAPI does
it the same way: `FastAPI(lifespan=tv.lifespan)` and `app.mount("/tv", tv)`. Ports may be given: `RTMP APPLICATION`.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import hlsd

RTMP_PORT, APPLICATION_PORT = [int(port) for port in sys.argv[1:3]] or [1935, 8080]

tv = hlsd.asgi(
    hlsd.load(
        None,
        {},
        {
            "rtmp.port": RTMP_PORT,
            "http.bind": "127.0.0.1",  # hlsd's own listener: any free port of this machine, which nobody needs to know
            "http.port": 0,
            "server.state_dir": "var",
        },
    )
)


def greet(viewer: hlsd.Viewer) -> None:
    """postPlay: a viewer's media has begun."""
    print(f"{viewer.ip} watches {viewer.path} with {viewer.user_agent}")  # noqa: T201 - an example shows


tv.server.on("postPlay", greet)


async def front(request: Request) -> PlainTextResponse:  # noqa: ARG001
    """The application's own page."""
    return PlainTextResponse(f"{sum(1 for _ in tv.server.sessions)} watch\n")


app = Starlette(routes=[Route("/", front), Mount("/tv", tv)], lifespan=tv.lifespan)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=APPLICATION_PORT, log_level="warning")
