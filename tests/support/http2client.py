"""An HTTP/2 client over the `h2` package: another reading of RFC 9113 than the server's, for tests and floods."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError


def trusting(*alpn: str) -> ssl.SSLContext:
    """A context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context


@dataclass
class Response:
    """An answer so far."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None


class Http2Client:
    """One connection; `read` until what is waited for has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.responses: dict[int, Response] = {}
        self.events: list[Event] = []
        self.farewell: ConnectionTerminated | None = None
        self.eof = False

    @classmethod
    async def connect(cls, port: int) -> Http2Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting("h2"))
        client = cls(reader, writer)
        client.h2.initiate_connection()
        client.flush()
        return client

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(
        self, path: str, method: str = "GET", headers: tuple[tuple[str, str], ...] = (), *, end: bool = True
    ) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.responses[stream] = Response()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost"), *headers]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    async def get(self, path: str, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()) -> Response:
        return await self.whole(self.ask(path, method, headers))

    async def whole(self, stream: int) -> Response:
        response = self.responses[stream]
        while not response.ended and response.reset is None and not self.eof:
            await self.read()
        return response

    async def read(self) -> None:
        """Reads once."""
        async with asyncio.timeout(10):
            try:
                octets = await self.reader.read(65536)
            except OSError:
                octets = b""
        if not octets:
            self.eof = True
            return
        for event in self.h2.receive_data(octets):
            self._take(event)
        with contextlib.suppress(ProtocolError, OSError):
            self.flush()

    async def read_to_end(self) -> None:
        while not self.eof:
            await self.read()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ConnectionTerminated):
            self.farewell = event
            return
        response = self.responses.get(getattr(event, "stream_id", None) or 0)
        if response is None:
            return
        if isinstance(event, ResponseReceived):
            response.headers = [(str(k), str(v)) for k, v in event.headers or []]
            response.status = int(dict(response.headers)[":status"])
        elif isinstance(event, DataReceived):
            response.body += event.data or b""
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, StreamEnded):
            response.ended = True
        elif isinstance(event, StreamReset):
            response.reset = int(event.error_code or 0)

    def cut(self) -> None:
        self.writer.transport.abort()
