"""Hands requests on to the core by its Unix socket: whatever is not HLS for who has a session already.

An ASGI application. A request and its answer go through as they come, body by body, with a bound on what is under way;
an upgrade (WebSocket) takes the client's connection over, and both ends are joined byte by byte. Law: whose request it
is stands in X-Forwarded-For as the worker has found it, and nothing that a stranger wrote there goes on. Where the core
does not answer, the client gets 502 before the head of an answer, and a cut behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any, Final, cast

import httptools

from hlsd.delivery.http1.takeover import TAKE
from hlsd.delivery.lasting import LASTING
from hlsd.delivery.web import STATUS
from hlsd.workers.joined import CONNECT, Joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Message, Receive, Scope, Send

    from hlsd.delivery.http1.takeover import Taken, TakeoverHandler
    from hlsd.net.proxies import Proxies

MAX_TUNNELS: Final = 4096
"""Requests under way at once; further ones get 503."""
PIECE: Final = 64 << 10
"""Bytes that are read of an answer at a time."""

_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"x-forwarded-for",
        b"forwarded",
        b"x-real-ip",
    )
)
"""Headers of one hop (RFC 9110 §7.6.1), and those that say who asks."""
_BREAK: Final = re.compile(rb"[\x00-\x20\x7f]")
_LINE: Final = re.compile(rb"[\x00\r\n]")
_AWAY: Final = b"502 the server is about to be back\n"
_FULL: Final = b"503 try again later\n"
Pair = tuple[bytes, bytes]


class Tunnel:
    """The application. `path`: the core's socket; `proxies`: whose word on the viewer counts."""

    def __init__(self, path: str, proxies: Proxies) -> None:
        self._path = path
        self._proxies = proxies
        self.open = 0
        """Requests that are handed on at this instant."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if self.open >= MAX_TUNNELS:
            await _refuse(send, 503, _FULL)
            return
        self.open += 1
        try:
            await self._hand_on(scope, receive, send)
        finally:
            self.open -= 1

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        take = cast("Callable[[TakeoverHandler], Taken | None] | None", scope.get(TAKE))
        if not _is_plain(scope):
            await _refuse(send, 400, b"400 bad request\n")
            return
        upgrade = _one(scope["headers"], b"upgrade") if take is not None and scope["method"] == "GET" else b""
        if upgrade.lower() == b"websocket":
            assert take is not None
            joined = Joined(self._path, self._head(scope, upgrade=upgrade))
            taken = take(joined)
            if taken is not None:
                scope[STATUS] = 101
                joined.begin(taken)
            return
        if scope["method"] in ("POST", "PUT") and scope["path"].endswith((".flv", ".ts")):
            lasts = scope.get(LASTING)
            if lasts is not None:
                lasts()  # the core has its own deadline for it
        try:
            async with asyncio.timeout(CONNECT):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=PIECE)
        except (OSError, TimeoutError):
            await _refuse(send, 502, _AWAY)
            return
        exchange = _Exchange(reader, writer, receive, send, bodiless=scope["method"] == "HEAD")
        try:
            await exchange.run(self._head(scope), _body_of(scope))
        finally:
            writer.close()

    def _head(self, scope: Scope, *, upgrade: bytes = b"") -> bytes:
        """The head of the request as the core gets it."""
        client = scope.get("client")
        peer = client[0] if client else ""
        headers: list[Pair] = list(scope["headers"])
        forwarded = b", ".join(value for name, value in headers if name == b"x-forwarded-for")
        viewer = self._proxies.viewer(peer, forwarded) if forwarded else peer
        trusted = peer in self._proxies
        lines: list[Pair] = []
        for name, value in headers:
            if name in _HOP or (name == b"x-forwarded-prefix" and not trusted):
                continue
            if name == b"host" and any(one == b"host" for one, _ in lines):
                continue
            lines.append((name, value))
        lines.append((b"x-forwarded-for", viewer.encode()))
        if upgrade:
            lines += [(b"connection", b"Upgrade"), (b"upgrade", upgrade)]
        else:
            lines.append((b"connection", b"close"))
            if _body_of(scope) is None:
                lines.append((b"transfer-encoding", b"chunked"))
        raw = cast("bytes | None", scope.get("raw_path")) or scope["path"].encode("utf-8", "surrogateescape")
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        first = b"%b %b%b HTTP/1.1\r\n" % (scope["method"].encode(), raw, query)
        return first + b"".join([b"%b: %b\r\n" % line for line in lines]) + b"\r\n"


class _Exchange:
    """One request and its answer; httptools calls what begins with `on_`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receive: Receive,
        send: Send,
        *,
        bodiless: bool,
    ) -> None:
        self._bodiless = bodiless
        self._reader = reader
        self._writer = writer
        self._receive = receive
        self._send = send
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Pair] = []
        self._status = 0
        self._begun = False
        self._body: list[bytes] = []
        self._over = False

    async def run(self, head: bytes, length: int | None) -> None:
        """From head to end; the request's body has `length` bytes, None if that is not said."""
        self._writer.write(head)
        giving = asyncio.ensure_future(self._give(length))
        taking = asyncio.ensure_future(self._take())
        try:
            await asyncio.wait({giving, taking}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and not giving.result():
                return  # the client has gone
            await taking
        finally:
            for task in (giving, taking):
                task.cancel()
            await asyncio.gather(giving, taking, return_exceptions=True)

    async def _give(self, length: int | None) -> bool:
        """Hands the body on, then waits for the client to go; False when it has.

        Law: the core reads one request of a connection. What a client sends beyond the length that it has said would be
        another one to it, which the worker has not seen.
        """
        more, writer, chunked, left = True, self._writer, length is None, length or 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            if not more:
                continue
            body, more = message.get("body", b""), message.get("more_body", False)
            with contextlib.suppress(OSError):  # the core has answered, and takes no more
                if chunked and body:
                    writer.write(b"%x\r\n%b\r\n" % (len(body), body))
                elif body and left:
                    writer.write(body[:left])
                    left = max(0, left - len(body))
                if chunked and not more:
                    writer.write(b"0\r\n\r\n")
                await writer.drain()

    async def _take(self) -> None:
        """Hands the answer on."""
        try:
            while not self._over:
                piece = await self._reader.read(PIECE)
                if not piece:
                    break
                self._parser.feed_data(piece)
                await self._flush()
        except (OSError, httptools.HttpParserError):
            pass
        if self._begun and self._status and not self._over and self._unbounded():
            self._over = True  # it ends with the connection
        if not self._begun:
            await _refuse(self._send, 502, _AWAY)
        elif self._over:
            await self._send({"type": "http.response.body", "body": b""})
        else:
            raise ConnectionError("the core has gone amid an answer")  # the server cuts the client's connection

    def _unbounded(self) -> bool:
        return not any(name == b"content-length" for name, _ in self._headers) and not self._chunked

    _chunked = False

    async def _flush(self) -> None:
        if self._status and not self._begun:
            self._begun = True
            told = [(name, value) for name, value in self._headers if name not in _HOP]
            await self._send({"type": "http.response.start", "status": self._status, "headers": told})
            self._over = self._over or self._bodiless  # its length is that of a body that does not come
        if self._body:
            body, self._body = b"".join(self._body), []
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer."""
        name = name.lower()
        self._headers.append((name, value))
        if name == b"transfer-encoding":
            self._chunked = True

    def on_headers_complete(self) -> None:
        """Its head is there; one that only announces another is passed over."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
        else:
            self._headers.clear()

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """All of it."""
        if self._status:
            self._over = True


def _one(headers: Iterable[Pair], name: bytes) -> bytes:
    return next((value for one, value in headers if one == name), b"")


def _body_of(scope: Scope) -> int | None:
    """Bytes of the request's body; None where it may have one whose length is not said."""
    length = _one(scope["headers"], b"content-length")
    if length:
        return int(length) if length.isdigit() else 0
    if str(scope.get("http_version", "")).startswith("1"):
        return None if _one(scope["headers"], b"transfer-encoding") else 0
    return None if scope["method"] not in ("GET", "HEAD", "OPTIONS", "DELETE") else 0


def _is_plain(scope: Scope) -> bool:
    """Whether nothing in the head could end a line of it, whatever the client's protocol lets through."""
    raw = cast("bytes | None", scope.get("raw_path")) or scope["path"].encode("utf-8", "surrogateescape")
    if _BREAK.search(raw) or _BREAK.search(scope["query_string"]) or not scope["method"].isalpha():
        return False
    return not any(_LINE.search(name + value) for name, value in scope["headers"])


async def _refuse(send: Send, status: int, words: bytes) -> None:
    headers: list[Any] = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(words)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"1"),
    ]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": words})
