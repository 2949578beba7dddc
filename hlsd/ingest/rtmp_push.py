"""Publishes tags to an RTMP server: what `hlsd publish`, `hlsd demo` and relays send with.

Sockets round the sans-IO client. `send` waits while the server takes no more, so a slow server slows its source down
and memory stays bounded. Times in seconds; nothing here names the key or its arguments.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Self, cast

from hlsd.base.errors import HlsdError
from hlsd.ingest.rtmp.client import ClientConnection, Ready, Refused, RtmpUrl, read_url

_WRITE_BUFFER = 256 * 1024


class PushError(HlsdError):
    """The server cannot be reached, or has closed the connection."""


class PushRefused(PushError):
    """The server does not want this publication: trying again will not help."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"refused by the server: {code}" + (f" ({description})" if description else ""))
        self.code = code
        self.description = description


class RtmpPush(asyncio.Protocol):
    """One publication on its way to a server; made by `connect`."""

    def __init__(self, url: RtmpUrl, chunk_size: int, prepare: Callable[[socket.socket], object] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._conversation = ClientConnection(url, self._clock(), chunk_size=chunk_size)
        self._prepare = prepare
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._error: PushError | None = None
        self.sent = 0
        """Bytes written so far."""

    @classmethod
    async def connect(  # noqa: PLR0913 - what a connection is made of
        cls,
        url: str,
        *,
        ssl: ssl.SSLContext | None = None,
        ip: str = "",
        within: float = 10.0,
        chunk_size: int = 60_000,
        prepare: Callable[[socket.socket], object] | None = None,
    ) -> Self:
        """Connects and publishes; returns when the server takes media.

        `ip` is where to connect to when the caller has resolved the host already;
        `ssl` is the context for rtmps:// (None: the system's default); `prepare` gets the connected socket before
        anything of ours is sent by it. Raises PushRefused, PushError, or ValueError
        for a URL that is none.
        """
        address = read_url(url)
        where = f"{address.host}:{address.port}"
        push: Self | None = None
        try:
            async with asyncio.timeout(within):
                _, push = await asyncio.get_running_loop().create_connection(
                    lambda: cls(address, chunk_size, prepare),
                    ip or address.host,
                    address.port,
                    ssl=(ssl or _default_tls()) if address.secure else None,
                    server_hostname=address.host if address.secure else None,
                )
                await push.until_ready()
        except TimeoutError:
            raise PushError(f"{where} gave no answer in {within:g} s") from None
        except OSError as error:
            raise PushError(f"{where} cannot be reached: {error.strerror or error}") from error
        finally:
            if push is not None and push.closed:
                push.abort()
        return push

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._gone.is_set() or not self._conversation.ready

    async def send(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Sends an FLV tag body (type 8 audio, 9 video, 18 data; ms); waits while the server is behind.

        Raises PushError, or PushRefused, once the server is gone.
        """
        if self._error is not None:
            raise self._error
        if not self._conversation.ready:
            raise PushError("closed")
        self._conversation.send_tag(type_id, timestamp, body)
        self._flush()
        if not self._writable.is_set():
            await self._writable.wait()
            self._raise()

    async def close(self, within: float = 5.0) -> None:
        """Ends the publication in good order; never raises for what the server does with that."""
        self._conversation.close()
        self._flush()
        if self._transport is not None:
            self._transport.close()
            try:
                await asyncio.wait_for(self._gone.wait(), within)
            except TimeoutError:
                self.abort()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    async def until_ready(self) -> None:
        """Waits until the server takes media; raises what `connect` raises."""
        await asyncio.shield(self._ready)

    def abort(self) -> None:
        """Drops the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        out = self._conversation.data_to_send()
        if out and self._transport is not None and not self._transport.is_closing():
            self.sent += len(out)
            self._transport.write(out)

    def _lose(self, error: PushError) -> None:
        if self._error is None:
            self._error = error
        if not self._ready.done():
            self._ready.set_exception(self._error)
            self._ready.exception()  # `connect` may have given up already: nobody left to read it
        self._writable.set()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        if self._prepare is not None:
            self._prepare(transport.get_extra_info("socket"))
        self._flush()

    def data_received(self, received: bytes) -> None:
        """Hands the server's words to the conversation."""
        conversation = self._conversation
        while True:
            for event in conversation.receive_data(received, self._clock()):
                if isinstance(event, Ready):
                    if not self._ready.done():
                        self._ready.set_result(None)
                elif isinstance(event, Refused):
                    self._lose(PushRefused(event.code, event.description))
            if not conversation.more:
                break
            received = b""
        self._flush()
        closed = conversation.closed
        if closed is not None and self._transport is not None:
            self._lose(PushError(f"the server ended it: {closed.text}"))
            self._transport.close()

    def pause_writing(self) -> None:
        """The server is behind."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The server has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever closed it."""
        self._conversation.close()
        self._lose(PushError("connection lost" + (f": {exc}" if exc else "")))
        self._gone.set()


def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()
