"""Carries HTTP/2 requests to the judge and the pages, and their answers back: one TLS connection.

The same ready answers, judge, entrance and wait queues as over HTTP/1.1; what is not a stream's business goes to the
ASGI app. Nothing is written while the transport asks to wait, and nothing read while more has come than one turn of the
loop may work off. One write for all answers of one turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast

from starlette.types import ASGIApp

from hlsd.base.pace import Pace
from hlsd.delivery.answer import Answer, Fall, Reply, WaitForMedia, WaitForPart
from hlsd.delivery.cors import Headers
from hlsd.delivery.http1.connections import SLOWEST, ClientAddress
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.wire import Stamp
from hlsd.delivery.http2.core import Http2
from hlsd.delivery.http2.cycle import Cycle
from hlsd.delivery.http2.hot_requests import HotRequests
from hlsd.delivery.http2.hot_stream import HotStream
from hlsd.delivery.http2.request_form import RequestForms
from hlsd.delivery.http2.stream import Http2Stream, StreamBody, StreamClosed, StreamRequest
from hlsd.delivery.http2.waiter import Http2Waiter
from hlsd.delivery.judge import Judge
from hlsd.delivery.replies import PLAYLIST_TYPE
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.runner import Runner
from hlsd.delivery.wait_queue import Outcome

TAKE = 64 * 1024
"""Bytes handed to the transport at a time."""
TAKES = 8
"""Takes in one turn of the event loop, if the transport goes on taking."""
MAX_LATER = 4096
"""Bytes that a connection may have waiting for the end of a release; more is read at once."""
BUFFERED = 256 * 1024
"""Bytes that the transport holds before it asks to wait: what a slow client costs, at most, beside shared bodies."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Http2Context:
    """What the connections of one listener share."""

    app: ASGIApp
    judge: Judge
    runner: Runner
    hot: HotPath
    """What is ready, and where requests and body bytes are counted."""
    max_streams: int
    max_header: int
    freed: Callable[[ClientAddress], None] = lambda address: None  # noqa: ARG005
    """Told of every connection that is lost, by its address."""
    common: Stamp = ()
    """Headers of every answer: Date."""
    connections: set[Http2Connection] = field(default_factory=set)
    forms: RequestForms = field(init=False)

    def __post_init__(self) -> None:
        self.forms = RequestForms(self.hot.takes_gzip)


