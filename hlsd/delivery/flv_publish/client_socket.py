"""Is the connection of a client that sends by WebSocket, once it was taken over: what waits, and how it is closed.

Law: what is not read waits at the client: of what came no more than `most_waiting` and one read of the transport is
held.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from hlsd.base.errors import MediaError, ProtocolError
from hlsd.delivery.flv.websocket import CLOSE, PING, PONG, close_frame, frame
from hlsd.delivery.flv_publish.messages import PIECE

LINGER: Final = 1.0
"""Seconds for a publisher that was told to go to hear it: what it still sends is dropped."""
NO_CODE: Final = 1005
"""What stands for the code of a closing frame that has none (RFC 6455 §7.4.1)."""


class ClientSocket:
    """The `TakeoverHandler` of the connection; `skip` is its reader's."""

    def __init__(self, most_waiting: int) -> None:
        self.waiting = bytearray()
        """What came and was not read."""
        self.closed = False
        """The client has said that it closes."""
        self.code = NO_CODE
        """Why."""
        self.most_waiting = most_waiting
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._gone = False

    def begin(self, transport: asyncio.Transport, opening: bytes) -> None:
        """Answers the handshake."""
        self._transport = transport
        transport.write(opening)

    # -- as its reader sees it

    async def more(self) -> None:
        """Returns when there is news, nothing waiting. Raises ConnectionResetError when none can come."""
        if self._gone:
            raise ConnectionResetError
        self._news.clear()
        await self._news.wait()

    async def skip(self) -> None:
        """Takes the next piece and drops it. Raises OSError, ProtocolError, MediaError."""
        raise NotImplementedError

    def piece(self) -> bytes:
        """The next bytes that wait, at most `PIECE`; the connection is read again once enough is taken."""
        piece = bytes(self.waiting[:PIECE])
        del self.waiting[:PIECE]
        if self._paused and len(self.waiting) <= self.most_waiting // 2:
            self._pause(False)
        return piece

    def control(self, opcode: int, payload: bytes) -> None:
        """Takes a control frame."""
        if opcode == CLOSE:
            self.closed = True
            self.code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_CODE
        elif opcode == PING:
            self.say(PONG, payload)

    def say(self, opcode: int, payload: bytes) -> None:
        """Sends a frame that need not be sent: who says much and does not read must not fill our buffer."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and not transport.get_write_buffer_size():
            transport.write(frame(opcode, payload))

    async def close(self, code: int, words: str) -> None:
        """Answers or begins the closing handshake (RFC 6455 §7.1.2), waits for the other half a moment, and closes."""
        transport = self._transport
        if transport is None or self._gone:
            return
        transport.write(close_frame(code, words))
        try:
            async with asyncio.timeout(LINGER):
                while not self.closed:
                    with contextlib.suppress(ProtocolError, MediaError):
                        await self.skip()
        except (TimeoutError, ConnectionResetError):
            transport.abort()  # it sends and does not read
        else:
            transport.close()

    def cut(self) -> None:
        """Drops the connection."""
        if self._transport is not None:
            self._transport.abort()

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
        self.waiting += octets
        self._news.set()
        if len(self.waiting) > self.most_waiting and not self._paused:
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
