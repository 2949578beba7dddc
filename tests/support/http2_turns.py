"""An HTTP/2 connection of the real listener, fed by a stranger, turn by turn of a real event loop, with its CPU time.

A turn is one whole round of the loop: the bytes that are received, the judge, the app's tasks, and the writing. What is
behind the connection is the real app; only the socket is not there.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hlsd.delivery.http1.connections import ClientAddress
from hlsd.delivery.http2.connection import Http2Connection, Http2Context
from hlsd.delivery.http2.core import Http2
from hlsd.delivery.settings import HttpSettings
from tests.support.playable import MemoryDirectory, MemoryPlayable
from tests.support.viewers import viewers
from tests.support.web import web_app

SID = "A" * 22
PATHS = (
    "/",
    "/_/page.js",
    "/healthz",
    "/streams.json",
    "/live/cam.m3u8",
    f"/live/cam/~{SID}/index.m3u8",
    f"/live/cam/~{SID}/index.m3u8?_HLS_msn=103",
    f"/live/cam/~{SID}/r1/a.ts",
    "/live/new.m3u8",
    "/live/cam/",
    "/api/echo",
    "/nothing/at/all",
)


async def _echo(request: Request) -> Response:
    return JSONResponse({"size": len(await request.body())})


class How(NamedTuple):
    """How a stranger reads: how many bytes before it asks to wait, and whether it then goes on."""

    room: int = 256 * 1024
    reads: bool = True


class Pipe(asyncio.Transport):
    """Takes what is written."""

    def __init__(self, how: How) -> None:
        super().__init__()
        self._room = how.room
        self._reads = how.reads
        self._full = 0
        self.connection: Http2Connection
        self.written = 0
        self.closing = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 50000) if name in ("peername", "sockname") else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The bounds are the pipe's own."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)
        self._full += len(data)
        if self._full > self._room:
            self._full = 0
            self.connection.pause_writing()
            if self._reads:
                asyncio.get_running_loop().call_soon(self.connection.resume_writing)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Run:
    """What became of one connection."""

    longest: float = 0.0
    """CPU seconds of its longest turn."""
    turns: int = 0
    cut: bool = False
    """The server ended it."""
    error: str = ""
    written: int = 0


class TurnsHouse:
    """The app, and a loop that is turned by hand."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        cam = MemoryPlayable(low_latency=True)
        cam.add_media("r1", "a.ts", bytes(300_000))
        directory = MemoryDirectory(cam=cam, new=MemoryPlayable(begun=False))
        http = HttpSettings(max_waiters_per_session=200)
        self.app = web_app(directory, viewers(), http, routes=[Route("/api/echo", _echo, methods=["POST"])])
        state = self.app
        self.http2 = Http2Context(self.app, state.judge, state.runner, state.hot, 100, 32 * 1024)
        self.frames = 0
        """That the connections have come to look at."""
        self._uncounted = Http2._frame
        Http2._frame = self._counted()  # type: ignore[method-assign,assignment]
        gc.collect()
        gc.freeze()  # as the server does once it has started: what the tests have in memory is not its cost

    def _counted(self) -> Callable[[Http2, int, int, int, bytes], None]:
        uncounted = self._uncounted

        def counted(core: Http2, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
            self.frames += 1
            uncounted(core, kind, flags, stream_id, payload)

        return counted

    def close(self) -> None:
        gc.unfreeze()
        Http2._frame = self._uncounted  # type: ignore[method-assign]
        self.loop.close()

    def turn(self) -> float:
        """One round of the loop; the CPU time that it took."""
        self.loop.call_soon(self.loop.stop)
        before = process_time()
        self.loop.run_forever()
        return process_time() - before

    def run(self, chunks: list[bytes], how: How = How()) -> Run:  # noqa: B008 - a value
        """Feeds `chunks` to a new connection, each when it reads, until all are worked off or it is cut."""
        result, pipe, address = Run(), Pipe(how), ClientAddress("192.0.2.1", trusted=True)

        def begin() -> None:
            pipe.connection = Http2Connection(self.http2, address)
            pipe.connection.connection_made(pipe)

        self.loop.call_soon(begin)
        self.turn()
        waiting = list(reversed(chunks))
        quiet = 0
        while quiet < 3 and not pipe.closing:
            if waiting and pipe.reading:
                self.loop.call_soon(pipe.connection.data_received, waiting.pop())
                quiet = 0
            elif pipe.reading:
                quiet += 1
            result.longest = max(result.longest, self.turn())
            result.turns += 1
        result.cut = pipe.closing
        result.written = pipe.written
        self.loop.call_soon(pipe.connection.abort)
        for _ in range(4):
            result.longest = max(result.longest, self.turn())
        result.error = pipe.connection.error
        return result
