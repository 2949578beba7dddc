"""Viewers who ask for the newest part again and again, and count what failed: each on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urljoin

from tests.support.worker_rig import uris


class Watching:
    """One viewer with a session, by the path of its media playlist; each request may meet another worker."""

    def __init__(self, port: int, path: str, *, keeps: bool = True, pause: float = 0.05) -> None:
        self._port = port
        self._path = path
        self._keeps = keeps
        self._pause = pause
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._left: list[asyncio.StreamWriter] = []
        self.bytes = 0
        """Of bodies that came whole."""
        self.asked = 0
        self.failed: list[str] = []
        """What was no whole answer of 200."""
        self.slowest = 0.0

    async def run(self, over: asyncio.Event) -> None:
        """Watches until it is over."""
        newest = ""
        while not over.is_set():
            body = await self._get(self._path)
            listed = uris(body) if body else []
            if listed and listed[-1] != newest:
                newest = listed[-1]
                await self._get(urljoin(self._path, newest))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await over.wait()
        self._hang_up()
        await asyncio.gather(*[writer.wait_closed() for writer in self._left], return_exceptions=True)

    async def _get(self, path: str) -> bytes:
        loop = asyncio.get_running_loop()
        began, self.asked = loop.time(), self.asked + 1
        try:
            async with asyncio.timeout(15):
                status, body, last = await self._exchange(path)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.failed.append(f"{type(error).__name__} {error}")
            self._hang_up()
            return b""
        self.slowest = max(self.slowest, loop.time() - began)
        if last or not self._keeps:
            self._hang_up()
        if status != 200:
            self.failed.append(f"{status} {body[:60]!r} {path}")
            return b""
        self.bytes += len(body)
        return body

    async def _exchange(self, path: str) -> tuple[int, bytes, bool]:
        if self._line is None:
            self._line = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._line
        writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        return int(head.split(" ", 2)[1]), body, "connection: close" in head

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line[1].close()
            self._left.append(line[1])
