"""Is the file that a client sends by WebSocket, on a connection that was taken over.

Law: what is not read waits at the client: of what came no more than `MAX_WAITING` and one read of the transport is
held.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from hlsd.base.errors import MediaError, ProtocolError
from hlsd.delivery.flv.websocket import CLOSE, PING, PONG, close_frame, frame
from hlsd.delivery.flv_publish.messages import PIECE, ClientMessages

MAX_WAITING: Final = 64 * 1024
"""Bytes that wait before the connection is not read any more."""
LINGER: Final = 1.0
"""Seconds for a publisher that was told to go to hear it: what it still sends is dropped."""


class MessageBody:
    """`hlsd.ports.flv_body.FlvBody`, and the `TakeoverHandler` of its connection."""

    def __init__(self) -> None:
        self._messages = ClientMessages()
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._closed = False
        """The client has said that it closes."""
        self._gone = False

    def begin(self, transport: asyncio.Transport, opening: bytes) -> None:
        """Answers the handshake."""
        self._transport = transport
        transport.write(opening)

    # -- as its reader sees it

    async def read(self) -> bytes:
        """The next piece of the file; nothing once the client has closed in good order."""
        while not self._closed:
            if self._waiting:
                octets = self._take()
                if self._waiting or not octets:
                    await asyncio.sleep(0)  # to take frames apart is work, too: others have their turn
                if octets:
                    return octets
            elif self._gone:
                raise ConnectionResetError
            else:
                self._news.clear()
                await self._news.wait()
        return b""

    async def close(self, code: int, words: str) -> None:
        """Answers or begins the closing handshake (RFC 6455 §7.1.2), waits for the other half a moment, and closes."""
        transport = self._transport
        if transport is None or self._gone:
            return
        transport.write(close_frame(code, words))
        try:
            async with asyncio.timeout(LINGER):
                while not self._closed:
                    with contextlib.suppress(ProtocolError, MediaError):
                        await self.read()
        except (TimeoutError, ConnectionResetError):
            transport.abort()  # it sends and does not read
        else:
            transport.close()

    def _take(self) -> bytes:
        """What is in the next piece. Raises ProtocolError, MediaError."""
        piece = bytes(self._waiting[:PIECE])
        del self._waiting[:PIECE]
        if self._paused and len(self._waiting) <= MAX_WAITING // 2:
            self._pause(False)
        octets, said = self._messages.feed(piece)
        for opcode, payload in said:
            if opcode == CLOSE:
                self._closed = True
            elif opcode == PING:
                self._answer(payload)
        return octets

    def _answer(self, payload: bytes) -> None:
        transport = self._transport
        # A client that pings and does not read must not fill our buffer.
        if transport is not None and not transport.is_closing() and not transport.get_write_buffer_size():
            transport.write(frame(PONG, payload))

    def _pause(self, paused: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._paused = paused
        if paused:
            transport.pause_reading()
        else:
            transport.resume_reading()

    # -- as its connection sees it

    def received(self, octets: bytes) -> None:
        """The client has sent something."""
        self._waiting += octets
        self._news.set()
        if len(self._waiting) > MAX_WAITING and not self._paused:
            self._pause(True)

    def pause_writing(self) -> None:
        """There is next to nothing to be written."""

    def resume_writing(self) -> None:
        """Likewise."""

    def lost(self) -> None:
        """The connection is over."""
        self._gone = True
        self._news.set()

    def shutdown(self) -> None:
        """The listener drains: the hub has sent its publisher away already."""
