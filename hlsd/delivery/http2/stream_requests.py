"""Answers the requests of one HTTP/2 connection that are streams: by the judge, the entrance, a wait, or the ASGI app.

What the hot path does not take comes here (`hlsd.delivery.http2.hot_requests`): whoever has no session yet, refusals,
conditions and ranges, pages, the API. A fault of ours costs the request that met it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from time import monotonic
from typing import Any, cast

from starlette.types import ASGIApp

from hlsd.delivery.answer import Answer, Fall, Reply, WaitForMedia, WaitForPart
from hlsd.delivery.http1.connections import ClientAddress
from hlsd.delivery.http2.cycle import Answering, Cycle
from hlsd.delivery.http2.stream import Http2Stream, StreamBody
from hlsd.delivery.http2.waiter import Http2Waiter
from hlsd.delivery.judge import Judge
from hlsd.delivery.replies import PLAYLIST_TYPE
from hlsd.delivery.request import WANTED_HEADERS, Request
from hlsd.delivery.runner import Runner
from hlsd.delivery.wait_queue import Outcome

_log = logging.getLogger(__name__)


class StreamRequests:
    """Of one connection, which carries the answers."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on
        self,
        connection: Answering,
        app: ASGIApp,
        judge: Judge,
        runner: Runner,
        transport: asyncio.Transport,
        address: ClientAddress,
        ip: str,
        port: int,
    ) -> None:
        self._connection = connection
        self._app = app
        self._judge = judge
        self._runner = runner
        self._transport = transport
        self._address = address
        self._peer = ip
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._gone: dict[int, asyncio.Future[None]] = {}
        self._waiting: dict[int, Http2Waiter] = {}
        self.cycles: dict[int, Cycle] = {}
        """Those that the app answers, by stream."""
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, stream: Http2Stream) -> None:
        """A request has come: puts it to the judge."""
        request = _request(stream, self._peer, self._port)
        request.begun = monotonic()
        try:
            answer = self._judge.answer(request)
            stream.judged = not isinstance(answer, Fall)
            stream.session = request.session
            self._runner.hear(request, stream.headers)
            if isinstance(answer, Reply):
                self._runner.count(request)
                self._reply(stream, answer)
                self._runner.answered(request, answer.status)
            elif isinstance(answer, Fall):
                cycle = self.cycles[stream.id] = Cycle(self._connection, stream, self._transport)
                self._begin(cycle.run(self._app))
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
        waiter.common = self._runner.join(request, wait, waiter)
        if waiter.common is None:
            self._woken(waiter, Outcome.REFUSED)
        else:
            self._waiting[stream.id] = waiter

    def _woken(self, waiter: Http2Waiter, outcome: Outcome) -> None:
        stream, request, queue = waiter.stream, waiter.request, waiter.common
        self._waiting.pop(stream.id, None)
        try:
            if queue is None or outcome is Outcome.REFUSED:
                reply = self._judge.replies.unavailable(request)
            else:
                reply = cast("Reply", queue.then(waiter.wait, outcome))  # these waits end with nothing else
            self._reply(stream, reply)
            self._runner.answered(request, reply.status)
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            _log.exception("no answer to a held HTTP/2 request")
            self._fail(stream, request)

    def _fail(self, stream: Http2Stream, request: Request) -> None:
        self._runner.answered(request, 500)
        self._connection.answer(
            stream, 500, [(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error"
        )

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
            reply = await self._runner.reply(request, answer, hung_up, self._address)
            stream.session = request.session
            if reply is not None:
                self._reply(stream, reply)
                self._runner.answered(request, reply.status)
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            _log.exception("no answer to an HTTP/2 request that had to wait")
            self._fail(stream, request)

    def _reply(self, stream: Http2Stream, reply: Reply) -> None:
        urgent = (b"content-type", PLAYLIST_TYPE) in reply.headers
        stream.media = reply.media
        if stream.session is not None:
            stream.flowing = True
            stream.session.flows += 1
        self._connection.answer(stream, reply.status, reply.headers, reply.body, urgent=urgent)

    def body(self, event: StreamBody) -> None:
        """More of a request's body has come."""
        cycle = self.cycles.get(event.stream.id)
        if cycle is None:  # nobody wants it
            self._connection.consumed(event.stream, len(event.octets))
        else:
            cycle.feed(event.octets, ended=event.ended)

    def refill(self) -> None:
        """Something was written: the app may go on where there is room."""
        for cycle in self.cycles.values():
            cycle.refill()

    def closed(self, stream: Http2Stream) -> None:
        """A stream is over, answered or not; whoever works on it is told."""
        waiter = self._waiting.pop(stream.id, None)
        if waiter is not None:
            self._runner.leave(waiter)
        gone = self._gone.pop(stream.id, None)
        if gone is not None and not gone.done():
            gone.set_result(None)
        cycle = self.cycles.pop(stream.id, None)
        if cycle is not None:
            cycle.hang_up()


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
