"""Answers `/{app}/{stream}.flv`: FLV that goes on for hours, by HTTP and by WebSocket (RFC 6455).

An ASGI endpoint as far as the viewer's being let in. Then, on HTTP/1.1, it takes the connection over: the head is
written, and what feeds tags writes to the transport itself; the body is chunked, or for HTTP/1.0 ends with
the connection. On an HTTP/2 stream, which cannot be taken over, a loop hands the bytes to ASGI, one write at a time.
Errors and CORS are those of playlists. Only GET makes a session; HEAD says whether GET would.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from hlsd.base.errors import ProtocolError
from hlsd.delivery.answer import Reply
from hlsd.delivery.flv.websocket import CLOSE, PING, PONG, ClientFrames, accept, close_frame, frame, switching
from hlsd.delivery.flv.wrappings import FlvWrapping, MessageWrapping
from hlsd.delivery.http1.takeover import TAKE, Taken
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import BadRequest, parse_path
from hlsd.delivery.web import COUNTED, STATUS, read_request
from hlsd.ports import Denial

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from hlsd.audience import Audience, Ticket, Watching
    from hlsd.delivery.cors import Headers
    from hlsd.delivery.http1.takeover import TakeoverHandler
    from hlsd.delivery.judge import Judge
    from hlsd.delivery.request import Request, Target

SUFFIX = ".flv"
_METHODS = b"GET, HEAD, OPTIONS"
_FLV: Headers = [(b"content-type", b"video/x-flv"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
_LAST_CHUNK = b"0\r\n\r\n"
STRIPPED = "this is half a WebSocket handshake: a proxy on the way must hand on Upgrade and Connection"
FOREIGN_PAGE = Denial(403, "this page may not play here", "origin")
"""A WebSocket of a page that `http.allow_origin` does not list."""
_CLOSE_CODES = {"stream_end": 1000, "shutdown": 1001, "slow": 1013}


class FlvEndpoint:
    """The endpoint; `audience` lets viewers in and feeds them."""

    def __init__(self, audience: Audience, judge: Judge) -> None:
        self._audience = audience
        self._judge = judge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One viewer, from the request to where the connection is somebody else's."""
        request = read_request(scope)
        reply = await self._answer(request, scope, receive, send)
        if reply is not None:
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
            await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """What there is to say, or None if the viewer was fed."""
        self._judge.locate(request)
        replies = self._judge.replies
        if request.method == "OPTIONS":
            return replies.preflight(request)
        if request.method not in {"GET", "HEAD"}:
            return replies.refuse(request, 405, more=[(b"allow", _METHODS)])
        head = [*_FLV, *replies.readable(request)]
        try:
            target = target_of(request)
            if target is None:
                return replies.refuse(request, 404)
            if request.method == "HEAD":
                denial = await self._audience.look(play_request(request, target, "flv"))
                return Reply(200, head) if denial is None else replies.deny(request, denial)
            upgrade = _switch(scope) if upgrades(scope) else b""
            if not upgrade and wanted_upgrade(scope):
                return replies.refuse(request, 426, words=STRIPPED, more=[(b"upgrade", b"websocket")])
            play = play_request(request, target, "wsflv" if upgrade else "flv")
            if upgrade and not replies.may_read(request):
                self._audience.refuse(play, FOREIGN_PAGE)
                return replies.refuse(request, FOREIGN_PAGE.status, words=FOREIGN_PAGE.words)
            ticket = await self._audience.admit(play)
        except BadRequest as error:
            return replies.refuse(request, 400, words=str(error))
        if isinstance(ticket, Denial):
            return replies.deny(request, ticket)
        try:
            await _feed(ticket, upgrade, head, (scope, receive, send))
        except BaseException:  # cancelled too: no session outlives its connection
            ticket.close("error:internal")
            raise
        return None


