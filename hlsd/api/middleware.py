"""Stands before everything under /api: lets callers in or not, and turns whatever goes wrong into a problem.

Access is decided before it is looked what there is, so that a stranger cannot tell a route from none. What changes
something is logged with the name of the token that did it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import cache

from starlette.datastructures import MutableHeaders, URLPath
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route, Router
from starlette.types import Message, Receive, Scope, Send

from hlsd.api.access import SAFE, Access, asked
from hlsd.api.context import ApiContext
from hlsd.api.handlers import Handlers
from hlsd.api.late import is_ours
from hlsd.api.markers import Markers
from hlsd.api.nms import NmsHandlers
from hlsd.api.openapi import document
from hlsd.api.operations import NO_STORE, Operation
from hlsd.api.problems import PROBLEM_TYPE, ApiError, Code
from hlsd.api.publishers import PublisherHandlers
from hlsd.api.upkeep import UpkeepHandlers
from hlsd.base.logger import Log

_STREAM = {"app": "The app.", "stream": "The stream's name."}
_SESSION = {"id": "As in events and in the list."}


def operations(premises: ApiContext) -> list[Operation]:
    """What the API can do."""
    desk = Handlers(premises)
    who = PublisherHandlers(premises.hub)
    nms = NmsHandlers(premises)
    keeper = UpkeepHandlers(premises)
    v1, old = "/api/v1", "Node-Media-Server"
    return [
        Operation("GET", f"{v1}/server", "This server.", desk.server),
        Operation("GET", f"{v1}/streams", "The streams, by path.", desk.streams, [Code.BAD_CURSOR]),
        Operation(
            "GET", f"{v1}/streams/{{app}}/{{stream}}", "One stream.", desk.stream, [Code.NO_SUCH_STREAM], parts=_STREAM
        ),
        Operation(
            "DELETE",
            f"{v1}/streams/{{app}}/{{stream}}",
            "Sends the publisher of a stream away.",
            desk.kick_publisher,
            [Code.NO_SUCH_STREAM, Code.NOT_PUBLISHING],
            parts=_STREAM,
        ),
        Operation(
            "POST",
            f"{v1}/streams/{{app}}/{{stream}}/marker",
            "Says something at this instant of a stream: timed metadata, or a date range of SCTE-35.",
            Markers(desk.find_stream, premises.clock).marker,
            [
                Code.BAD_BODY,
                Code.TOO_LARGE,
                Code.NO_SUCH_STREAM,
                Code.NO_SUCH_MARKER,
                Code.NOT_PUBLISHING,
                Code.MARKER_EXISTS,
            ],
            parts=_STREAM,
        ),
        Operation("GET", f"{v1}/publishers", "Who publishes, by stream.", who.publishers, [Code.BAD_CURSOR]),
        Operation(
            "GET",
            f"{v1}/publishers/{{id}}",
            "One publisher.",
            who.publisher,
            [Code.NO_SUCH_PUBLISHER],
            parts={"id": "As in events and in the list."},
        ),
        Operation("GET", f"{v1}/sessions", "The viewers, the oldest first.", desk.sessions, [Code.BAD_CURSOR]),
        Operation("GET", f"{v1}/sessions/{{id}}", "One viewer.", desk.session, [Code.NO_SUCH_SESSION], parts=_SESSION),
        Operation(
            "DELETE",
            f"{v1}/sessions/{{id}}",
            "Ends a viewer's session and keeps the viewer out for a while.",
            desk.kick_session,
            [Code.NO_SUCH_SESSION],
            parts=_SESSION,
        ),
        Operation("GET", f"{v1}/events", "What happened since.", desk.events, [Code.TOO_MANY_WAITING]),
        Operation(
            "POST",
            f"{v1}/reload",
            "Reads the configuration again: what can change without a restart does.",
            keeper.reload,
            [Code.NOT_RELOADED],
        ),
        Operation("GET", f"{v1}/webhooks", "The receivers of events, and what waits for them.", keeper.webhooks),
        Operation(
            "POST",
            f"{v1}/webhooks/test",
            "Sends each receiver an event that says it is a test.",
            keeper.test,
            [Code.TOO_MANY_WAITING],
        ),
        Operation("GET", f"{v1}/config", "The effective configuration, without its secrets.", desk.config),
        Operation("GET", "/api/server", "As Node-Media-Server.", nms.server, plain=True, tag="nms"),
        Operation("GET", "/api/streams", "As Node-Media-Server.", nms.streams, plain=True, tag="nms"),
        Operation(
            "GET",
            "/api/streams/{app}/{stream}",
            f"As {old}: an unknown stream is not live.",
            nms.stream,
            plain=True,
            tag="nms",
            parts=_STREAM,
        ),
        Operation(
            "DELETE",
            "/api/streams/{app}/{stream}",
            f"As {old}: sends the publisher away.",
            nms.drop,
            [Code.NO_SUCH_STREAM],
            plain=True,
            tag="nms",
            parts=_STREAM,
        ),
    ]


def create_api(premises: ApiContext, access: Access, log: Log, *, more: Sequence[Route] = ()) -> BaseRoute:
    """Everything under /api as one route; `more` are other services', with whole paths, behind the same door.

    The door lets a caller with the scope `read` ask with GET and HEAD, and wants `write` for every other method.
    """
    done = operations(premises)
    # Most servers are never asked for it, and it is four fifths of what a server takes to be made.
    described = cache(lambda: document(done, more))

    async def openapi(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        return JSONResponse(await asyncio.to_thread(described), headers=NO_STORE)

    routes = [*(operation.route() for operation in done), Route("/api/v1/openapi.json", openapi), *more]
    return ApiRoute(routes, access, log)


class ApiRoute(BaseRoute):
    """Takes every path at or below /api."""

    def __init__(self, routes: Sequence[Route], access: Access, log: Log) -> None:
        self.routes = list(routes)
        self._router = Router(routes=self.routes, redirect_slashes=False, default=_nothing)
        self._access = access
        self._log = log

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is ours."""
        return (Match.FULL if is_ours(scope) else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """There are no names to go by."""
        raise NoMatchFound(name, dict(path_params))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        ask = asked(scope)
        origin = ask.one("origin")
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._share(message, origin)
            await send(message)

        if ask.method == "OPTIONS" and self._access.lists(origin) and "access-control-request-method" in ask.headers:
            await _preflight()(scope, receive, noting)
            return
        who = "-"
        try:
            caller = self._access.judge(ask, time.monotonic())
            who = caller.name
            inner = {**scope, "state": {**scope.get("state", {}), "caller": caller}}
            await self._router(inner, receive, noting)
        except Exception as error:
            problem = self._as_problem(error, scope)
            if status:  # half an answer is out: all that is left is to cut it
                raise
            await _answer(problem)(scope, receive, noting)
        if ask.method not in SAFE:
            self._log.info(
                "api",
                who=who,
                ip=ask.peer or self._access.address(ask),
                method=ask.method,
                path=scope["path"][:256],
                status=status,
            )

    def _share(self, message: Message, origin: str) -> None:
        """CORS, where web pages of other origins are let in at all."""
        if self._access.shares:
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers.add_vary_header("Origin")
            if self._access.lists(origin):
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = "Retry-After, WWW-Authenticate"

    def _as_problem(self, error: Exception, scope: Scope) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, HTTPException) and error.status_code == 405:
            fitting = [route.methods or () for route in self.routes if route.matches(scope)[0] is Match.PARTIAL]
            allowed = ", ".join(sorted(set().union(*fitting)))
            return ApiError(Code.METHOD_NOT_ALLOWED, f"this can be asked with {allowed}", {"allow": allowed})
        if isinstance(error, HTTPException) and error.status_code == 404:
            return NOTHING
        self._log.exception("api failed", method=scope["method"], path=scope["path"][:256])
        return ApiError(Code.INTERNAL, "a fault of the server's; its log says more")


NOTHING = ApiError(Code.NO_SUCH_ROUTE, "there is nothing here; /api/v1/openapi.json lists what there is")


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
    raise NOTHING


def _answer(error: ApiError) -> Response:
    headers = {**NO_STORE, **error.headers}
    return Response(error.body(), error.code.status, headers=headers, media_type=PROBLEM_TYPE)


def _preflight() -> Response:
    headers = {
        **NO_STORE,
        "access-control-allow-methods": "GET, HEAD, POST, DELETE",
        "access-control-allow-headers": "Authorization, Content-Type",
        "access-control-max-age": "600",
    }
    return Response(status_code=204, headers=headers)
