"""Answers WebSockets at `/{app}/{stream}/publish`: a page publishes what its recorder makes.

An ASGI endpoint as far as the handshake; then it takes the connection over. Law: a handshake opens nothing: whoever is
behind it is asked about when it says what it will send, and is told there why not, since pages cannot read the status
of a handshake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import structlog

from hlsd.delivery.flv.endpoint import FOREIGN_PAGE, STRIPPED, switching_key, upgrades, wanted_upgrade
from hlsd.delivery.flv.websocket import switching
from hlsd.delivery.http1.takeover import TAKE, Taken, TakeoverHandler
from hlsd.delivery.play_request import play_request
from hlsd.delivery.recorder.page_socket import PageSocket
from hlsd.delivery.request import BadRequest, is_ours, parse_path
from hlsd.delivery.web import STATUS, read_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from hlsd.delivery.answer import Reply
    from hlsd.delivery.judge import Judge
    from hlsd.delivery.request import Request
    from hlsd.ports import PlayRequest
    from hlsd.ports.recorder import RecorderDesk

PROTOCOL: Final = "recorder"
_CODES: Final = {
    "closed": 1000, "lost": 1000, "draining": 1001, "shutdown": 1001, "protocol": 1002, "media": 1003, "codec": 1003,
    "large": 1009, "error:internal": 1011,
}  # fmt: skip
"""What a closing frame says of an ending (RFC 6455 §7.4.1); of any other, 1008."""
_OFF: Final = "nobody publishes a recorder here"


def publishes(scope: Scope) -> bool:
    """Whether a request to that address is a handshake, or half of one: who asks for the page goes on to it."""
    return scope["type"] == "http" and scope["method"] == "GET" and (upgrades(scope) or wanted_upgrade(scope))


class RecorderEndpoint:
    """The endpoint; `desk` publishes what comes. `most`: bytes of a message."""

    def __init__(self, desk: RecorderDesk, judge: Judge, most: int, *, on: bool) -> None:
        self._desk = desk
        self._judge = judge
        self._most = most
        self._on = on
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """One connection, from the handshake to its end."""
        request = read_request(scope)
        self._judge.locate(request)
        reply = await self._reply(request, scope)
        if reply is not None:
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, request: Request, scope: Scope) -> Reply | None:
        """Why there is no socket; None if there was one."""
        try:
            target = parse_path(request.path) if is_ours(request.path) else None
            if target is None or target.kind != "foreign":
                return self._judge.replies.refuse(request, 404)
            if not upgrades(scope):
                return self._judge.replies.refuse(request, 426, words=STRIPPED, more=[(b"upgrade", b"websocket")])
            asked = play_request(request, target, PROTOCOL)
            token = switching_key(scope)
        except BadRequest as error:
            return self._refuse(request, 400, str(error))
        if not self._on:
            return self._refuse(request, 403, _OFF)
        if not self._judge.replies.may_send(request):
            return self._refuse(request, FOREIGN_PAGE.status, "this page may not publish here")
        await self._socket(asked, scope, token)
        return None

    async def _socket(self, asked: PlayRequest, scope: Scope, token: bytes) -> None:
        body = PageSocket(self._most)
        take = cast("Callable[[TakeoverHandler], Taken | None]", scope[TAKE])
        taken = take(body)
        if taken is None:
            return
        scope[STATUS] = 101
        try:
            body.begin(taken.transport, switching(token, _protocol(scope)))
            ending = await self._desk.serve(asked, body)
            await body.close(_CODES.get(ending.reason, 1008), ending.words)
        except BaseException:
            taken.transport.abort()  # it is nobody's any more
            raise

    def _refuse(self, request: Request, status: int, words: str) -> Reply:
        self._log.info("publish refused", ip=request.peer, code=status, reason=words)
        return self._judge.replies.refuse(request, status, words=words)


def _protocol(scope: Scope) -> bytes:
    """The first of the subprotocols offered: none means anything, but a browser wants one of its own."""
    offered: bytes = dict(scope["headers"]).get(b"sec-websocket-protocol", b"")
    return offered.split(b",")[0].strip()
