"""Answers publishers at `/{app}/{stream}.flv` and `.ts`: `POST` and `PUT` of a body that lasts hours, and WebSockets.

An ASGI endpoint, so that HTTP/1.1, TLS, HTTP/2 and an application that hlsd is mounted in are alike: what is not asked
for by `receive` waits at the sender. A WebSocket takes its connection over. Law: who is refused is answered before a
frame is kept, and hears why; since ffmpeg shows only "Broken pipe", the log says it too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import structlog

from hlsd.delivery.answer import Reply
from hlsd.delivery.flv.endpoint import FOREIGN_PAGE, switching_key, target_of, upgrades
from hlsd.delivery.flv.websocket import switching
from hlsd.delivery.flv_publish.message_body import LINGER, MessageBody
from hlsd.delivery.http1.takeover import TAKE, Taken, TakeoverHandler
from hlsd.delivery.lasting import LASTING
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import BadRequest
from hlsd.delivery.web import STATUS, Carrier, read_request
from hlsd.ports import PublishRequest
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send

    from hlsd.delivery.judge import Judge
    from hlsd.delivery.replies import Replies
    from hlsd.delivery.request import Request
    from hlsd.ports import PlayRequest
    from hlsd.ports.flv_body import BodyPublisher, BodyPublishers

_METHODS: Final = frozenset(("POST", "PUT"))
_PROTOCOLS: Final = (b"publisher", b"post")
"""Subprotocols by which a WebSocket says that it sends, as Node-Media-Server 4 has it."""
_STATUSES: Final = {
    "bad_name": 400, "no_flv": 400, "no_ts": 400, "protocol": 400, "denied": 403, "late": 408, "idle": 408, "busy": 409,
    "replaced": 409, "large": 413, "codec": 415, "limit": 429, "error:internal": 500, "draining": 503, "shutdown": 503,
}  # fmt: skip
"""What HTTP says of an ending; of any other, 403: somebody does not want it here."""
_CODES: Final = {
    "closed": 1000, "draining": 1001, "shutdown": 1001, "protocol": 1002, "no_flv": 1003, "codec": 1003, "large": 1009,
    "error:internal": 1011,
}  # fmt: skip
"""What a WebSocket says of it (RFC 6455 §7.4.1); of any other, 1008."""
_OFF: Final = "nobody publishes by HTTP here"
_GONE: Final = PublishEnding("lost")


class SentForm(NamedTuple):
    """What is sent: the end of its path, what its publishers' protocol is called, and that of WebSockets, if any."""

    suffix: str
    protocol: str
    socket: str = ""


FLV: Final = SentForm(".flv", "flv", "wsflv")
TS: Final = SentForm(".ts", "ts")


def publishes(scope: Scope, form: SentForm = FLV) -> bool:
    """Whether a request to such an address of a stream comes from one who would send it."""
    if scope["type"] != "http" or not scope["path"].endswith(form.suffix):
        return False
    return scope["method"] in _METHODS or (
        bool(form.socket) and scope["method"] == "GET" and upgrades(scope) and _protocol(scope["headers"]) is not None
    )


