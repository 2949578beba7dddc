"""Is a connection of HTTP/1.1 within its bounds: how long and how large heads and bodies are, how slowly one reads.

A subclass of uvicorn's httptools protocol, which bounds none of this; what a client did not read is on nobody's account
here. The deadlines are looked at by
`hlsd.delivery.http1.connections`; what is answered is `hlsd.delivery.http1.fastpath`'s.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from hlsd.base.pace import BODY_RATE
from hlsd.delivery.http1.connections import ClientAddress, ListenerTerms
from hlsd.delivery.http1.file_sender import FILES, FileSender, file_sender
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.takeover import TakeableProtocol
from hlsd.delivery.wait_queue import WaitQueue
from hlsd.net.kernel import acknowledged, in_kernel
from hlsd.net.tls_transport import TlsTransport
from hlsd.ports import ViewerSession

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

MAX_UNREAD = 512 * 1024
"""Bytes that a client may have in the kernel's buffer and still be given more; that buffer grows to megabytes."""
NEVER = b"\n"
"""No request begins with it."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 14\r\nconnection: close\r\n\r\n431 too large\n"
)
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\n"
    b"retry-after: 5\r\naccess-control-allow-origin: *\r\nconnection: close\r\n\r\n503 try again later\n"
)
_BAD_HOST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 25\r\n"
    b"connection: close\r\n\r\n400 one Host is required\n"
)


class BoundedProtocol(TakeableProtocol):
    """One connection."""

    lasting = False
    """The body under way may take as long as it does (`hlsd.delivery.lasting`)."""

    def __init__(  # noqa: PLR0913 - uvicorn's own, and what its listener knows of it
        self,
        hot: HotPath,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        terms: ListenerTerms | None = None,
        address: ClientAddress | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.hot = hot
        terms = terms or hot.connections.terms
        self.head = terms.head
        self.stall = terms.stall
        self._free = terms.free
        self.fast = False
        """The request under way was answered, or waits, without ASGI."""
        self.now = 0.0
        """Monotonic time of the last bytes that came."""
        self.begun = 0.0
        """When the head under way began, or the connection while there was none; 0 between requests."""
        self.hosted = 0
        """Host lines of the head under way; one that cannot be a host counts as two."""
        self.large = False
        """The head may be larger than allowed: count it."""
        self.head_bytes = 0
        """Of the head under way, as read."""
        self.in_body = False
        self.body_since = 0.0
        """When the body under way began."""
        self.body_bytes = 0
        """What has come of it."""
        self.requests = 0
        self.dead = False
        """Refused: nothing more is answered."""
        self.lost = False
        self.draining = False
        self.fd = -1
        """Its socket, if bytes may be put there directly: bare TCP."""
        self.tls: TlsTransport | None = None
        self.owed = 0
        """Bytes of body sent since it was last seen how many its client has not taken."""
        self.overfed = False
        """More than `MAX_UNREAD` lie in the kernel: nothing is written although it could be."""
        self.ip = ""
        self.address = address
        """Those who share its client's address; a listener that counts connections from before their handshake has
        let it in."""
        self.governing = False
        self.lead = NEVER
        """How a request begins that is the last one over again; `NEVER` while none may be taken for that."""
        self.queue: WaitQueue | None = None
        """Where its request waits."""
        self.session: ViewerSession | None = None
        """Whose request it was, the last that was answered without ASGI."""
        # What was charged last, for the refund:
        self.given = 0
        """Bytes given to the connection when it was last found not to take them."""
        self.charged: tuple[ViewerSession | None, int, int] | None = None

    # -- what ASGI is told of it

    def on_headers_complete(self) -> None:
        """Tells the endpoint that it may send files."""
        self.scope[FILES] = self._file_sender  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def _file_sender(self, scope: Scope) -> FileSender | None:
        return file_sender(self, self.hot.connections, scope)

    # -- the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets the connection in, or says that there are too many."""
        super().connection_made(transport)
        hot = self.hot
        self.now = self.begun = monotonic()
        self.ip = self.client[0] if self.client else ""
        if self.address is None:
            self.address = hot.connections.enter(self.ip)
            if self.address is None:
                self.dead = True
                hot.http.slow["other", 503] += 1
                transport.write(TOO_MANY)
                transport.close()
                return
            self.governing = hot.connections.full
        transport.set_write_buffer_limits(high=0)  # one object at most: what does not fit the kernel pauses writing
        sock = transport.get_extra_info("socket")
        if sock is not None and self.scheme == "http":
            self.fd = sock.fileno()
        if isinstance(transport, TlsTransport):
            self.tls = transport
        hot.connections.expect(self, self.now + (min(self.head, 2.0) if self.governing else self.head))

    def connection_lost(self, exc: Exception | None) -> None:
        """Frees what the connection held."""
        self.lost = True
        self._refund()
        if self.address is not None:
            self.hot.connections.forget(self)
            self._free(self.address)
            self.address = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        super().pause_writing()
        if self.tls is None:
            self.given = self.unsent() + self._acked()
        self.hot.connections.stalls(self, monotonic())

    def resume_writing(self) -> None:
        """It has taken everything."""
        super().resume_writing()
        self.now = monotonic()  # idle from here on
        self._settled()
        self.hot.connections.flows(self)

    def catch_up(self) -> None:
        """Goes on with a client that was overfed, once it has taken enough."""
        if self.overfed and self.unsent() < MAX_UNREAD // 2:
            self.overfed = False
            self.resume_writing()

    def _overfed(self) -> bool:
        """Whether its client asks for more than it reads; then what it asks for waits, as if the kernel had no room."""
        self.owed = self.unsent()
        if self.owed <= MAX_UNREAD:
            return False
        self.overfed = True
        self.pause_writing()
        return True

    def yields(self) -> None:
        """Its next answer is the last one: another process takes what comes after."""
        self.draining = True
        self.lead = NEVER

    def shutdown(self) -> None:
        """Uvicorn's call to end in good order: what is held is answered first, with `Connection: close`."""
        self.draining = True
        self.lead = NEVER
        if self.queue is None:
            super().shutdown()

    # -- the accounts

    def charge(self, session: ViewerSession | None, size: int, media: int) -> None:
        """ASGI has sent `size` bytes of body."""
        if not self.lost:
            self.hot.sessions.charge(session, size, media)
            if self.flow.write_paused:
                self._unsettled(session, size, media)

    def owes(self, session: ViewerSession | None, size: int, media: int) -> None:
        """So much was charged of an answer that goes straight to the socket: what never arrives is given back."""
        if not self.lost and self.flow.write_paused:
            self._unsettled(session, size, media)

    def _unsettled(self, session: ViewerSession | None, size: int, media: int) -> None:
        """What was charged has not left our buffer yet: its client reads slowly, and watches all the same."""
        self._settled()
        self.charged = (session, size, media)
        if session is not None:
            session.flows += 1

    def _settled(self) -> None:
        """It has left, or never will."""
        charged, self.charged = self.charged, None
        if charged is not None and charged[0] is not None:
            charged[0].flows -= 1
            charged[0].last = monotonic()

    def _refund(self) -> None:
        """Takes back what its client did not get of an object that did not leave our buffer whole."""
        if self.charged is not None and self.flow.write_paused:
            session, size, media = self.charged
            self.hot.sessions.charge(session, -min(size, self._unconfirmed()), media)
        self._settled()

    def _unconfirmed(self) -> int:
        """Bytes written that its client did not get."""
        acked = self._acked()
        return max(0, self.given - acked) if self.tls is None else self.tls.unconfirmed(acked)

    def _acked(self) -> int:
        """Bytes that its client's kernel has confirmed; the transport forgets its buffer before it says goodbye."""
        sock = self.transport.get_extra_info("socket")
        return acknowledged(sock) if sock is not None else 0

    def _buffered(self) -> int:
        return self.transport.get_write_buffer_size()

    # -- the bounds

    def limit(self, now: float) -> float | None:
        """When its client's time is over (`hlsd.delivery.http1.connections.Guarded`)."""
        if self.dead:
            return now
        settings = self.hot.settings
        if self.begun:
            return self.begun + (min(self.head, 2.0) if self.governing else self.head)
        if self.in_body:
            if self.lasting:
                return None
            return min(
                self.now + settings.body_timeout,
                self.body_since + min(settings.body_deadline, settings.body_timeout + self.body_bytes / BODY_RATE),
            )
        if self.queue is not None or self.flow.write_paused:
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        return self.now + settings.keep_alive

    def lasts(self) -> None:
        """Whoever answers the request under way looks after its body."""
        self.lasting = True

    def unsent(self) -> int:
        """Bytes that its client has still to take."""
        if self.fd >= 0:
            return self._buffered() + in_kernel(self.fd)
        sock = self.transport.get_extra_info("socket")
        return self._buffered() + (in_kernel(sock.fileno()) if sock is not None else 0)

    def close(self) -> None:
        """Its time is over."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.close()

    def cut(self) -> None:
        """It does not read."""
        self.transport.abort()

    def _unfinished(self, size: int) -> None:
        """A head or a body is under way: it has a deadline, and a head a size."""
        hot = self.hot
        if self.begun:
            self.head_bytes += size
            if self.head_bytes > hot.settings.max_header_bytes:
                self._refuse(_TOO_LARGE)
                return
            hot.connections.expect(self, self.begun + self.head)
        else:
            hot.connections.expect(self, self.now + hot.settings.body_timeout)

    def _too_large(self) -> bool:
        """Whether the head that has just been read is larger than allowed; then it is refused."""
        self.large = False
        size = len(self.url) + sum([len(name) + len(value) + 4 for name, value in self.headers])
        if size <= self.hot.settings.max_header_bytes:
            return False
        self._refuse(_TOO_LARGE)
        return True

    def _misses_host(self) -> bool:
        """Whether the head lacks a Host line that it must have, or has two, or one that is none; then it is refused."""
        if self.hosted == 0 and self.parser.get_http_version() != "1.1":
            return False
        self._refuse(_BAD_HOST)
        return True

    def _refuse(self, words: bytes) -> None:
        """Answers without the judge and closes; what else was sent is not read."""
        if not self.dead:
            self.dead = self.fast = True
            self.lead = NEVER
            self.hot.http.slow["other", int(words[9:12])] += 1
            if not self._answering():
                self.transport.write(words)
            self.transport.close()

    def _answering(self) -> bool:
        """Whether an earlier request has yet to get its answer: no other may come before it."""
        return self.queue is not None or (self.cycle is not None and not self.cycle.response_complete)

    def send_400_response(self, msg: str) -> None:
        """Says so, unless it would be taken for the answer to an earlier request."""
        if self._answering():
            self.dead = True
            self.transport.abort()
        else:
            super().send_400_response(msg)
