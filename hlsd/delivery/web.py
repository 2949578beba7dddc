"""Carries requests and answers between ASGI and the judge; pages behind it.

The way for streams is plain ASGI: no request object, no background task, a body goes out in one send. What the judge
does not claim goes on to the routes: pages, `/streams.json`, `/healthz`, and those of other services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hlsd.base.clock import Clock
from hlsd.delivery.answer import Fall, Reply
from hlsd.delivery.blocked_requests import BlockedRequests, Bounds
from hlsd.delivery.figures import DeliveryFigures
from hlsd.delivery.hls_viewers import HlsViewers
from hlsd.delivery.hosted import MOUNT
from hlsd.delivery.http1.connections import Connections
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.judge import Judge
from hlsd.delivery.pages import Pages
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.response_cache import ResponseCaches
from hlsd.delivery.runner import Runner
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import WaiterCount
from hlsd.net.kernel import file_limit
from hlsd.ports import Directory, Entrance, Playable, Sessions, ViewerSession, rest_of
from hlsd.stats import Stats

PIECE = 64 * 1024
"""Bytes of a body that are handed over at a time where only their going tells how far it got."""

COUNTED = "hlsd.counted"
"""What an endpoint of another service sets in the scope if it charges the body of its answer itself, which goes on and
on: the answer is counted when it begins."""
STATUS = "hlsd.status"
"""Where an endpoint that takes its connection over says what it has answered there."""


def blocked_requests_of(settings: HttpSettings, stats: Stats) -> BlockedRequests:
    """Where requests wait, with the bounds of the settings."""
    bounds = Bounds(
        stream=settings.max_waiters,
        node=settings.max_waiters_total,
        session=settings.max_waiters_per_session,
        address=settings.max_waiters_per_ip,
    )
    return BlockedRequests(bounds, stats.faults)


@dataclass(frozen=True, slots=True)
class WebApp:
    """What HTTP answers on every port of a server, and what is there for whoever answers or drains beside ASGI."""

    app: Starlette
    judge: Judge
    runner: Runner
    blocked: BlockedRequests
    connections: Connections
    sessions: Sessions
    directory: Directory
    stats: Stats
    playables: Callable[[], Iterable[tuple[str, Playable]]]
    hot: HotPath
    """What the connections of all listeners share beside ASGI."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the application that it is."""
        await self.app(scope, receive, send)

    def figures(self) -> DeliveryFigures:
        """Who reports the figures of all HTTP ports together."""
        return DeliveryFigures(self.blocked, self.connections, self.stats, self.playables)


def create_app(  # noqa: PLR0913 - what a server is made of
    directory: Directory,
    sessions: Sessions,
    settings: HttpSettings,
    clock: Clock,
    *,
    entrance: Entrance,
    rtmp_port: int = 1935,
    routes: Sequence[BaseRoute] = (),
    stats: Stats | None = None,
    judge: Judge | None = None,
    playables: Callable[[], Iterable[tuple[str, Playable]]] = tuple,
    listed: Callable[[str], bool] = lambda _app: True,
    behind: ASGIApp | None = None,
) -> WebApp:
    """The HTTP side of a server: streams and pages, and before the pages the `routes` of other services.

    `entrance` lets viewers in. `playables()` are the streams of figures, each with its app. `listed(app)`: whether the
    front page may name that app's streams. `behind` answers what neither is a stream's business nor one of `routes`,
    instead of the pages.
    """
    stats = stats or Stats()
    judge = judge or Judge(directory, sessions, settings)
    blocked = blocked_requests_of(settings, stats)
    viewers = HlsViewers(entrance, directory, judge.replies, settings, clock)
    runner = Runner(judge, viewers, blocked, clock, stats)
    pages = Pages(directory, settings, clock, rtmp_port, listed)
    pages_of = [
        Route("/", pages.page),
        Route("/streams.json", pages.streams),
        Route("/_/films", pages.films),
        Route("/_/{name}", pages.file),
        Route("/{app}/{name}", pages.page),
        Route("/{app}/{name}/r", pages.recordings),
        Route("/{app}/{name}/", pages.page),
    ]
    app = Starlette(
        routes=[
            Route("/healthz", pages.healthy),
            *routes,
            *([] if behind is not None else pages_of),
        ],
        middleware=[Middleware(StreamMiddleware, judge=judge, runner=runner, sessions=sessions)],
        exception_handlers={404: pages.missing},
    )
    app.router.redirect_slashes = False
    if behind is not None:
        app.router.default = behind
    connections = Connections(settings, monotonic(), file_limit(), stats.faults)
    refusal = judge.replies.unavailable(Request("GET", b"/", b"", {}))
    hot = HotPath(
        settings=settings,
        directory=directory,
        sessions=sessions,
        caches=ResponseCaches(judge, stats),
        blocked=blocked,
        connections=connections,
        quality=runner.quality,
        http=stats.http,
        refusal=ReadyBytes(refusal, stats.http.ready_cell("other", refusal.status)),
        proxies=settings.proxies,
        varies=judge.replies.varies,
        codings={},
    )
    return WebApp(app, judge, runner, blocked, connections, sessions, directory, stats, playables, hot)


