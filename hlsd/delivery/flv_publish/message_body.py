"""Is the file that a client sends by WebSocket, on a connection that was taken over.

Law: what is not read waits at the client: of what came no more than `MAX_WAITING` and one read of the transport is
held.
"""

from __future__ import annotations

import asyncio

from hlsd.delivery.flv_publish.client_socket import LINGER, ClientSocket
from hlsd.delivery.flv_publish.messages import ClientMessages

__all__ = ["LINGER", "MAX_WAITING", "MessageBody"]

MAX_WAITING = 64 * 1024
"""Bytes that wait before the connection is not read any more."""


class MessageBody(ClientSocket):
    """`hlsd.ports.flv_body.FlvBody`, and the `TakeoverHandler` of its connection."""

    def __init__(self) -> None:
        super().__init__(MAX_WAITING)
        self._messages = ClientMessages()

    async def read(self) -> bytes:
        """The next piece of the file; nothing once the client has closed in good order."""
        while not self.closed:
            if self.waiting:
                octets = self._take()
                if self.waiting or not octets:
                    await asyncio.sleep(0)  # to take frames apart is work, too: others have their turn
                if octets:
                    return octets
            else:
                await self.more()
        return b""

    async def skip(self) -> None:
        """Takes the next piece and drops it. Raises as `read`."""
        await self.read()

    def _take(self) -> bytes:
        """What is in the next piece. Raises ProtocolError, MediaError."""
        octets, said = self._messages.feed(self.piece())
        for opcode, payload in said:
            self.control(opcode, payload)
        return octets