async def _feed(ticket: Ticket, upgrade: bytes, head: Headers, asgi: tuple[Scope, Receive, Send]) -> None:
    """Feeds the viewer, or leaves that to its connection's takeover handler; `upgrade` answers a WebSocket."""
    scope, receive, send = asgi
    take = cast("Callable[[TakeoverHandler], Taken | None] | None", scope.get(TAKE))
    if take is None:
        scope[COUNTED] = True
        await ReadSide(ticket, send).run(receive, head)
        return
    chunked = scope.get("http_version") == "1.1"
    takeover = MessageTakeover() if upgrade else BodyTakeover(chunked=chunked)
    taken = take(takeover)
    if taken is None:
        ticket.close("closed")
    else:
        scope[STATUS] = 101 if upgrade else 200
        try:
            takeover.begin(taken, ticket, upgrade or _head(head, chunked=chunked))
        except Exception:
            taken.transport.abort()  # it is nobody's any more
            raise


def target_of(request: Request, suffix: str = SUFFIX) -> Target | None:
    """The stream that the path names before its suffix. Raises BadRequest."""
    target = parse_path(request.path)
    if target is None or target.kind not in {"foreign", "page"} or not target.name.endswith(suffix):
        return None
    name = target.name.removesuffix(suffix)
    return target._replace(name=name) if name else None


def _head(headers: Headers, *, chunked: bool) -> bytes:
    lines = [(b"date", formatdate(usegmt=True).encode()), *headers, (b"connection", b"close")]
    if chunked:
        lines.append((b"transfer-encoding", b"chunked"))
    return b"HTTP/1.1 200 OK\r\n" + b"".join([b"%b: %b\r\n" % line for line in lines]) + b"\r\n"


def upgrades(scope: Scope) -> bool:
    """Whether the request asks for a WebSocket."""
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"])


def wanted_upgrade(scope: Scope) -> bool:
    """Whether it was a WebSocket's handshake before a proxy took what stands for one connection only (RFC 9110 §7.6.1).

    Fed by HTTP it would be a viewer, counted and billed, whose browser throws away all that it gets.
    """
    return any(name == b"sec-websocket-key" for name, _ in scope["headers"])


def switching_key(scope: Scope) -> bytes:
    """What answers the key of an opening handshake (`hlsd.delivery.flv.websocket.accept`). Raises BadRequest."""
    headers = dict(scope["headers"])
    token = accept(headers.get(b"sec-websocket-key", b""))
    if token is None or headers.get(b"sec-websocket-version") != b"13" or TAKE not in scope:
        raise BadRequest("not a WebSocket handshake of RFC 6455")
    return token


def _switch(scope: Scope) -> bytes:
    """The answer to the opening handshake; of the subprotocols offered, the first is taken: none means anything.

    Raises BadRequest.
    """
    offered: bytes = dict(scope["headers"]).get(b"sec-websocket-protocol", b"")
    return switching(switching_key(scope), offered.split(b",")[0].strip())


class BodyTakeover:
    """A connection that carries the body of HTTP-FLV (`hlsd.delivery.http1.takeover.TakeoverHandler`)."""

    def __init__(self, *, chunked: bool = False) -> None:
        self._chunked = chunked
        self._watching: Watching | None = None
        self._transport: asyncio.Transport | None = None

    def begin(self, taken: Taken, ticket: Ticket, opening: bytes) -> None:
        """Writes the head, and has the viewer fed."""
        self._transport = taken.transport
        taken.transport.write(opening)
        self._watching = ticket.begin(taken.transport, taken.fd, self.wrapping(legacy=ticket.legacy), self.over)

    def wrapping(self, *, legacy: bool) -> FlvWrapping | MessageWrapping:
        """How what is sent is wrapped."""
        return FlvWrapping(legacy=legacy, chunked=self._chunked)

    def over(self, reason: str) -> None:
        """The server ends it."""
        assert self._transport is not None
        if reason == "slow":
            self._transport.abort()
            return
        if self._transport.is_closing():
            return
        if self._chunked and reason != "shutdown":  # then the body is cut off, and its client asks anew for the rest
            self._transport.write(_LAST_CHUNK)
        self._transport.close()

    def received(self, octets: bytes) -> None:
        """A client has nothing to say."""

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        if self._watching is not None:
            self._watching.pause_writing()

    def resume_writing(self) -> None:
        """It has taken it."""
        if self._watching is not None:
            self._watching.resume_writing()

    def lost(self) -> None:
        """The connection is over."""
        if self._watching is not None:
            self._watching.leave()

    def shutdown(self) -> None:
        """The listener drains."""
        if self._watching is not None:
            self._watching.leave("shutdown")
        if self._transport is not None:
            self.over("shutdown")


