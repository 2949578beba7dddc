"""Stands in for the other end of a relay: an HTTP-FLV origin that counts, a real nginx-rtmp, a sink to stay away from.

Everything listens on loopback and runs in the test's own event loop, or as a process that its context manager ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self

from hlsd.app import Server
from hlsd.media.flv import file_header, file_tag
from tests.support.flvmedia import flv_tags, make_flv
from tests.support.ports import free_port
from tests.support.services import running

GOP = 25
SECONDS = 2.0


@cache
def _film() -> list[tuple[int, int, bytes]]:
    """What is sent, made once: whoever makes hlsd's own readers raise must not meet ours on the way."""
    return flv_tags(make_flv(seconds=SECONDS, fps=25, gop=GOP))


class FlvOrigin:
    """Serves one film by HTTP-FLV in a loop at its own pace; counts who asks.

    `missing` are paths it does not have; with `silent`, a beginning of paths, it never answers those.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        """The port, once it has been started; a second start takes the same one."""
        self.asked: list[str] = []
        self.missing: set[str] = set()
        self.silent = ""
        self.stalled = False
        """While true it sends nothing more."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """Connections at this instant."""
        return len(self._open)

    @property
    def url(self) -> str:
        """The template of a rule."""
        return f"http://127.0.0.1:{self.port}/{{app}}/{{stream}}.flv"

    async def start(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Is gone at once, as if it had been killed."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(set(self._open))
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ")[1].decode()
            self.asked.append(target)
            if target.partition("?")[0] in self.missing:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            if self.silent and target.startswith(self.silent):
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nTransfer-Encoding: chunked\r\n\r\n")
            watch = asyncio.ensure_future(reader.read(1))
            try:
                await self._send(writer, watch)
            finally:
                watch.cancel()
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._open.discard(task)
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, gone: asyncio.Future[bytes]) -> None:
        def put(octets: bytes) -> None:
            writer.write(b"%x\r\n%b\r\n" % (len(octets), octets))

        loop = asyncio.get_running_loop()
        start = loop.time()
        put(file_header(video=True, audio=True))
        tags = _film()
        shift = 0
        while not gone.done():
            for kind, at, body in tags:
                late = start + (shift + at) / 1000 - loop.time()
                while (late > 0 or self.stalled) and not gone.done():
                    await asyncio.wait({gone}, timeout=0.05 if self.stalled else late)
                    late = start + (shift + at) / 1000 - loop.time()
                if gone.done():
                    return
                put(file_tag(kind, shift + at, body))
            await writer.drain()
            shift += int(SECONDS * 1000)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@contextlib.asynccontextmanager
async def edge(state: Path, rules: list[dict[str, Any]], **more: object) -> AsyncIterator[Server]:
    """A server in this loop with these relay rules, on free ports."""
    dotted = {key.replace("__", "."): value for key, value in more.items()}
    async with running(state, {"server.id": "edge", "hls.time": 1, "relay.rules": rules, **dotted}) as server:
        yield server


class Sink:
    """Listens where nobody may come, and counts who does."""

    def __init__(self, host: str = "127.0.0.2") -> None:
        self._socket = socket.create_server((host, 0), backlog=16)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def connections(self) -> int:
        """How many have connected since the last look."""
        count = 0
        while True:
            try:
                peer, _ = self._socket.accept()
            except BlockingIOError:
                return count
            peer.close()
            count += 1

    def close(self) -> None:
        """Listens no more."""
        self._socket.close()


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    pid = os.getpid()
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that thread has just ended
            found.update(int(child) for child in (task / "children").read_text().split())
    return found


_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def nginx_missing() -> str | None:
    """Why nginx-rtmp cannot run here."""
    if not shutil.which("nginx"):
        return "nginx is not installed"
    return None if _RTMP_MODULE.exists() else "nginx's RTMP module is not installed"


@contextlib.contextmanager
def nginx_rtmp(folder: Path) -> Iterator[int]:
    """Debian's nginx-rtmp with the applications live and push; gives its port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(
        f"load_module {_RTMP_MODULE};\ndaemon off; master_process off; pid {folder}/pid;\n"
        f"error_log {folder}/error.log info;\nevents {{ worker_connections 64; }}\n"
        f"rtmp {{ access_log off; server {{ listen 127.0.0.1:{port};\n"
        "application live { live on; } application push { live on; } } }\n"
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(config)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)
