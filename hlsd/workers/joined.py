"""Joins a client's connection that a worker has taken over to one of the core, byte by byte: for WebSockets."""

from __future__ import annotations

import asyncio
from typing import Final, cast

import httptools

from hlsd.delivery.http1.takeover import Taken

MAX_JOINED: Final = 1 << 20
"""Bytes that wait for a joined end; then nothing more is read from the other."""
MAX_EARLY: Final = 64 << 10
"""Bytes that a client may send before its WebSocket was accepted."""
CONNECT: Final = 1.0
"""Seconds for the core to take a connection."""


class Joined:
    """A client whose connection was taken over, joined to the core (`TakeoverHandler`).

    Law: nothing that the client sends reaches the core but the head that the worker wrote, until the core has said that
    the protocol changes (101): what it would send before could be requests of its own making.
    """

    def __init__(self, path: str, head: bytes) -> None:
        self._path = path
        self._head = head
        self._early = bytearray()
        """What the client sent before it was answered."""
        self._client: asyncio.Transport | None = None
        self._core: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._switched = False

    def begin(self, taken: Taken) -> None:
        """The connection is ours."""
        self._client = taken.transport
        self._task = asyncio.get_running_loop().create_task(self._connect(), name="tunnel")

    def received(self, octets: bytes) -> None:
        """The client has sent something."""
        if self._switched and self._core is not None:
            self._core.write(octets)
            if self._core.get_write_buffer_size() > MAX_JOINED and self._client is not None:
                self._client.pause_reading()
        elif not self._switched:
            self._early += octets
            if len(self._early) > MAX_EARLY:
                self._end()

    def pause_writing(self) -> None:
        """The client reads slowly: so do we."""
        if self._core is not None:
            self._core.pause_reading()

    def resume_writing(self) -> None:
        """It has read."""
        if self._core is not None:
            self._core.resume_reading()

    def lost(self) -> None:
        """The client has gone."""
        self._client = None
        self._end()

    def shutdown(self) -> None:
        """The worker stops: who comes back finds another one."""
        self._end()

    def core_made(self, transport: asyncio.Transport) -> None:
        """The core has taken the connection."""
        if self._client is None:
            transport.abort()
            return
        self._core = transport
        transport.write(self._head)

    def core_said(self, octets: bytes) -> None:
        """It has said something."""
        if self._client is not None:
            self._client.write(octets)
        parser = self._parser
        if parser is not None:
            try:
                parser.feed_data(octets)
            except httptools.HttpParserUpgrade:
                self._switch()
            except httptools.HttpParserError:
                self._end()

    def core_room(self) -> None:
        """It has read what we wrote."""
        if self._client is not None:
            self._client.resume_reading()

    def core_lost(self) -> None:
        """It has hung up."""
        self._core = None
        if self._client is not None:
            self._client.close()

    def on_headers_complete(self) -> None:
        """The head of its answer (httptools)."""
        if self._parser is not None and self._parser.get_status_code() == 101:
            self._switch()

    def on_message_complete(self) -> None:
        """It has answered, and the protocol stays what it was: that was all."""
        if not self._switched:
            self._end()

    def _switch(self) -> None:
        if self._switched:
            return
        self._switched, self._parser = True, None
        early, self._early = bytes(self._early), bytearray()
        if early and self._core is not None:
            self._core.write(early)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT):
                await asyncio.get_running_loop().create_unix_connection(lambda: _CoreSide(self), self._path)
        except (OSError, TimeoutError):
            client = self._client
            if client is not None:
                client.write(b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                client.close()

    def _end(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            core.close()
        if self._client is not None:
            self._client.close()


class _CoreSide(asyncio.Protocol):
    """The other end of a joined connection."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._joined.core_made(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._joined.core_said(data)

    def resume_writing(self) -> None:
        self._joined.core_room()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._joined.core_lost()