class MessageTakeover(BodyTakeover):
    """A connection that carries FLV in WebSocket messages."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = ClientFrames()
        self._closing = False

    def wrapping(self, *, legacy: bool) -> FlvWrapping | MessageWrapping:
        """How what is sent is wrapped."""
        return MessageWrapping(legacy=legacy)

    def received(self, octets: bytes) -> None:
        """The client closes, pings, or says what does not matter."""
        try:
            said = self._frames.feed(octets)
        except ProtocolError as error:
            self._close(1002, str(error))
            return
        for opcode, payload in said:
            if opcode == CLOSE:
                self._close(int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1000, "")
                return
            # A client that pings and does not read must not fill our buffer.
            if opcode == PING and self._transport is not None and not self._transport.get_write_buffer_size():
                self._transport.write(frame(PONG, payload))

    def over(self, reason: str) -> None:
        """The server ends it, and says so."""
        if reason == "slow":
            super().over(reason)
        else:
            self._close(_CLOSE_CODES.get(reason, 1008), reason)

    def _close(self, code: int, words: str) -> None:
        """Answers or begins the closing handshake (RFC 6455 §7.1.2)."""
        if self._watching is not None:
            self._watching.leave()
        transport = self._transport
        if transport is None or self._closing:
            return
        self._closing = True
        transport.write(close_frame(code, words))
        transport.close()


class ReadSide:
    """Feeds an ASGI response: stands in for a transport whose buffer is what `send` has not taken yet."""

    def __init__(self, ticket: Ticket, send: Send) -> None:
        self._ticket = ticket
        self._send = send
        self._waiting: list[bytes] = []
        self._size = 0
        self._news = asyncio.Event()
        self._over = ""
        """Why it is over."""

    async def run(self, receive: Receive, head: Headers) -> None:
        """From the head to the last byte, or to the client's hanging up."""
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        wrapping = FlvWrapping(legacy=self._ticket.legacy)
        watching = self._ticket.begin(cast("asyncio.Transport", self), -1, wrapping, self._end)
        hanging = asyncio.ensure_future(_hung_up(receive, self._end))
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                waiting, self._waiting = self._waiting, []
                if waiting:
                    await self._send({"type": "http.response.body", "body": b"".join(waiting), "more_body": True})
                    self._size = 0
                    watching.resume_writing()
                if self._over and not self._waiting:
                    break
            if self._over != "shutdown":  # then the stream is reset, which says that this was not all
                await self._send({"type": "http.response.body", "body": b""})
        except OSError:  # the client has gone
            pass
        finally:
            hanging.cancel()
            watching.leave()

    def _end(self, reason: str) -> None:
        self._over = self._over or reason
        self._news.set()

    # -- as `Watching` writes to it

    def write(self, data: bytes | memoryview) -> None:
        """Takes one write."""
        self._waiting.append(bytes(data))
        self._size += len(data)
        self._news.set()

    def get_write_buffer_size(self) -> int:
        """Bytes that `send` has not taken."""
        return self._size

    def is_closing(self) -> bool:
        """Whether nothing more may be written."""
        return bool(self._over)


async def _hung_up(receive: Receive, end: Callable[[str], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    end("closed")