Charge = Callable[[ViewerSession | None, int, int], None]
"""So many bytes were handed over to a session."""


class Carrier(Protocol):
    """The connection under an ASGI request, where it wants to know what is sent on it (`scope["hlsd"]`)."""

    @property
    def address(self) -> WaiterCount | None:
        """Those who share the client's address."""
        ...

    def charge(self, session: ViewerSession | None, size: int, media: int) -> None:
        """`size` bytes of body were handed over."""
        ...

    def cut(self) -> None:
        """Ends it now, whatever is under way."""
        ...


def charge_of(scope: Scope, sessions: Sessions) -> Charge:
    """What counts the bytes of an answer: its connection, where that wants to know, or the sessions themselves."""
    carrier = cast("Carrier | None", scope.get("hlsd"))
    return carrier.charge if carrier is not None else sessions.charge


class StreamMiddleware:
    """Pure ASGI: asks the judge first, and hands on what is not a stream's business. Counts every body byte."""

    def __init__(self, app: ASGIApp, judge: Judge, runner: Runner, sessions: Sessions) -> None:
        self._app = app
        self._judge = judge
        self._runner = runner
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from the judge's answer to its last byte."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = cast("Carrier | None", scope.get("hlsd"))
        charge = carrier.charge if carrier is not None else self._sessions.charge
        request = read_request(scope)
        request.begun = monotonic()
        answer = self._judge.answer(request)
        if isinstance(answer, Fall):
            await self._foreign(scope, receive, _counted(send, charge, scope), request)
            return
        address = carrier.address if carrier is not None else None
        self._runner.hear(request, scope["headers"])
        reply = await self._runner.reply(request, answer, lambda: hung_up(receive), address)
        if reply is None:
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        if carrier is None and len(reply.body) > PIECE:
            await self._send_pieces(request, reply, receive, send)
        else:
            await send({"type": "http.response.body", "body": reply.body})
            charge(request.session, len(reply.body), reply.media)
        self._runner.answered(request, reply.status)

    async def _send_pieces(self, request: Request, reply: Reply, receive: Receive, send: Send) -> None:
        """Sends a large body over a connection that does not tell what has left it: each piece counts when it goes."""
        session, body = request.session, memoryview(reply.body)
        gone = asyncio.ensure_future(hung_up(receive))
        if session is not None:
            session.flows += 1
        try:
            for at in range(0, len(body), PIECE):
                piece = body[at : at + PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": at + PIECE < len(body)})
                await asyncio.sleep(0)  # or a hang-up is never noticed
                if gone.done():
                    return
                self._sessions.charge(session, len(piece), reply.media if not at else rest_of(reply.media))
                if session is not None:
                    session.last = monotonic()
        finally:
            if session is not None:
                session.flows -= 1
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _foreign(self, scope: Scope, receive: Receive, send: Send, request: Request) -> None:
        """What the routes answer; what they raise becomes a 500 further out. A client that left got no answer."""
        status = 0
        told = False

        async def noting(message: Message) -> None:
            nonlocal status, told
            if message["type"] == "http.response.start":
                status = message["status"]
                if COUNTED in scope:
                    told = True
                    self._runner.answered(request, status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = status or 500
            raise
        finally:
            status = scope.get(STATUS, status)
            if status and not told:
                self._runner.answered(request, status)


def _counted(send: Send, charge: Callable[[ViewerSession | None, int, int], None], scope: Scope) -> Send:
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
    request = Request(scope["method"], raw, scope["query_string"], headers, *(client or ("", 0)))
    request.mount = scope.get(MOUNT, "")
    request.size = (
        16 + len(raw) + len(request.query) + sum([len(name) + len(value) + 4 for name, value in scope["headers"]])
    )
    return request


async def hung_up(receive: Receive) -> None:
    """Returns when the client has closed the connection; a body it may send is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
