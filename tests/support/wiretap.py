"""Stands between one player and the server, and counts the bytes of body that the server sends: the player's own bill.

HTTP/1.1 with Content-Length only, which is all that streams and pages use. When the player hangs up, what the server
still sends is read to its end: what was handed to the socket is what arrived here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

NO_BODY = {204, 304}


class Wiretap:
    """What went over the wire. `bodies` by path, without those of 1xx."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.port = 0
        self.bodies: dict[str, int] = {}

    def body_bytes(self, below: str) -> int:
        """All bytes of body of what lies below a path."""
        return sum(size for path, size in self.bodies.items() if path.startswith(below))

    async def carry(self, player: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            server, out = await asyncio.open_connection("127.0.0.1", self._server)
        except OSError:
            back.close()
            return
        asked: deque[tuple[str, str]] = deque()
        asking = asyncio.ensure_future(self._asking(player, out, asked))
        try:
            await self._answering(server, back, asked)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            for writer in (out, back):
                writer.close()

    async def _asking(
        self, player: asyncio.StreamReader, out: asyncio.StreamWriter, asked: deque[tuple[str, str]]
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await player.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                asked.append((method.decode(), path.decode()))
                out.write(head)
                await out.drain()
        with contextlib.suppress(OSError):
            out.write_eof()

    async def _answering(
        self, server: asyncio.StreamReader, back: asyncio.StreamWriter, asked: deque[tuple[str, str]]
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await server.readuntil(b"\r\n\r\n")
                self._give(back, head)
                method, path = asked.popleft()
                status = int(head.split(b" ", 2)[1])
                lines = head.lower().split(b"\r\n")
                left = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                if method == "HEAD" or status in NO_BODY:
                    left = 0
                while left:
                    piece = await server.read(min(left, 65536))
                    if not piece:
                        return
                    left -= len(piece)
                    self.bodies[path] = self.bodies.get(path, 0) + len(piece)
                    self._give(back, piece)
                    with contextlib.suppress(OSError):
                        await back.drain()

    @staticmethod
    def _give(back: asyncio.StreamWriter, data: bytes) -> None:
        if not back.is_closing():
            back.write(data)


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Wiretap]:
    """A wiretap before the server on `port` of this machine."""
    tap = Wiretap(port)
    listening = await asyncio.start_server(tap.carry, "127.0.0.1", 0, limit=1 << 17)
    tap.port = listening.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        listening.close()
