"""Carries requests and answers between ASGI and the judge; pages behind it.

The road for streams is plain ASGI: no request object, no background task, a body goes out in one send. What the judge
does not claim goes on to the routes: pages, `/streams.json`, `/healthz`, and those of other rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hlsd.clock import Clock
from hlsd.delivery.answer import Fall, Judge
from hlsd.delivery.errands import Errands
from hlsd.delivery.holds import Bounds, Crowd, Holds
from hlsd.delivery.pages import Pages
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import Directory, Session, Sessions

COUNTED = "hlsd.counted"
"""What an endpoint of another room sets in the scope if it charges the body of its answer itself."""


def create_app(  # noqa: PLR0913 - what a server is made of
    directory: Directory,
    sessions: Sessions,
    settings: HttpSettings,
    clock: Clock,
    *,
    rtmp_port: int = 1935,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The HTTP side of a server: streams and pages, and before the pages the `routes` of other rooms.

    `app.state.judge`, `errands`, `holds`, `sessions` and `directory` are there for whoever answers or drains
    beside ASGI.
    """
    judge = Judge(directory, sessions, settings)
    bounds = Bounds(
        stream=settings.max_waiters,
        node=settings.max_waiters_total,
        session=settings.max_waiters_per_session,
        address=settings.max_waiters_per_ip,
    )
    holds = Holds(bounds)
    errands = Errands(judge, directory, sessions, holds, clock)
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
        middleware=[Middleware(StreamRoad, judge=judge, errands=errands, sessions=sessions)],
        exception_handlers={404: pages.missing},
    )
    app.router.redirect_slashes = False
    app.state.judge = judge
    app.state.errands = errands
    app.state.holds = holds
    app.state.sessions = sessions
    app.state.directory = directory
    return app


class Carrier(Protocol):
    """The connection under an ASGI request, where it wants to know what is sent on it (`scope["hlsd"]`)."""

    @property
    def crowd(self) -> Crowd | None:
        """Those who share the client's address."""
        ...

    def charge(self, session: Session | None, size: int, media: bool) -> None:
        """`size` bytes of body were handed over."""
        ...


class StreamRoad:
    """Pure ASGI: asks the judge first, and hands on what is not a stream's business. Counts every body byte."""

    def __init__(self, app: ASGIApp, judge: Judge, errands: Errands, sessions: Sessions) -> None:
        self._app = app
        self._judge = judge
        self._errands = errands
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from the judge's answer to its last byte."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = cast("Carrier | None", scope.get("hlsd"))
        charge = carrier.charge if carrier is not None else self._sessions.charge
        request = read_request(scope)
        answer = self._judge.answer(request)
        if isinstance(answer, Fall):
            await self._app(scope, receive, _counted(send, charge, scope))
            return
        crowd = carrier.crowd if carrier is not None else None
        reply = await self._errands.reply(request, answer, lambda: _hung_up(receive), crowd)
        if reply is None:
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})
        charge(request.session, len(reply.body), reply.media)


def _counted(send: Send, charge: Callable[[Session | None, int, bool], None], scope: Scope) -> Send:
    """`send`, with its body bytes on nobody's account, unless the endpoint charges them itself (`COUNTED`)."""

    async def counting(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body" and COUNTED not in scope:
            charge(None, len(message.get("body", b"")), False)

    return counting


def read_request(scope: Scope) -> Request:
    """The request of an ASGI scope, in the judge's words."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in WANTED_HEADERS:
            headers[name] = value if name not in headers else headers[name] + b", " + value
    raw = cast("bytes | None", scope.get("raw_path")) or scope["path"].encode("utf-8", "surrogateescape")
    client = scope.get("client")
    return Request(scope["method"], raw, scope["query_string"], headers, *(client or ("", 0)))


async def _hung_up(receive: Receive) -> None:
    """Returns when the client has closed the connection; a body it may send is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
