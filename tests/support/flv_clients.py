"""What publishes a film to `/{app}/{stream}.flv` at its own pace: ffmpeg, curl, and a page in Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from tests.support.browser import executable
from tests.support.encoders import current_ffmpeg, system_ffmpeg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PUBLISHERS = ("ffmpeg-system", "ffmpeg-current", "curl", "curl-h2")
"""The programs; `curl-h2` speaks HTTP/2."""


def missing(name: str) -> str | None:
    """Why it cannot run here, or None."""
    if name.startswith("curl"):
        return None if shutil.which("curl") else "curl is not installed"
    return None if name == "ffmpeg-current" or system_ffmpeg() else "ffmpeg is not installed"


@contextlib.asynccontextmanager
async def flv_client(name: str, film: Path, url: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program at work on `film`, round and round; what it says is in `log`, curl with the status of its answer."""
    read = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy", "-f", "flv"]
    processes: list[asyncio.subprocess.Process] = []
    ffmpeg = system_ffmpeg() if name == "ffmpeg-system" else current_ffmpeg()
    assert ffmpeg is not None
    try:
        with log.open("wb") as said:
            if not name.startswith("curl"):
                trust = ["-tls_verify", "0"] if url.startswith("https") else []
                command = [ffmpeg, *read, "-method", "POST", *trust, url]
                processes.append(await asyncio.create_subprocess_exec(*command, stdout=said, stderr=said))
            else:
                source = await asyncio.create_subprocess_exec(ffmpeg, *read, "-", stdout=asyncio.subprocess.PIPE)
                processes.append(source)
                version = "--http2" if name == "curl-h2" else "--http1.1"
                send = ["curl", "-sS", "-k", version, "-T", "-", "-X", "POST", "-w", "status %{http_code}", url]
                curl = await asyncio.create_subprocess_exec(
                    *send, stdin=asyncio.subprocess.PIPE, stdout=said, stderr=said
                )
                processes.insert(0, curl)
                pumping = asyncio.create_task(_pump(source, curl))
                pumping.add_done_callback(lambda task: task.cancelled() or task.exception())
        yield processes[0]
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _pump(source: asyncio.subprocess.Process, sink: asyncio.subprocess.Process) -> None:
    """Hands on what one writes to what the other reads."""
    assert source.stdout is not None
    assert sink.stdin is not None
    with contextlib.suppress(ConnectionError):
        while octets := await source.stdout.read(4096):
            sink.stdin.write(octets)
            await sink.stdin.drain()
    sink.stdin.close()


PAGE = """<!doctype html><meta charset="utf-8"><title>publishes</title><script>
(async () => {
  const file = new Uint8Array(await (await fetch("/film.flv")).arrayBuffer()), view = new DataView(file.buffer);
  const socket = new WebSocket(%r, "publisher");
  socket.onopen = () => {
    socket.send(file.subarray(0, 13));
    const begun = performance.now();
    let at = 13;
    const timer = setInterval(() => {
      while (at < file.length) {
        const size = 15 + (view.getUint32(at) & 0xffffff), time = view.getUint32(at + 4) >>> 8;
        if (time > performance.now() - begun) return;
        socket.send(file.subarray(at, at += size));
      }
      clearInterval(timer);
      socket.close();
    }, 10);
  };
})();
</script>"""
"""As Node-Media-Server's NodePublisher sends: a tag a message, in time."""


@contextlib.asynccontextmanager
async def page_that_publishes(
    film: Path, url: str, folder: Path, port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Chromium with a page of another origin that sends `film` once to `url`, which is ws or wss.

    The page is at `http://127.0.0.1:{port}`.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = film.read_bytes() if b" /film.flv " in head else (PAGE % url).encode()
            kind = b"application/octet-stream" if b" /film.flv " in head else b"text/html"
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\n" % kind)
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    page = await asyncio.start_server(serve, "127.0.0.1", port)
    browser = executable("chromium")
    assert browser is not None
    quiet = asyncio.subprocess.DEVNULL
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"]
    process = await asyncio.create_subprocess_exec(
        browser, *flags, f"http://127.0.0.1:{port}/", stdout=quiet, stderr=quiet, stdin=quiet
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        page.close()
        await page.wait_closed()