class FilePublishEndpoint:
    """The endpoint; `publishers` publish what comes."""

    def __init__(self, publishers: BodyPublishers, judge: Judge, *, on: bool, form: SentForm = FLV) -> None:
        self._form = form
        self._publishers = publishers
        self._judge = judge
        self._on = on
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One publisher, from the request to its end."""
        request = read_request(scope)
        body = RequestBody(receive)
        reply = await self._reply(request, scope, body)
        if reply is not None:
            await _answer(reply, scope, body, send)

    async def _reply(self, request: Request, scope: Scope, body: RequestBody) -> Reply | None:
        """What there is to say over HTTP; None if nobody is there to hear it."""
        self._judge.locate(request)
        replies = self._judge.replies
        try:
            target = target_of(request, self._form.suffix)
            if target is None:
                return self._refuse(request, 404)
            form = self._form
            asked = play_request(request, target, form.protocol if request.method in _METHODS else form.socket)
            token = b"" if request.method in _METHODS else switching_key(scope)
        except BadRequest as error:
            return self._refuse(request, 400, words=str(error))
        if not self._on:
            return self._refuse(request, 405 if request.method in _METHODS else 403, words=_OFF)
        if not replies.may_send(request):
            return self._refuse(request, FOREIGN_PAGE.status, words="this page may not publish here")
        publisher = self._publishers.publisher(target.app, request.peer)
        if token:
            return await self._socket(publisher, asked, (request, scope, token))
        return _reply_of(await self._post(publisher, asked, scope, body), replies, request)

    def _refuse(self, request: Request, status: int, *, words: str = "") -> Reply:
        """Who is turned away before it comes to the door, which would say so in the log."""
        self._log.info("publish refused", ip=request.peer, code=status, reason=words)
        more = [(b"allow", b"GET, HEAD, OPTIONS")] if status == 405 else None
        return self._judge.replies.refuse(request, status, words=words, more=more)

    async def _post(
        self, publisher: BodyPublisher, asked: PlayRequest, scope: Scope, body: RequestBody
    ) -> PublishEnding:
        """The body of a request.

        It is looked at before anybody is asked for the name, so that whoever sends nothing, or something else, holds no
        name and takes nobody's place. But a client that expects to be told to send is told "an immediate response with
        a final status code, if that status can be determined by examining just the method, target URI, and header
        fields" (RFC 9110 §10.1.1).
        """
        ending = None if _expects(scope) else await publisher.open(body)
        ending = ending or await publisher.enter(_publish_request(asked, publisher))
        if ending is not None:
            return ending
        lasts = cast("Callable[[], None] | None", scope.get(LASTING))
        if lasts is not None:
            lasts()
        return await publisher.feed(body)

    async def _socket(
        self, publisher: BodyPublisher, asked: PlayRequest, handshake: tuple[Request, Scope, bytes]
    ) -> Reply | None:
        """A WebSocket: refused with a status, or answered, and published from until either side closes it."""
        request, scope, token = handshake
        ending = await publisher.enter(_publish_request(asked, publisher))
        if ending is not None:
            return _reply_of(ending, self._judge.replies, request)
        body = MessageBody()
        take = cast("Callable[[TakeoverHandler], Taken | None]", scope[TAKE])
        taken = take(body)
        if taken is None:
            body.lost()
        else:
            scope[STATUS] = 101
            body.begin(taken.transport, switching(token, _protocol(scope["headers"]) or b""))
        try:
            ending = await publisher.feed(body)
            await body.close(_CODES.get(ending.reason, 1008), ending.words)
        except BaseException:
            if taken is not None:
                taken.transport.abort()  # it is nobody's any more
            raise
        return None


class RequestBody:
    """The body of a request (`hlsd.ports.flv_body.FlvBody`), as ASGI gives it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False
        """All of it has come, or its client has gone."""

    async def read(self) -> bytes:
        """The next piece."""
        while not self.ended:
            message: Message = await self._receive()
            if message["type"] != "http.request":
                self.ended = True
                raise ConnectionResetError
            self.ended = not message.get("more_body", False)
            if octets := message.get("body", b""):
                return cast("bytes", octets)
        return b""

    async def drain(self, seconds: float) -> bool:
        """Drops what still comes, for at most that time; whether that was all of it."""
        try:
            async with asyncio.timeout(seconds):
                while await self.read():
                    pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True


async def _answer(reply: Reply, scope: Scope, body: RequestBody, send: Send) -> None:
    """Sends the answer; on HTTP/1.1 to who still sends so that it is read.

    "If a server performs an immediate close of a TCP connection, there is a significant risk that the client will not
    be able to read the last HTTP response" (RFC 9112 §9.6): what comes is dropped for a moment before that.
    """
    cut = not body.ended and scope.get("http_version") in ("1.0", "1.1")
    headers = [*reply.headers, (b"connection", b"close")] if cut else reply.headers
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": cut})
    if cut:
        heard = await body.drain(LINGER)
        await send({"type": "http.response.body", "body": b""})
        carrier = cast("Carrier | None", scope.get("hlsd"))
        if not heard and carrier is not None:
            carrier.cut()  # it sends and does not read, as ffmpeg: over TLS closing would wait for it


def _reply_of(ending: PublishEnding, replies: Replies, request: Request) -> Reply | None:
    """The answer to a request whose publisher has ended so."""
    if ending.reason == "lost":
        return None
    if ending.reason == "closed":
        return Reply(204, [*replies.readable(request), (b"cache-control", b"no-store")])
    status = _STATUSES.get(ending.reason, 403)
    more = [(b"retry-after", b"10")] if status == 429 else None
    return replies.refuse(request, status, words=ending.words or ending.reason, more=more)


def _publish_request(asked: PlayRequest, publisher: BodyPublisher) -> PublishRequest:
    """The publisher at the door."""
    return PublishRequest(
        app=asked.app,
        name=asked.name,
        protocol=asked.protocol,
        ip=asked.ip,
        port=asked.port,
        drop=publisher.drop,
        tell=publisher.hear,
        held=publisher.held,
        query=asked.query,
        user_agent=asked.user_agent,
        referer=asked.referer,
        bearer=asked.bearer,
    )


def _protocol(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The subprotocol by which a handshake says that it publishes, as the client wrote it."""
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            for offered in value.split(b","):
                if offered.strip().lower() in _PROTOCOLS:
                    return offered.strip()
    return None


def _expects(scope: Scope) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
