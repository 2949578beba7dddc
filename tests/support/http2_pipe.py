"""An HTTP/2 connection of the real listener without a socket, and another implementation's client that speaks to it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from hlsd.delivery.http1.connections import ClientAddress
from hlsd.delivery.http2.connection import Http2Connection, Http2Context
from hlsd.delivery.web import WebApp
from tests.support.transports import DATE, Pipe


class CountedPipe(Pipe):
    """Keeps what each write was."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, chunk: bytes | memoryview) -> None:
        self.writes.append(bytes(chunk))
        super().write(chunk)


class Got:
    """What came on one stream."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ended = False
        self.reset: int | None = None


class Http2Pair:
    """Both sides, in memory: whatever the client says is fed in pieces of `piece` octets."""

    def __init__(self, app: WebApp, context: Http2Context | None = None, *, hot: bool = True) -> None:
        self.context = context or http2_context(app)
        self.pipe = CountedPipe()
        self.connection = Http2Connection(self.context, ClientAddress("192.0.2.1", trusted=True))
        self.pipe.protocol = self.connection
        self.connection.connection_made(cast("asyncio.BaseTransport", self.pipe))
        self.core: Any = self.connection._core
        if not hot:
            self.core.hot = None
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        self.got: dict[int, Got] = {}
        self._read = 0

    def ask(self, path: bytes, *more: tuple[bytes, bytes], method: bytes = b"GET") -> int:
        """Sends a request; its stream."""
        stream = self.client.get_next_available_stream_id()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", b"h"), (b":path", path), *more]
        self.client.send_headers(stream, head, end_stream=True)
        self.got[stream] = Got()
        self.feed()
        return stream

    def feed(self, piece: int = 1 << 20) -> None:
        """Delivers what the client has to say."""
        octets = self.client.data_to_send()
        for at in range(0, len(octets), piece):
            if not self.pipe.closed:
                self.connection.data_received(octets[at : at + piece])

    def read(self, *, open_windows: bool = True) -> None:
        """The client reads what was sent."""
        octets = bytes(self.pipe.sent[self._read :])
        self._read += len(octets)
        for event in self.client.receive_data(octets):
            self._take(event, open_windows=open_windows)
        self.feed()

    async def settle(self, *, open_windows: bool = True) -> None:
        """Until nothing more happens."""
        calm = 0
        while calm < 4:
            before = len(self.pipe.sent)
            for _ in range(3):
                await asyncio.sleep(0)
            self.read(open_windows=open_windows)
            calm = calm + 1 if len(self.pipe.sent) == before else 0

    def _take(self, event: Event, *, open_windows: bool) -> None:
        got = self.got.get(getattr(event, "stream_id", 0) or 0)
        if got is None:
            return
        if isinstance(event, ResponseReceived):
            got.headers = [(bytes(name), bytes(value)) for name, value in event.headers or []]
            got.status = int(dict(got.headers)[b":status"])
        elif isinstance(event, DataReceived):
            got.body += event.data or b""
            if open_windows:
                self.client.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            got.ended = True
        elif isinstance(event, StreamReset):
            got.reset = int(event.error_code or 0)


def http2_context(app: WebApp) -> Http2Context:
    """What the connections of a listener of `app` share."""
    context = Http2Context(app, app.judge, app.runner, app.hot, max_streams=100, max_header=32 * 1024)
    context.common = [DATE]
    return context
