"""Serves a fixed 2 kB playlist and a 200 kB segment through the real listener: `python -m bench.origin PORT [--asgi]`.

Sessions are signed, checked and charged as in production; `--asgi` sends every request by ASGI, for the
comparison. Prints the path of a session that is open. With `--waiters N` it waits until N requests are held, then
releases them ten times over, and prints what that cost as JSON. With `--https PORT` it
answers by HTTP/2 there too. On SIGUSR1 it prints how many requests are held; on SIGUSR2 it begins to measure the turns
of its event loop, and on the next one prints them.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import signal
import statistics
import tempfile
import time
from pathlib import Path

import structlog
import uvloop

from hlsd.base import collector
from hlsd.base.clock import SystemClock
from hlsd.delivery.http1.fastpath import FastProtocol
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.tls.certificate import write_self_signed
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.tls.settings import HttpsSettings
from hlsd.delivery.web import WebApp, create_app
from hlsd.ports import Denial, Grant, PlayRequest, Rendering
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.sessions.signing import Key, Signer
from hlsd.stats import Stats
from tests.support.playable import MemoryDirectory, MemoryPlayable

PLAYLIST, SEGMENT, LARGE = 2048, 200 * 1024, 800 * 1024
ROUNDS = 10


def media(size: int) -> bytes:
    """A segment of that many bytes."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


class FixedPlayable(MemoryPlayable):
    """A low-latency stream whose playlist has always the same size."""

    def __init__(self) -> None:
        super().__init__(low_latency=True)
        self.add_media("r1", "s.ts", media(SEGMENT))
        self.add_media("r1", "l.ts", media(LARGE))

    def playlist(self, *, skip: bool = False) -> Rendering | None:  # noqa: ARG002
        """The same bytes, whatever happens."""
        body = b"#EXTM3U\n".ljust(PLAYLIST, b"#")
        return Rendering(body, gzip.compress(body), f'"v{self.version}"')


class AsgiOnly(FastProtocol):
    """Every request reaches WebApp."""

    def _answer(self) -> bool:
        return False


class Turns:
    """Measures the processor time of each turn of the event loop, which never rests meanwhile."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._before = 0.0
        self._next: asyncio.Handle | None = None

    def switch(self) -> None:
        """Begins, or prints what was found: seconds, by how many turns took longer than 0.2 ms."""
        if self._next is None:
            self._took.clear()
            self._before = time.thread_time()
            self._next = asyncio.get_running_loop().call_soon(self._turn)
            return
        self._next.cancel()
        self._next = None
        took = sorted(one for one in self._took if one > 0.0002) or [0.0]
        found = {"turns": len(took), "median": statistics.median(took), "p99": took[int(len(took) * 0.99)]}
        print(json.dumps({**found, "longest": took[-1]}), flush=True)

    def _turn(self) -> None:
        now = time.thread_time()
        self._took.append(now - self._before)
        self._before = now
        self._next = asyncio.get_running_loop().call_soon(self._turn)


def rss() -> int:
    """Resident bytes of this process."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


async def serve(  # noqa: PLR0913 - what the command line has
    port: int,
    *,
    asgi: bool,
    waiters: int,
    http: dict[str, object],
    https: int = 0,
    pair: tuple[Path, Path] | None = None,
) -> None:
    """Runs until it is ended, or until its releases are measured."""
    stream = FixedPlayable()
    clock = SystemClock()
    signer = Signer([Key(b"a key for measurements")], clock.wall)
    sessions = Registry(signer, clock, lambda _app, _name: 3600.0, max_sessions=100_000)
    settings = HttpSettings.model_validate(
        {"bind": "127.0.0.1", "port": port, "max_requests": 0, "max_waiters_per_session": 100_000, **http}
    )
    directory, stats = MemoryDirectory(cam=stream), Stats()
    entrance = ViewerEntrance(sessions, directory, stats)
    app = create_app(directory, sessions, settings, clock, entrance=entrance, stats=stats)
    server = HttpServer(settings, app, structlog.get_logger())
    if asgi:
        server.protocol = AsgiOnly
    await server.start()
    certificate = await _secure(https, settings, app, pair) if https else None
    session = await sessions.open(PlayRequest("live", "cam", "hls", "127.0.0.1", user_agent="bench"), Grant())
    assert not isinstance(session, Denial)
    path = session.prefix.decode()
    collector.calm()  # as `hlsd serve` does
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(server.hot.blocked.waiting, flush=True))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, Turns().switch)
    print(path, flush=True)
    if waiters:
        print(json.dumps(await _release(server, stream, waiters)), flush=True)
        return
    try:
        await asyncio.Event().wait()
    finally:
        if certificate is not None:
            certificate.cleanup()


async def _secure(
    port: int, http: HttpSettings, app: WebApp, pair: tuple[Path, Path] | None
) -> tempfile.TemporaryDirectory[str]:
    """The same answers by HTTPS; its certificate is there as long as what this returns."""
    folder = tempfile.TemporaryDirectory(prefix="hlsd-bench-")
    cert, key = pair or (Path(folder.name) / "cert.pem", Path(folder.name) / "key.pem")
    if pair is None:
        write_self_signed(cert, key, ["localhost"])
    settings = HttpsSettings(bind="127.0.0.1", port=port, cert=str(cert), key=str(key))
    await HttpsServer(settings, http, app, structlog.get_logger()).start()
    return folder


async def _release(server: HttpServer, stream: FixedPlayable, waiters: int) -> dict[str, float]:
    """CPU of this process per released waiter, over `ROUNDS` releases; memory per waiter."""
    blocked = server.hot.blocked
    idle = rss()
    costs = []
    held = 0.0
    for number in range(ROUNDS):
        while blocked.waiting < waiters:
            await asyncio.sleep(0.01)
        if not number:
            held = (rss() - idle) / waiters
        await asyncio.sleep(0.2)
        began = time.process_time()
        stream.add_part()
        while blocked.waiting:
            # not one turn of the loop for the clients' next requests: these are another measurement
            blocked._pump(again=True)  # noqa: SLF001
        # HTTP/2 writes once in a turn. Nothing else happens in these two: clients ask again when all are answered.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        costs.append((time.process_time() - began) / waiters * 1e6)
        stream.parts = 0
        stream.msn += 1
    return {"us_per_waiter": statistics.median(costs), "worst_us": max(costs), "rss_per_waiter": held}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--asgi", action="store_true")
    parser.add_argument("--waiters", type=int, default=0)
    parser.add_argument("--https", type=int, default=0, metavar="PORT")
    parser.add_argument("--certificate", type=Path, nargs=2, help="of HTTPS: its file, and its key's")
    parser.add_argument("--http", type=json.loads, default={}, help="settings of section http, as JSON")
    given = parser.parse_args()
    pair = tuple(given.certificate) if given.certificate else None
    work = serve(given.port, asgi=given.asgi, waiters=given.waiters, http=given.http, https=given.https, pair=pair)
    uvloop.run(work)
