"""Answers plain GETs of playlists, parts and segments from ready bytes, inside the HTTP parser's callbacks.

A subclass of uvicorn's httptools protocol (`hlsd.net.uvicorn_fit` looks whether it can be). Law: a request is answered
here only if it is a plain GET of HTTP/1.1 on a kept connection, for a URL of an open session that the judge
has answered with 200 or a wait. Everything else falls through to ASGI untouched, is judged there by the same judge,
and the differential test proves that nobody can tell the roads apart.

Every answer is charged to its session. A held request is an entry in its stream's waiter list. What uvicorn does not
bound is bounded here: heads, bodies, silences, readers, requests of one connection (`hlsd.delivery.http1.connections`).

It is long because it is one state machine: every line of it reads or moves the state of one connection.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from hlsd.base.pace import BODY_RATE
from hlsd.delivery import cmcd
from hlsd.delivery.blocked_requests import Outcome, WaiterCount, WaitQueue
from hlsd.delivery.http1.connections import ClientAddress
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.takeover import TakeableProtocol
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.request import MAX_QUERY
from hlsd.net.kernel import acknowledged, in_kernel
from hlsd.net.strict_http import take_host
from hlsd.ports import Session

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

UNUSUAL = frozenset(
    (
        b"range",
        b"if-range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
    )
)
"""Headers with which a request is the slow road's."""
NOTED = UNUSUAL | cmcd.HEADERS | {b"accept-encoding", b"connection", b"host", b"origin", b"x-forwarded-for"}
MAX_UNREAD = 512 * 1024
"""Bytes that a client may have in the kernel's buffer and still be given more; that buffer grows to megabytes."""
MAX_LATER = 4096
"""Bytes that a connection may have waiting for the end of a release; more is read at once."""
MAX_PIPELINED = 16
"""Requests that one connection may have waiting behind one another."""
_NEVER = b"\n"
"""No request begins with it."""
MAX_TAILS = 4096
"""Header blocks that connections share in memory."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 14\r\nconnection: close\r\n\r\n431 too large\n"
)
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 20\r\n"
    b"retry-after: 5\r\naccess-control-allow-origin: *\r\nconnection: close\r\n\r\n503 try again later\n"
)
_BAD_HOST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 25\r\n"
    b"connection: close\r\n\r\n400 one Host is required\n"
)
_GOVERNING = (b"/api/", b"/healthz", b"/readyz", b"/metrics")
_NO_HEADERS: list[tuple[bytes, bytes]] = []


class FastProtocol(TakeableProtocol):
    """One connection. `hot` comes first, so that uvicorn's factory can be a partial of this class."""

    def __init__(  # noqa: PLR0915 - one state machine, one state
        self,
        hot: HotPath,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.hot = hot
        self.now = 0.0
        """Monotonic time of the last bytes that came."""
        self.begun = 0.0
        """When the head under way began, or the connection while there was none; 0 between requests."""
        self.fast = False
        """The request under way was answered, or is held, here."""
        self.plain = True
        self.kept = False
        """`Connection: keep-alive` was said: HTTP/1.0 may do so too."""
        self.zipped: bool | None = None
        self.origin: bytes | None = None
        self.forwarded = b""
        """What a proxy says of where it comes from."""
        self.viewer = ""
        """Whose request it is: the client's address, or what a proxy of ours says."""
        self.reports = False
        """Its headers hold a report of the player."""
        self.in_body = False
        self.body_since = 0.0
        """When the body under way began."""
        self.body_bytes = 0
        """What has come of it."""
        self.hosted = 0
        """Host lines of the head under way; one that cannot be a host counts as two."""
        self.large = False
        """The head may be larger than allowed: count it."""
        self.head_bytes = 0
        """Of the head under way, as read."""
        self.requests = 0
        self.dead = False
        """Refused: nothing more is answered."""
        self.lost = False
        self.draining = False
        self.later: bytes | None = None
        """What it sent during a release, not read yet."""
        self.fd = -1
        """Its socket, if bytes may be put there directly: bare TCP."""
        self.owed = 0
        """Bytes of body sent since it was last seen how many its client has not taken."""
        self.overfed = False
        """More than `MAX_UNREAD` lie in the kernel: nothing is written although it could be."""
        self.ip = ""
        self.address: ClientAddress | None = None
        self.governing = False
        # The last request, if it came as one piece and was answered here (see `_again`):
        self.lead = _NEVER
        """`GET ` and the beginning of every URL of its session."""
        self.tail = b""
        """What stood behind the URL: version and headers."""
        # As a waiter (`hlsd.delivery.blocked_requests.Waiter`):
        self.line: WaitQueue | None = None
        self.session: Session | None = None
        self.crowd: WaiterCount | None = None
        # What was charged last, for the refund:
        self.given = 0
        """Bytes given to the connection when it was last found not to take them."""
        self.charged: tuple[Session | None, int, int] | None = None

    # -- the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets the connection in, or says that there are too many."""
        super().connection_made(transport)
        hot = self.hot
        self.now = self.begun = monotonic()
        self.ip = self.client[0] if self.client else ""
        address = self.address = self.crowd = hot.connections.enter(self.ip)
        if address is None:
            self.dead = True
            hot.http.slow["other", 503] += 1
            transport.write(_TOO_MANY)
            transport.close()
            return
        self.governing = hot.connections.full
        transport.set_write_buffer_limits(high=0)  # one object at most: what does not fit the kernel pauses writing
        sock = transport.get_extra_info("socket")
        if sock is not None and self.scheme == "http":
            self.fd = sock.fileno()
        timeout = hot.settings.header_timeout
        hot.connections.expect(self, self.now + (min(timeout, 2.0) if self.governing else timeout))

    def connection_lost(self, exc: Exception | None) -> None:
        """Frees what the connection held."""
        self.lost = True
        if self.line is not None:
            self.hot.holds.leave(self)
        self._refund()
        if self.address is not None:
            self.hot.connections.leave(self, self.address)
            self.address = self.crowd = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and watches heads and bodies that come in pieces.

        While a release is under way those who were answered ask again already: what they ask is read when all the
        others have their answer, or the last of them would wait for two requests of everybody before them.
        """
        if self.later is not None:
            self.resume()
        elif self.hot.holds.releasing and len(data) <= MAX_LATER:
            self.later = data
            self.hot.later.append(self)
            return
        self._read(data)

    def resume(self) -> None:
        """Reads what was put off."""
        later, self.later = self.later, None
        if later is None or self.lost:
            return
        try:
            self._read(later)
        except Exception as error:  # noqa: BLE001 - asyncio would end this connection too; others are behind it
            self.hot.holds.faults.output("viewer", error)
            self.transport.abort()

    def _read(self, data: bytes) -> None:
        self.now = monotonic()
        if data.startswith(self.lead) and data.endswith(self.tail) and self._again(data):
            return
        if self.dead:
            return
        size = self.head_bytes + len(data)
        if size > self.hot.settings.max_header_bytes:
            self.large = True
        alone = not self.begun and not self.in_body
        read = self.requests + 1
        super().data_received(data)
        if self.begun or self.in_body:
            self._unfinished(len(data))
        elif self.fast:
            if self.session is not None:
                self.session.in_bytes += size
            if alone and self.requests == read:
                self._remember(data)

    def pause_writing(self) -> None:
        """The client does not take what was written."""
        super().pause_writing()
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

    def shutdown(self) -> None:
        """Uvicorn's call to end in good order: what is held is answered first, with `Connection: close`."""
        self.draining = True
        self.lead = _NEVER
        if self.line is None:
            super().shutdown()

    # -- the parser

    def on_message_begin(self) -> None:
        """A request begins; the scope is made only if it falls through."""
        if self.line is not None:  # pipelined behind a held one: an order to keep is uvicorn's business
            self._hand_over()
        self.lead = _NEVER
        self.begun = self.now
        self.url = b""
        self.headers = []
        self.fast = False
        self.plain = True
        self.kept = False
        self.hosted = 0
        self.zipped = None
        self.origin = None
        self.forwarded = b""
        self.reports = False

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: C901 - a table would be slower
        """Collects, and notes what decides the road."""
        name = name.lower()
        self.headers.append((name, value))
        if name in NOTED:
            if name == b"accept-encoding":
                if self.zipped is not None:
                    self.plain = False
                self.zipped = self.hot.takes_gzip(value)
            elif name == b"connection":
                self.kept = True
                if value != b"keep-alive" and value.lower() != b"keep-alive":
                    self.plain = False
            elif name == b"host":
                self.hosted += 1 if value in self.hot.hosts or self.hot.takes_host(value) else 2
            elif name == b"origin":
                if self.origin is not None:
                    self.plain = False
                self.origin = value
            elif name == b"x-forwarded-for":
                self.forwarded = b"%b, %b" % (self.forwarded, value) if self.forwarded else value
            elif name in cmcd.HEADERS:
                self.reports = True
            else:
                self.plain = False

    def on_headers_complete(self) -> None:
        """Answers, holds, or falls through."""
        self.begun = 0.0
        self.head_bytes = 0
        self.requests += 1
        if self.large and self._too_large():
            return
        if self.hosted != 1 and self._misses_host():
            return
        if (
            self.plain
            and not self.governing
            and ((cycle := self.cycle) is None or cycle.response_complete)
            and not self.flow.write_paused
            and self.parser.get_method() == b"GET"
            and self._try_answer()
        ):
            self.fast = True
            return
        self._fall_through()

    def on_body(self, body: bytes) -> None:
        """A body is the slow road's."""
        if not self.fast:
            self.body_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has been read."""
        self.in_body = False
        if self.fast:
            self.headers = _NO_HEADERS  # an idle or waiting connection keeps nothing of it
        else:
            super().on_message_complete()

    # -- the fast road

    def _try_answer(self) -> bool:
        """As `_answer`; a fault of ours is answered by the slow road: the parser would take it for the client's."""
        try:
            return self._answer()
        except Exception as error:  # noqa: BLE001 - see above
            self.hot.holds.faults.output("viewer", error)
            return self.transport.is_closing()

    def _answer(self) -> bool:
        """Answers or holds the request; False if the slow road must."""
        url = self.url
        begin = url.find(b"/~", 2)
        if begin < 0:
            return False
        session = self.hot.sessions.find(url[begin + 2 : url.find(b"/", begin + 2)])
        if session is None or not url.startswith(session.prefix):
            return False
        if not self.parser.should_keep_alive() or (self.kept and self.parser.get_http_version() != "1.1"):
            return False
        if self.requests == self.hot.settings.max_requests or self.draining or self.transport.is_closing():
            return False
        self.viewer = self.hot.proxies.viewer(self.ip, self.forwarded) if self.forwarded else self.ip
        if not self._serve(session, url[len(session.prefix) :]):
            return False
        if self.reports:
            self.hot.quality.report(session.app, session.name, cmcd.of_headers(self.headers), self.now)
        return True

    def _again(self, data: bytes) -> bool:
        """Answers a request that is the connection's last one but for what its session asks for.

        A player sends the same headers each time: what the parser made of these very bytes is still known (`zipped`,
        `origin`), and a URL that stands in a table was read by the judge. The parser stands between two messages, as
        it did before the last one, and need not see this one. Any doubt, and it does.
        """
        session = self.session
        number = self.requests + 1
        if (
            session is None
            or session.over
            or self.line is not None
            or self.flow.write_paused
            or number == self.hot.max_requests
            or not self._serve(session, data[len(self.lead) : -len(self.tail)])
        ):
            return False
        self.requests = number
        session.in_bytes += len(data)
        if self.line is not None:  # held meanwhile: it may have to be handed over
            self.url = data[4 : -len(self.tail)]  # type: ignore[unreachable]  # mypy does not see what `_serve` does
        return True

    def _remember(self, data: bytes) -> None:
        """Notes a request that was read whole and answered here, for `_again`."""
        session, url = self.session, self.url
        end = 4 + len(url)
        if session is None or self.reports or self.transport.is_closing():
            return
        if data.startswith(b"GET ") and data[4:end] == url:
            self.lead = b"GET " + session.prefix
            self.tail = self.hot.tails.setdefault(data[end:], data[end:])
            if len(self.hot.tails) > MAX_TAILS:
                self.hot.tails.clear()

    def _serve(self, session: Session, rest: bytes) -> bool:
        """Answers or holds the plain GET of `session.prefix + rest`; False if the judge says neither."""
        hot = self.hot
        playable = hot.find(session.app, session.name)
        if playable is None or session.ip != self.viewer:  # what that means is not decided here
            return False
        path = session.path
        cache = hot.kept.get(path)
        if cache is None or cache.playable is not playable or cache.version != playable.version:
            cache = hot.caches.renew(path, playable)
        zipped = self.zipped is True
        if hot.varies and self.origin is not None:
            origin: bytes | None = self.origin
            table = hot.caches.table(cache, zipped, origin)
        else:
            origin = None
            table = cache.zipped if zipped else cache.plain
        report = b""
        answer = table.get(rest)
        if answer is None:
            if b"CMCD=" in rest and len(rest) <= MAX_QUERY:  # every URL another one, and yet the same thing
                rest, report = cmcd.split(rest)
                answer = table.get(rest)
            answer = answer or hot.caches.judge(table, session, rest, zipped, origin)
        if answer is None or (self.owed > MAX_UNREAD and self._overfed()):
            return False
        session.requests += 1
        session.last = self.now
        self.session = session
        if report:
            hot.quality.report(session.app, session.name, report, self.now)
        if answer.__class__ is ReadyBytes:  # `_send`, without the call
            size, media = answer.size, answer.media
            self.owed += size
            answer.cell.count += 1
            answer.send(self.transport, self.server_state.default_headers, self.fd)
            hot.charge(session, size, media)
            if self.flow.write_paused:
                self._unsettled(session, size, media)
        else:
            self._hold(cast("WaitQueue", answer))
        return True

    def _send(self, ready: ReadyBytes) -> None:
        self.owed += ready.size
        ready.cell.count += 1
        ready.send(self.transport, self.server_state.default_headers, self.fd)
        self.hot.sessions.charge(self.session, ready.size, ready.media)
        if self.flow.write_paused:
            self._unsettled(self.session, ready.size, ready.media)

    def _unsettled(self, session: Session | None, size: int, media: int) -> None:
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

    def _hold(self, line: WaitQueue) -> None:
        if not self.hot.holds.enter(line, self, self.now):
            self._send(self.hot.refusal)

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - only refusals have no answer
        """What was waited for is there, or will not come."""
        ready = answer or self.hot.refusal
        if self.session is not None:
            self.session.last = monotonic()
        if self.draining:
            ready.cell.count += 1
            self.hot.sessions.charge(self.session, ready.size, ready.media)
            self._unsettled(self.session, ready.size, ready.media)
            ready.send_last(self.transport, self.server_state.default_headers)
        else:
            self._send(ready)

    # -- the slow road

    def _fall_through(self) -> None:
        """Hands the request to ASGI exactly as uvicorn would have read it."""
        if self.dead:
            return
        self.lead = _NEVER
        if len(self.pipeline) >= MAX_PIPELINED or (self.governing and not self.url.startswith(_GOVERNING)):
            self._refuse(_TOO_MANY)
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self.scope["hlsd"] = self  # type: ignore[typeddict-unknown-key]
        self.in_body = True
        self.body_since = self.now
        self.body_bytes = 0
        if url[:1] != b"/":
            take_host(url, self.headers)
        super().on_headers_complete()
        most = self.hot.settings.max_requests
        if self.governing or self.draining or (most and self.requests >= most):
            self.cycle.keep_alive = False

    def _hand_over(self) -> None:
        """A held request turns out to have company: it becomes an ASGI request, before the next one is read."""
        self.hot.holds.leave(self)
        self.fast = False
        self.headers = [(b"accept-encoding", b"gzip")] if self.zipped else []
        if self.origin is not None:
            self.headers.append((b"origin", self.origin))
        if self.forwarded:
            self.headers.append((b"x-forwarded-for", self.forwarded))
        self.url = cmcd.split(self.url)[0]  # counted already
        parser, self.parser = self.parser, cast("Any", _READ)
        try:
            self._fall_through()
            self.on_message_complete()
        finally:
            self.parser = parser

    def charge(self, session: Session | None, size: int, media: int) -> None:
        """ASGI has sent `size` bytes of body."""
        if not self.lost:
            self.hot.sessions.charge(session, size, media)
            if self.flow.write_paused:
                self._unsettled(session, size, media)

    # -- the bounds

    def limit(self, now: float) -> float | None:
        """When its client's time is over (`hlsd.delivery.http1.connections.Guarded`)."""
        if self.dead:
            return now
        settings = self.hot.settings
        if self.begun:
            return self.begun + (min(settings.header_timeout, 2.0) if self.governing else settings.header_timeout)
        if self.in_body:
            return min(
                self.now + settings.body_timeout,
                self.body_since + min(settings.body_deadline, settings.body_timeout + self.body_bytes / BODY_RATE),
            )
        if self.line is not None or self.flow.write_paused:
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        return self.now + settings.keep_alive

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

    def _refund(self) -> None:
        """Takes back what its client did not get of an object that did not leave our buffer whole."""
        if self.charged is not None and self.flow.write_paused:
            session, size, media = self.charged
            self.hot.sessions.charge(session, -min(size, max(0, self.given - self._acked())), media)
        self._settled()

    def _acked(self) -> int:
        """Bytes that its client's kernel has confirmed; the transport forgets its buffer before it says goodbye."""
        sock = self.transport.get_extra_info("socket")
        return acknowledged(sock) if sock is not None else 0

    def _buffered(self) -> int:
        return self.transport.get_write_buffer_size()

    def _unfinished(self, size: int) -> None:
        """A head or a body is under way: it has a deadline, and a head a size."""
        hot = self.hot
        if self.begun:
            self.head_bytes += size
            if self.head_bytes > hot.settings.max_header_bytes:
                self._refuse(_TOO_LARGE)
                return
            hot.connections.expect(self, self.begun + hot.settings.header_timeout)
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
            self.lead = _NEVER
            self.hot.http.slow["other", int(words[9:12])] += 1
            if not self._answering():
                self.transport.write(words)
            self.transport.close()

    def _answering(self) -> bool:
        """Whether an earlier request has yet to get its answer: no other may come before it."""
        return self.line is not None or (self.cycle is not None and not self.cycle.response_complete)

    def send_400_response(self, msg: str) -> None:
        """Says so, unless it would be taken for the answer to an earlier request."""
        if self._answering():
            self.dead = True
            self.transport.abort()
        else:
            super().send_400_response(msg)


class _Read:
    """Stands in for the parser of a request that was read a while ago: a plain GET on a kept connection."""

    @staticmethod
    def get_http_version() -> str:
        return "1.1"

    @staticmethod
    def get_method() -> bytes:
        return b"GET"

    @staticmethod
    def should_keep_alive() -> bool:
        return True

    @staticmethod
    def should_upgrade() -> bool:
        return False


_READ = _Read()