class Http2Connection(asyncio.Protocol):
    """A connection that has chosen `h2` by ALPN."""

    def __init__(self, context: Http2Context, address: ClientAddress) -> None:
        self._context = context
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._core = Http2(max_streams=context.max_streams, max_header=context.max_header, forms=context.forms)
        self._hot: HotRequests
        self._transport: asyncio.Transport
        self._peer = ""
        self._port = 0
        self._blocked = context.hot.blocked
        self._later: bytes | None = None
        self._scheduled = False
        self._behind = False
        self._slow: tuple[float, int] | None = None
        self._gone: dict[int, asyncio.Future[None]] = {}
        self._waiting: dict[int, Http2Waiter] = {}
        self._cycles: dict[int, Cycle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._since = 0.0
        self.error = ""

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._transport.set_write_buffer_limits(high=BUFFERED)
        peer = transport.get_extra_info("peername")
        if peer:
            self._peer, self._port = str(peer[0]), int(peer[1])
        self._since = self._loop.time()
        context = self._context
        context.connections.add(self)
        self._core.hot = self._hot = HotRequests(
            context.hot, context, self._core, self._address, self._peer, self._soon
        )
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Every request is over; whoever waits for one is told."""
        self._context.connections.discard(self)
        self._context.freed(self._address)
        self._core.lost()
        self._hot.drop()
        self._happen()

    def data_received(self, data: bytes) -> None:
        """Octets from the client.

        While a release is under way, what those ask who have their answer is read when the others have theirs.
        """
        if self._later is not None:
            self.resume()
        elif self._blocked.releasing and len(data) <= MAX_LATER:
            self._later = data
            self._context.hot.later.append(self)
            return
        core = self._core
        if core.more:  # behind what is left of the last turn
            core.receive(data, self._loop.time())
        else:
            self._turn(data)

    def resume(self) -> None:
        """Reads what was put off."""
        later, self._later = self._later, None
        if later is not None and not self._transport.is_closing():
            self._turn(later)

    def _turn(self, data: bytes) -> None:
        """Does a turn's work of what has been received, and writes what comes of it."""
        core = self._core
        core.receive(data, self._loop.time())
        self._flush(core.now)
        if core.more:
            self._go_on_soon()
        elif self._behind:
            self._behind = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _go_on_soon(self) -> None:
        """The rest of what was received is the next turn's: others are served before."""
        if not self._behind:
            self._behind = True
            self._transport.pause_reading()
        self._loop.call_soon(self._turn, b"")

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._core.open = False

    def resume_writing(self) -> None:
        """It has read."""
        self._core.open = True
        self._flush()

    # -- the listener's

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._core.streams)

    def shutdown(self) -> None:
        """Takes no further requests, and closes when those under way are answered."""
        self._core.goaway()
        self._flush()

    def abort(self) -> None:
        """Cuts the connection."""
        self._transport.abort()

    def sweep(self, now: float, pace: Pace) -> None:
        """Ends a connection that has overstayed, and requests whose bodies do not come."""
        core = self._core
        if core.streams:
            if (now - core.last_progress > pace.stall and core.stuck) or self._crawls(now, pace):
                self.abort()
                return
            for stream in [one for one in core.streams.values() if not one.asked]:
                if now > pace.body_by(stream.since, stream.received):
                    self.reset(stream)
        elif now - max(self._since, core.last_progress) > (
            pace.idle if core.highest and not core.finished else pace.header
        ):
            if core.finished:  # our farewell is not read
                self.abort()
            else:
                self.shutdown()

    def _crawls(self, now: float, pace: Pace) -> bool:
        """Whether the client has taken next to nothing of what waited for it all the time."""
        if not any(stream.body for stream in self._core.streams.values()):
            self._slow = None
        elif self._slow is None or self._core.given - self._slow[1] >= SLOWEST:
            self._slow = (now, self._core.given)
        else:
            return now - self._slow[0] > pace.stall
        return False

    # -- requests

    def _happen(self) -> None:
        core = self._core
        while core.events:
            for event in core.next_events():
                if isinstance(event, StreamRequest):
                    if core.streams.get(event.stream.id) is event.stream:  # or it was cancelled in the same breath
                        self._asked(event.stream)
                elif isinstance(event, StreamClosed):
                    self._closed(event.stream)
                else:
                    self._body(event)

    def _asked(self, stream: Http2Stream) -> None:
        request = _request(stream, self._peer, self._port)
        request.begun = monotonic()
        try:
            answer = self._context.judge.answer(request)
            stream.judged = not isinstance(answer, Fall)
            stream.session = request.session
            self._context.runner.hear(request, stream.headers)
            if isinstance(answer, Reply):
                self._context.runner.count(request)
                self._reply(stream, answer)
                self._context.runner.answered(request, answer.status)
            elif isinstance(answer, Fall):
                cycle = self._cycles[stream.id] = Cycle(self, stream, self._transport)
                self._begin(cycle.run(self._context.app))
            elif isinstance(answer, WaitForPart | WaitForMedia):
                self._wait(stream, request, answer)
            else:
                gone = self._gone[stream.id] = self._loop.create_future()
                self._begin(self._answer_later(stream, request, answer, gone))
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            _log.exception("no answer to an HTTP/2 request")
            self._fail(stream, request)

    def _wait(self, stream: Http2Stream, request: Request, wait: WaitForPart | WaitForMedia) -> None:
        """Holds a reload or a hinted part: most requests of a low-latency viewer are one of them."""
        waiter = Http2Waiter(stream, request, wait, self._address, self._woken)
        waiter.common = self._context.runner.join(request, wait, waiter)
        if waiter.common is None:
            self._woken(waiter, Outcome.REFUSED)
        else:
            self._waiting[stream.id] = waiter

    def _woken(self, waiter: Http2Waiter, outcome: Outcome) -> None:
        stream, request, queue = waiter.stream, waiter.request, waiter.common
        self._waiting.pop(stream.id, None)
        try:
            if queue is None or outcome is Outcome.REFUSED:
                reply = self._context.judge.replies.unavailable(request)
            else:
                reply = cast("Reply", queue.then(waiter.wait, outcome))  # these waits end with nothing else
            self._reply(stream, reply)
            self._context.runner.answered(request, reply.status)
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            _log.exception("no answer to a held HTTP/2 request")
            self._fail(stream, request)

    def _fail(self, stream: Http2Stream, request: Request) -> None:
        self._context.runner.answered(request, 500)
        self.answer(stream, 500, [(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_later(
        self, stream: Http2Stream, request: Request, answer: Answer, gone: asyncio.Future[None]
    ) -> None:
        """A viewer comes in, or waits for a first playlist: as long as that takes, it is a task."""

        async def hung_up() -> None:
            await gone

        try:
            reply = await self._context.runner.reply(request, answer, hung_up, self._address)
            stream.session = request.session
            if reply is not None:
                self._reply(stream, reply)
                self._context.runner.answered(request, reply.status)
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            _log.exception("no answer to an HTTP/2 request that had to wait")
            self._fail(stream, request)

    def _reply(self, stream: Http2Stream, reply: Reply) -> None:
        urgent = (b"content-type", PLAYLIST_TYPE) in reply.headers
        stream.media = reply.media
        if stream.session is not None:
            stream.flowing = True
            stream.session.flows += 1
        self.answer(stream, reply.status, reply.headers, reply.body, urgent=urgent)

    def _body(self, event: StreamBody) -> None:
        cycle = self._cycles.get(event.stream.id)
        if cycle is None:  # nobody wants it
            self._core.consumed(event.stream, len(event.octets))
        else:
            cycle.feed(event.octets, ended=event.ended)

    def _closed(self, stream: Http2Stream) -> None:
        if isinstance(stream, HotStream):
            self._hot.left(stream)
        elif (waiter := self._waiting.pop(stream.id, None)) is not None:
            self._context.runner.leave(waiter)
        gone = self._gone.pop(stream.id, None)
        if gone is not None and not gone.done():
            gone.set_result(None)
        cycle = self._cycles.pop(stream.id, None)
        if cycle is not None:
            cycle.hang_up()
        if stream.flowing and stream.session is not None:
            stream.session.flows -= 1
            stream.session.last = monotonic()
        if stream.judged:
            self._context.hot.charge(stream.session, stream.sent, stream.media)

    # -- answers

    def answer(  # noqa: PLR0913
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
        self._core.answer(stream, status, [*self._context.common, *headers], body, last=last, urgent=urgent)
        self._soon()

    def send(self, stream: Http2Stream, octets: bytes, *, last: bool) -> None:
        """More of the body."""
        self._core.send(stream, octets, last=last)
        self._soon()

    def waits(self, stream: Http2Stream) -> int:
        """Body bytes of the stream that the client has not made room for."""
        return self._core.waits(stream)

    def consumed(self, stream: Http2Stream, size: int) -> None:
        """The app has read `size` bytes of the request's body."""
        self._core.consumed(stream, size)
        self._soon()

    def reset(self, stream: Http2Stream) -> None:
        """The answer cannot be ended as it was begun."""
        self._core.reset(stream)
        self._soon()

    def _soon(self) -> None:
        """One write for all answers of one turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self, now: float = 0.0) -> None:
        """Deals with what has happened, and writes what may go out."""
        self._scheduled = False
        transport, core = self._transport, self._core
        if core.events:
            self._happen()
        if transport.is_closing():
            self._hot.drop()
            return
        if core.open and core.waiting:
            now = now or self._loop.time()
            for _ in range(TAKES):
                octets = core.take(TAKE, now)
                if not octets:
                    break
                transport.write(octets)
                if not core.open or not core.waiting:
                    break
            else:
                self._soon()
        self._hot.settle()
        if core.events:
            self._happen()
        if self._cycles:
            for cycle in self._cycles.values():
                cycle.refill()
        if core.finished:
            octets = core.take(TAKE, now or self._loop.time())
            if octets:
                transport.write(octets)
            self.error = core.error
            transport.close()


def _request(stream: Http2Stream, peer: str, port: int) -> Request:
    """The request in the judge's words."""
    headers: dict[bytes, bytes] = {}
    for name, value in stream.headers:
        if name in WANTED_HEADERS:
            headers[name] = value if name not in headers else headers[name] + b", " + value
    path, _, query = stream.path.partition(b"?")
    request = Request(stream.method, path, query, headers, peer, port)
    request.size = len(stream.path) + sum([len(name) + len(value) + 4 for name, value in stream.headers])
    return request
