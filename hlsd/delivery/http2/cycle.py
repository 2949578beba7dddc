"""Runs the ASGI app for one HTTP/2 request: pages, files, the API (ASGI 3.0, HTTP 2.4)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message

from hlsd.delivery.lasting import LASTING

if TYPE_CHECKING:
    from hlsd.delivery.http2.stream import Headers, Http2Stream

MAX_WAITING = 64 * 1024
"""Bytes of an answer that wait for the client before the app is made to wait."""

_log = logging.getLogger(__name__)


class ClientGone(OSError):
    """Nobody hears the answer any more.

    ASGI HTTP 2.4: "the server should raise a server-specific subclass of OSError"; an answer that streams makes a
    `ClientDisconnect` of it.
    """


class Answering(Protocol):
    """What carries the answer (`hlsd.delivery.http2.connection.Http2Connection`)."""

    def answer(  # noqa: PLR0913 - an answer is what it is made of
        self,
        stream: Http2Stream,
        status: int,
        headers: Headers,
        body: bytes | memoryview = b"",
        *,
        last: bool = True,
        urgent: bool = False,
    ) -> None:
        """Begins an answer; with `last`, all of it."""
        ...

    def send(self, stream: Http2Stream, octets: bytes, *, last: bool) -> None:
        """More of the body."""
        ...

    def waits(self, stream: Http2Stream) -> int:
        """Body bytes of the stream that the client has not made room for."""
        ...

    def consumed(self, stream: Http2Stream, size: int) -> None:
        """The app has read `size` bytes of the request's body."""
        ...

    def lasts(self, stream: Http2Stream) -> None:
        """The app looks after the request's body, which goes on and on."""
        ...

    def forsaken(self, stream: Http2Stream, size: int) -> None:
        """The app reads no more of the request's body, of which `size` bytes have come."""
        ...

    def reset(self, stream: Http2Stream) -> None:
        """The answer cannot be ended as it was begun."""
        ...


class Cycle:
    """One request and its answer."""

    def __init__(self, connection: Answering, stream: Http2Stream, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._stream = stream
        self._transport = transport
        self._body: deque[bytes] = deque()
        self._asked = stream.asked
        self._body_told = False
        self._gone = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._begun = False
        self._ended = False
        self._start: Message = {}

    # -- from the connection

    def feed(self, octets: bytes, *, ended: bool) -> None:
        """More of the request's body; how much waits here is bounded by the window of the stream."""
        if octets:
            self._body.append(octets)
        self._asked = self._asked or ended
        self._news.set()

    def hang_up(self) -> None:
        """The stream is over."""
        self._gone = True
        self._connection.forsaken(self._stream, sum(map(len, self._body)))
        self._body.clear()
        self._news.set()
        self._room.set()

    def refill(self) -> None:
        """Something was written: the app may go on if there is room."""
        if not self._room.is_set() and self._connection.waits(self._stream) <= MAX_WAITING:
            self._room.set()

    # -- ASGI

    async def run(self, app: ASGIApp) -> None:
        """From the request to the last byte; what the app raises becomes a 500 or a reset stream."""
        try:
            await app(self._scope(), self._receive, self._send)
        except (ClientGone, ClientDisconnect):  # no fault, and strangers do not make the log say one
            return
        except Exception:  # noqa: BLE001 - a fault of the app costs this request only
            _log.exception("the app failed on an HTTP/2 request")
        if self._gone or self._ended:
            return
        if self._begun:
            self._connection.reset(self._stream)
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            self._connection.answer(self._stream, 500, headers, b"Internal Server Error")

    def _scope(self) -> dict[str, Any]:
        stream = self._stream
        path, _, query = stream.path.partition(b"?")
        client = self._transport.get_extra_info("peername")
        server = self._transport.get_extra_info("sockname")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "2",
            "method": stream.method,
            "scheme": "https",
            "path": unquote(path.decode("ascii", "replace")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": stream.headers,
            "client": (str(client[0]), int(client[1])) if client else None,
            "server": (str(server[0]), int(server[1])) if server else None,
            "state": {},
            LASTING: partial(self._connection.lasts, stream),
        }

    async def _receive(self) -> Message:
        while True:
            if self._gone or self._ended:
                return {"type": "http.disconnect"}
            if self._body or (self._asked and not self._body_told):
                body = self._body.popleft() if self._body else b""
                more = bool(self._body) or not self._asked
                self._body_told = not more
                if body:
                    self._connection.consumed(self._stream, len(body))
                return {"type": "http.request", "body": body, "more_body": more}
            self._news.clear()
            await self._news.wait()

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._start:
            self._start = message
            return
        if message["type"] != "http.response.body" or not self._start or self._ended:
            raise RuntimeError(f"{message['type']} is not what comes now")
        more = bool(message.get("more_body", False))
        body = b"" if self._stream.method == "HEAD" else message.get("body", b"")
        self._ended = not more
        if self._gone:
            raise ClientGone("the client has gone")
        if not self._begun:
            self._begun = True
            headers = [(name.lower(), value) for name, value in self._start.get("headers", ())]
            self._connection.answer(self._stream, self._start["status"], headers, body, last=not more)
        else:
            self._connection.send(self._stream, body, last=not more)
        self._news.set()
        if more:
            if self._connection.waits(self._stream) > MAX_WAITING:
                self._room.clear()
            await self._room.wait()
