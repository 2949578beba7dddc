"""Answers plain GETs of playlists, parts and segments from ready bytes, inside the HTTP parser's callbacks.

A subclass of uvicorn's httptools protocol (`hlsd.net.uvicorn_fit` looks whether it can be), on the plain port as over
TLS: they share one `HotPath`. Law: a request is answered here only if it is a plain GET of HTTP/1.1 on a kept
connection, for a URL of an open session that the judge has answered with 200 or a wait. Everything else falls through
to ASGI untouched, is judged there by the same judge, and the differential test proves that nobody can tell the two
transports apart.

Every answer is charged to its session. A blocked request is an entry in a wait queue of its stream. What uvicorn does
not bound is bounded in `hlsd.delivery.http1.bounded`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from hlsd.delivery import cmcd
from hlsd.delivery.http1.bounded import MAX_UNREAD, NEVER, TOO_MANY, BoundedProtocol
from hlsd.delivery.http1.connections import ClientAddress, ListenerTerms
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.plain import GOVERNING, NOTED, READ
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.lasting import LASTING
from hlsd.delivery.wait_queue import Outcome, WaitQueue
from hlsd.net.strict_http import take_host
from hlsd.ports import ViewerSession

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

MAX_LATER = 4096
"""Bytes that a connection may have waiting for the end of a release; more is read at once."""
MAX_PIPELINED = 16
"""Requests that one connection may have waiting behind one another."""
MAX_TAILS = 4096
"""Header blocks that connections share in memory."""

_NO_HEADERS: list[tuple[bytes, bytes]] = []


class FastProtocol(BoundedProtocol):
    """One connection. `hot` comes first, so that uvicorn's factory can be a partial of this class."""

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
        super().__init__(hot, config, server_state, app_state, _loop, terms=terms, address=address)
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
        self.later: bytes | None = None
        """What it sent during a release, not read yet."""
        self.tail = b""
        """What stood behind the URL of the last request, if it may be repeated: version and headers."""

    # -- what comes

    def connection_lost(self, exc: Exception | None) -> None:
        """Frees what the connection held."""
        if self.queue is not None:
            self.hot.blocked.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and watches heads and bodies that come in pieces.

        While a release is under way those who were answered ask again already: what they ask is read when all the
        others have their answer, or the last of them would wait for two requests of everybody before them.
        """
        if self.later is not None:
            self.resume()
        elif self.hot.blocked.releasing and len(data) <= MAX_LATER:
            self.later = data
            self.hot.blocked.read_later(self)
            return
        self.now = monotonic()
        # Nearly every request ends here, and a call is dear.
        if not (data.startswith(self.lead) and data.endswith(self.tail) and self._again(data)):
            self._parse(data)

    def resume(self) -> None:
        """Reads what was put off."""
        later, self.later = self.later, None
        if later is None or self.lost:
            return
        try:
            self.now = monotonic()
            if not (later.startswith(self.lead) and later.endswith(self.tail) and self._again(later)):
                self._parse(later)
        except Exception as error:  # noqa: BLE001 - asyncio would end this connection too; others are behind it
            self.hot.blocked.faults.output("viewer", error)
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
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

    # -- the parser

    def on_message_begin(self) -> None:
        """A request begins; the scope is made only if it falls through."""
        if self.queue is not None:  # pipelined behind a held one: an order to keep is uvicorn's business
            self._hand_over()
        self.lead = NEVER
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
        """Collects, and notes what decides who answers."""
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
        """Answers, has it wait, or falls through."""
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
        """A body is ASGI's."""
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

    # -- without ASGI

    def _try_answer(self) -> bool:
        """As `_answer`; a fault of ours is answered by ASGI: the parser would take it for the client's."""
        try:
            return self._answer()
        except Exception as error:  # noqa: BLE001 - see above
            self.hot.blocked.faults.output("viewer", error)
            return self.transport.is_closing()

    def _answer(self) -> bool:
        """Answers the request; False if ASGI must."""
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
            or self.queue is not None
            or self.flow.write_paused
            or number == self.hot.max_requests
            or not self._serve(session, data[len(self.lead) : -len(self.tail)])
        ):
            return False
        self.requests = number
        session.in_bytes += len(data)
        if self.queue is not None:  # held meanwhile: it may have to be handed over
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

    def _serve(self, session: ViewerSession, rest: bytes) -> bool:
        """Answers the plain GET of `session.prefix + rest`; False if the judge says neither."""
        if self.owed > MAX_UNREAD and self._overfed():
            return False
        hot = self.hot
        answer = hot.look_up(session, rest, self.viewer, self.zipped, self.origin, self.now)
        if answer is None:
            return False
        self.session = session
        if answer.__class__ is ReadyBytes:  # `_send`, without the call
            size, media = answer.size, answer.media
            self.owed += size
            answer.cell.count += 1
            answer.send(self.transport, hot.dates.default_headers, self.fd)
            hot.charge(session, size, media)
            if self.flow.write_paused:
                self._unsettled(session, size, media)
        else:
            self._wait(cast("WaitQueue", answer))
        return True

    def _send(self, ready: ReadyBytes) -> None:
        self.owed += ready.size
        ready.cell.count += 1
        ready.send(self.transport, self.hot.dates.default_headers, self.fd)
        self.hot.sessions.charge(self.session, ready.size, ready.media)
        if self.flow.write_paused:
            self._unsettled(self.session, ready.size, ready.media)

    def _wait(self, queue: WaitQueue) -> None:
        if not self.hot.blocked.enter(queue, self, self.now):
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
            ready.send_last(self.transport, self.hot.dates.default_headers)
        else:
            self._send(ready)

    # -- by ASGI

    def _fall_through(self) -> None:
        """Hands the request to ASGI exactly as uvicorn would have read it."""
        if self.dead:
            return
        self.lead = NEVER
        if len(self.pipeline) >= MAX_PIPELINED or (self.governing and not self.url.startswith(GOVERNING)):
            self._refuse(TOO_MANY)
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self.scope["hlsd"] = self  # type: ignore[typeddict-unknown-key]
        self.scope[LASTING] = self.lasts  # type: ignore[typeddict-unknown-key]
        self.in_body = True
        self.lasting = False
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
        self.hot.blocked.leave(self)
        self.fast = False
        self.headers = [(b"accept-encoding", b"gzip")] if self.zipped else []
        if self.origin is not None:
            self.headers.append((b"origin", self.origin))
        if self.forwarded:
            self.headers.append((b"x-forwarded-for", self.forwarded))
        self.url = cmcd.split(self.url)[0]  # counted already
        parser, self.parser = self.parser, cast("Any", READ)
        try:
            self._fall_through()
            self.on_message_complete()
        finally:
            self.parser = parser
