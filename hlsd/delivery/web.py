"""Carries requests and answers between ASGI and the judge; pages behind it.

The road for streams is plain ASGI: no request object, no background task, a body goes out in one send. What the judge
does not claim goes on to the routes: pages, `/streams.json`, `/healthz`, and those of other rooms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hlsd.clock import Clock
from hlsd.delivery.answer import Fall, Judge, Reply, Sids
from hlsd.delivery.holds import Holds, Outcome
from hlsd.delivery.pages import Pages
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import Directory


def create_app(  # noqa: PLR0913 - what a server is made of
    directory: Directory,
    sids: Sids,
    settings: HttpSettings,
    clock: Clock,
    *,
    rtmp_port: int = 1935,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The HTTP side of a server: streams and pages, and before the pages the `routes` of other rooms.

    `app.state.judge` and `app.state.holds` are there for whoever answers or drains beside ASGI.
    """
    judge = Judge(directory, sids, settings)
    holds = Holds(settings.max_waiters)
    pages = Pages(directory, settings, clock, rtmp_port)
    app = Starlette(
        routes=[
            Route("/healthz", pages.healthy),
            *routes,
            Route("/", pages.page),
            Route("/streams.json", pages.streams),
            Route("/_/{name}", pages.file),
            Route("/{app}/{name}", pages.page),
            Route("/{app}/{name}/", pages.page),
        ],
        middleware=[Middleware(StreamRoad, judge=judge, holds=holds)],
        exception_handlers={404: pages.missing},
    )
    app.router.redirect_slashes = False
    app.state.judge = judge
    app.state.holds = holds
    return app


class StreamRoad:
    """Pure ASGI: asks the judge first, and hands on what is not a stream's business."""

    def __init__(self, app: ASGIApp, judge: Judge, holds: Holds) -> None:
        self._app = app
        self._judge = judge
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from the judge's answer to its last byte."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = read_request(scope)
        answer = self._judge.answer(request)
        if isinstance(answer, Fall):
            await self._app(scope, receive, send)
            return
        if not isinstance(answer, Reply):
            outcome = await self._holds.wait(answer, lambda: _hung_up(receive))
            if outcome is Outcome.GONE:
                return
            if outcome is Outcome.REFUSED:
                answer = self._judge.unavailable(request)
            else:
                answer = answer.then(outcome is Outcome.RELEASED)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


def read_request(scope: Scope) -> Request:
    """The request of an ASGI scope, in the judge's words."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in WANTED_HEADERS:
            headers[name] = value if name not in headers else headers[name] + b", " + value
    raw = cast("bytes | None", scope.get("raw_path")) or scope["path"].encode("utf-8", "surrogateescape")
    return Request(scope["method"], raw, scope["query_string"], headers)


async def _hung_up(receive: Receive) -> None:
    """Returns when the client has closed the connection; a body it may send is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
