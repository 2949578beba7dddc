"""Is the connection of a page that publishes its recorder: texts and pieces in their order, pings, who is gone.

Law: what is not read waits at the page. Before it is let in it may send a text and little more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final

from hlsd.base.errors import ProtocolError
from hlsd.delivery.flv.websocket import BINARY, PING, TEXT, frame
from hlsd.delivery.flv_publish.client_socket import ClientSocket
from hlsd.delivery.flv_publish.messages import ClientMessages

MAX_STRANGERS: Final = 64 * 1024
"""Bytes that wait of who has not been let in."""
MAX_PENDING: Final = 2 * 1024 * 1024
"""Bytes that wait of who has, before the connection is not read any more."""
MAX_TEXT: Final = 4096
"""Bytes of a text."""
MAX_UNREAD: Final = 64 * 1024
"""Bytes of ours that a page has not read, beyond which it is told nothing more."""
PING_EVERY: Final = 10.0
"""Seconds."""
SILENCE: Final = 30.0
"""Seconds without a byte, pings in them unanswered, after which a connection is lost."""


class PageSocket(ClientSocket):
    """As `hlsd.ports.recorder.RecorderSocket`. `most`: bytes of a message."""

    def __init__(self, most: int) -> None:
        super().__init__(MAX_STRANGERS)
        self._messages = ClientMessages(MAX_TEXT, most)
        self._said: deque[tuple[int, bytes]] = deque()
        """What was taken apart of the piece read last."""
        self._heard = self._pinged = monotonic()
        self._fresh = False

    @property
    def held(self) -> int:
        """Bytes that wait to be read."""
        return len(self.waiting) + sum([len(payload) for _, payload in self._said])

    async def read(self) -> bytes | str | None:
        """The next piece, or text; None once the page has closed in good order."""
        while True:
            while self._said:
                opcode, payload = self._said.popleft()
                if opcode == BINARY:
                    return payload
                if opcode == TEXT:
                    return _decoded(payload)
                self.control(opcode, payload)
            if self.closed:
                return None
            if not self.waiting:
                await self.more()
                continue
            self._said += self._messages.read(self.piece())
            await asyncio.sleep(0)  # to take frames apart is work, too: others have their turn

    async def skip(self) -> None:
        """Takes the next piece and drops it."""
        await self.read()

    def tell(self, text: str) -> None:
        """Sends a text."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.get_write_buffer_size() < MAX_UNREAD:
            transport.write(frame(TEXT, text.encode()))

    def admitted(self) -> None:
        """More of it may wait from now on."""
        self.most_waiting = MAX_PENDING
        if self._paused:
            self._pause(False)

    def tick(self, now: float) -> None:
        """Once a second: pings, and finds out who is gone."""
        if self._fresh or self._paused:  # what is not read may be there
            self._heard, self._fresh = now, False
        if now - self._heard >= SILENCE:
            self.cut()
        elif now - self._pinged >= PING_EVERY:
            self._pinged = now
            self.say(PING, b"")

    def received(self, octets: bytes) -> None:
        """The page has sent something."""
        self._fresh = True
        super().received(octets)


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a text that is no UTF-8") from error
