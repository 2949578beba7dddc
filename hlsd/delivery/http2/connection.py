"""Carries HTTP/2 requests to the judge and the pages, and their answers back: one TLS connection.

The same ready answers, judge, entrance and wait queues as over HTTP/1.1; what is not a stream's business goes to the
ASGI app. Nothing is written while the transport asks to wait, and nothing read while more has come than one turn of the
loop may work off. One write for all answers of one turn.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import cast

from starlette.types import ASGIApp

from hlsd.base.pace import Pace
from hlsd.delivery.cors import Headers
from hlsd.delivery.http1.connections import SLOWEST, ClientAddress
from hlsd.delivery.http1.hotpath import HotPath
from hlsd.delivery.http1.wire import Stamp
from hlsd.delivery.http2.core import Http2
from hlsd.delivery.http2.hot_requests import HotRequests
from hlsd.delivery.http2.hot_stream import HotStream
from hlsd.delivery.http2.request_form import RequestForms
from hlsd.delivery.http2.stream import Http2Stream, StreamBody, StreamRequest
from hlsd.delivery.http2.stream_requests import StreamRequests
from hlsd.delivery.judge import Judge
from hlsd.delivery.runner import Runner
from hlsd.net.kernel import acknowledged
from hlsd.net.tls_transport import TlsTransport

TAKE = 256 * 1024
"""Bytes handed to the transport at a time."""
TAKES = 2
"""Takes in one turn of the event loop, if the transport goes on taking."""
MAX_LATER = 4096
"""Bytes that a connection may have waiting for the end of a release; more is read at once."""
MAX_UNSENT = 512 * 1024
"""Bytes that the kernel takes for a client beside what is on its way to it: a playlist does not stand behind more of
media, and who does not read costs no more (TCP_NOTSENT_LOWAT, tcp(7))."""


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
        self._core: Http2
        self._hot: HotRequests
        self._transport: asyncio.Transport
        self._blocked = context.hot.blocked
        self._later: bytes | None = None
        self._scheduled = False
        self._behind = False
        self._full = False
        self._lost = False
        self._slow: tuple[float, int] | None = None
        self._streams: StreamRequests
        self._since = 0.0
        self.error = ""

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        # What does not fit the kernel pauses writing; with 0 uvloop's TLS would ask to wait after every write.
        self._transport.set_write_buffer_limits(high=1)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
        peer = transport.get_extra_info("peername") or ("", 0)
        ip, port = str(peer[0]), int(peer[1])
        self._since = self._loop.time()
        context = self._context
        context.connections.add(self)
        self._core = Http2(
            max_streams=context.max_streams,
            max_header=context.max_header,
            forms=context.forms,
            hot=partial(self._answerer, ip),
        )
        self._streams = StreamRequests(
            self, context.app, context.judge, context.runner, self._transport, self._address, ip, port
        )
        self._flush()

    def _answerer(self, ip: str, core: Http2) -> HotRequests:
        self._hot = HotRequests(self._context.hot, self._context, core, self._address, ip, self._flush, self._soon)
        return self._hot

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Every request is over; whoever waits for one is told."""
        self._lost = True  # from here on asyncio's TLS transport has nobody left to ask
        self._context.connections.discard(self)
        self._context.freed(self._address)
        if self._full:
            self._refund()
        self._core.lost()
        self._hot.drop()
        self._happen()

    def _refund(self) -> None:
        """What the client did not get of what it was given last is on nobody's account: the newest first."""
        size = self._unconfirmed()
        for stream, taken in reversed(self._core.cuts):
            lost = min(size, taken)
            size -= lost
            if self._core.streams.get(stream.id) is stream:  # charged when it is over, a moment from now
                stream.sent -= lost
            elif stream.judged:
                self._context.hot.charge(stream.session, -lost, stream.media)
        for stream in self._core.streams.values():  # and the kernel holds what went to it before
            lost = min(size, stream.sent)
            size -= lost
            stream.sent -= lost
        self._hot.refund(size)

    def _unconfirmed(self) -> int:
        """Bytes written that its client did not get; what is not known to be lost counts as received."""
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if sock is None or not isinstance(transport, TlsTransport):
            return 0
        return transport.unconfirmed(acknowledged(sock))

    def data_received(self, data: bytes) -> None:
        """Octets from the client.

        While a release is under way, what those ask who have their answer is read when the others have theirs.
        """
        if self._later is not None:
            self.resume()
        elif self._blocked.releasing and len(data) <= MAX_LATER:
            self._later = data
            self._blocked.read_later(self)
            return
        core = self._core
        if core.more:  # behind what is left of the last turn
            core.receive(data, self._loop.time())
        else:
            self._turn(data)

    def resume(self) -> None:
        """Reads what was put off."""
        later, self._later = self._later, None
        if later is None or self._lost or self._transport.is_closing():
            return
        try:
            self._turn(later)
        except Exception as error:  # noqa: BLE001 - asyncio would end this connection too; others are behind it
            self._blocked.faults.output("viewer", error)
            self._transport.abort()

    def _turn(self, data: bytes) -> None:
        """Does a turn's work of what has been received, and writes what comes of it."""
        core = self._core
        core.receive(data, self._loop.time())
        self._flush(core.now)
        if core.more:
            self._go_on_soon()
        elif self._behind:
            self._behind = False
            if not self._lost and not self._transport.is_closing():
                self._transport.resume_reading()

    def _go_on_soon(self) -> None:
        """The rest of what was received is the next turn's: others are served before."""
        if not self._behind:
            self._behind = True
            self._transport.pause_reading()
        self._loop.call_soon(self._turn, b"")

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._full = True
        self._core.pause()

    def resume_writing(self) -> None:
        """It has read: what it was given has left us."""
        self._full = False
        self._core.cuts.clear()
        self._hot.left_all()
        self._core.resume()
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
            for stream in [one for one in core.streams.values() if not (one.asked or one.lasting)]:
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

    def _happen(self) -> None:
        """Tells who answers them what has become of streams."""
        core, streams = self._core, self._streams
        while core.events:
            for event in core.next_events():
                if isinstance(event, StreamRequest):
                    if core.streams.get(event.stream.id) is event.stream:  # or it was cancelled in the same breath
                        streams.asked(event.stream)
                elif isinstance(event, StreamBody):
                    streams.body(event)
                else:
                    self._closed(event.stream)

    def _closed(self, stream: Http2Stream) -> None:
        if isinstance(stream, HotStream):
            self._hot.left(stream)
        else:
            self._streams.closed(stream)
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

    def lasts(self, stream: Http2Stream) -> None:
        """The app looks after the request's body, which goes on and on."""
        self._core.lasts(stream)
        self._soon()

    def forsaken(self, stream: Http2Stream, size: int) -> None:
        """The app reads no more of the request's body, of which `size` bytes have come."""
        self._core.forsaken(stream, size)
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
        if self._lost or transport.is_closing():
            self._hot.drop()
            return
        takes = 0
        while core.waiting and (octets := core.take(TAKE, now or self._loop.time())):
            transport.write(octets)
            takes += 1
            if takes == TAKES:
                self._soon()
                break
        self._hot.settle(left=not self._full)
        if core.cuts and not self._full:
            core.cuts.clear()
        if core.events:
            self._happen()
        if self._streams.cycles:
            self._streams.refill()
        if core.finished:
            octets = core.take(TAKE, now or self._loop.time())
            if octets:
                transport.write(octets)
            self.error = core.error
            transport.close()
