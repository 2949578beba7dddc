"""Is one worker: it serves playlists and media to viewers who have a session, from mirrors of what the core cuts.

Everything else it hands on to the core. It owns nothing: what it counts it reports, whom it serves the core has let in.
Its sessions are the same box as everywhere, over the store of the core (`hlsd.workers.session_store`).
"""

from __future__ import annotations

import asyncio
import math
import resource
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from hlsd.base import collector
from hlsd.base.clock import SystemClock
from hlsd.base.errors import HlsdError
from hlsd.base.stop_signals import StopSignals
from hlsd.base.upkeep import end, keep, sweep
from hlsd.cluster.store_client import StoreClient
from hlsd.delivery.http1.server import HttpServer
from hlsd.delivery.tls.https import HttpsServer
from hlsd.delivery.web import create_app
from hlsd.net.handshakes import Handshakes
from hlsd.net.listening import adopt
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.sessions.schedule import idle_of
from hlsd.sessions.signing import Key, Signer
from hlsd.stats import Stats
from hlsd.workers import counts
from hlsd.workers.beat import Beat
from hlsd.workers.counts_line import CountsLine
from hlsd.workers.edge_directory import EdgeDirectory
from hlsd.workers.edge_judge import EdgeJudge
from hlsd.workers.orders import SHARE, counts_path, feed_path, key_path, store_path, tunnel_path
from hlsd.workers.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.base.faults import Faults
    from hlsd.config import Settings
    from hlsd.delivery.settings import HttpSettings
    from hlsd.ports import ViewerSession
    from hlsd.sessions.settings import SessionSettings
    from hlsd.workers.orders import Orders

SPREAD = 1.15
"""By how much a worker may have more than its equal part of what a server may have: the kernel's spread is not even."""
ALWAYS = 31_536_000.0
"""Seconds for which a worker takes any id that is signed: the core says whether it is too old."""
SESSION_SWEEP = 0.25
STREAM_SWEEP = 5.0
FAREWELL = 5.0
"""Seconds at most in which clients hear with their next answer that they are to connect anew."""


class CoreStore(StoreClient):
    """The core's store. `again()` is called when it can be asked again, and may know of nobody."""

    def __init__(self, path: Path, faults: Faults, again: Callable[[], None]) -> None:
        super().__init__(path, faults)
        self._again = again
        self._known = False

    def made(self, transport: asyncio.Transport) -> None:
        """It is connected."""
        super().made(transport)
        if self._known:
            self._again()
        self._known = True


class EdgeSessions(Registry):
    """The sessions that a worker serves, of the streams in `edge`."""

    def __init__(self, edge: EdgeDirectory, *args: Any, **more: Any) -> None:  # noqa: ANN401 - as `Registry`
        super().__init__(*args, stream=edge.find, **more)
        self._edge = edge

    def awaits(self, viewer: ViewerSession) -> bool:
        """Whether the stream may be on air, and is not known here yet."""
        return self._edge.pending(viewer.app, viewer.name)


class EdgeWorker:
    """One worker's parts, made and not started."""

    def __init__(self, settings: Settings, orders: Orders, key: bytes) -> None:
        self.settings = settings
        self.log = structlog.get_logger().bind(worker=orders.number)
        self.stats = stats = Stats(settings.metrics.max_apps)
        clock, folder, faults = SystemClock(), orders.folder, self.stats.faults
        http = _part_of(settings.http, orders.workers)
        self.directory = edge = EdgeDirectory(
            feed_path(folder),
            settings.limits.max_memory,
            lambda path: self.sessions.of_stream(path) > 0,
            faults,
            lambda app: stats.admit(app),  # noqa: PLW0108 - what it gives is for others
        )
        self.store = CoreStore(Path(store_path(folder)), faults, lambda: self.sessions.claim_all())  # noqa: PLW0108 - they are made below
        self.sessions = EdgeSessions(
            edge,
            Signer([Key(key)], clock.wall),
            clock,
            idle_of(settings.sessions.idle_timeout, edge.find),
            max_sessions=settings.sessions.max_sessions,
            stats=stats,
            settings=_unjudged(settings.sessions),
            store=self.store,
        )
        self.tunnel = Tunnel(tunnel_path(folder), http.proxies)
        self.web = create_app(
            edge,
            self.sessions,
            http,
            clock,
            entrance=ViewerEntrance(self.sessions, edge, stats),
            stats=stats,
            judge=EdgeJudge(edge, self.sessions, http),
            playables=edge.playables,
            behind=self.tunnel,
        )
        handshakes = Handshakes(settings.https.max_handshakes, settings.https.max_handshakes_per_ip)
        tls = adopt(orders.https) if orders.https >= 0 else None
        self.https = HttpsServer(settings.https, http, self.web, self.log, handshakes, given=tls)
        self.http = HttpServer(http, self.web, self.log, given=adopt(orders.http))
        whole = partial(counts.totals, stats, self.web.blocked, self.web.connections)
        self.counts = CountsLine(counts_path(folder), orders.number, self._now, whole)
        self._tasks: list[asyncio.Future[None]] = []

    async def start(self) -> None:
        """Listens. Raises OSError, HlsdError."""
        await self.sessions.start()
        await self.https.start()
        await self.http.start()
        faults = self.stats.faults
        self.counts.start(faults)
        self._tasks = [
            keep(self._sweep_sessions, "session_sweep", faults),
            sweep(STREAM_SWEEP, self._sweep_streams, "stream_sweep", faults),
        ]

    async def stop(self, seconds: float) -> None:
        """Lets its clients go to other workers, in `seconds` at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self.http.yield_port()
        self.https.yield_port()
        gentle = min(loop.time() + FAREWELL, until - seconds / 4)
        while self.web.connections.open and loop.time() < gentle:  # noqa: ASYNC110 - they end without a word
            await asyncio.sleep(0.05)
        guard = self.stats.faults.guard("stop")
        self.sessions.drain()
        with guard:
            await self.https.stop(max(0.1, until - loop.time()))
        with guard:
            await self.http.stop(max(0.1, until - loop.time()))
        with guard:
            await self.sessions.stop()
        for task in self._tasks:
            await end(task)
        with guard:
            await self.counts.stop()
        with guard:
            await self.directory.stop()

    def _sweep_streams(self) -> None:
        self.directory.sweep()
        self.stats.forget(lambda app, name: self.directory.find(app, name) is not None)

    def _now(self) -> dict[str, float]:
        """What there is at this instant, for the core's figures."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "open": self.web.connections.open,
            "held": self.web.blocked.waiting,
            "cpu": used.ru_utime + used.ru_stime,
            "resident": pages * resource.getpagesize(),
        }

    async def _sweep_sessions(self) -> None:
        while True:
            await asyncio.sleep(SESSION_SWEEP)
            while not self.sessions.sweep_some():  # noqa: ASYNC110 - it is the work that is waited for
                await asyncio.sleep(0)


def _part_of(http: HttpSettings, workers: int) -> HttpSettings:
    """A worker's part of what the whole server may have; bounds of one address are its own."""

    def part(whole: int) -> int:
        return max(1, math.ceil(SPREAD * whole / workers))

    bounds = {name: part(getattr(http, name)) for name in ("max_connections", "max_waiters", "max_waiters_total")}
    return http.model_copy(update=bounds)


def _unjudged(sessions: SessionSettings) -> SessionSettings:
    """Who may have how many, and from where, is the core's to judge: it is told of every address (`max_per_ip`)."""
    return sessions.model_copy(update={"ip_policy": "any", "shared": "allow", "max_per_ip": 1, "adopt_window": ALWAYS})


async def _key(file: Path) -> bytes:
    """The core's key of session ids, once the core is there: both are begun at the same time."""
    while not file.exists():  # noqa: ASYNC110, ASYNC240 - the supervisor ends us if it does not come
        await asyncio.sleep(0.05)
    return file.read_bytes()  # noqa: ASYNC240


async def run(settings: Settings, orders: Orders) -> int:
    """Runs it until it is told to stop. Returns the exit status; raises HlsdError when it cannot listen."""
    beat = Beat(orders.line)  # first: a supervisor that has gone would never be missed by one that waits for the core
    key = await _key(Path(key_path(orders.folder)))
    worker = EdgeWorker(settings, orders, key)
    with StopSignals() as signals:
        try:
            await worker.start()
        except OSError as error:
            raise HlsdError(error.strerror or str(error)) from error
        beat.ready({"http": worker.http.port, "https": worker.https.port})
        collector.calm()
        tidying = keep(collector.tidy, "collector", worker.stats.faults)
        await signals.stop.wait()
        await end(tidying)
        stopping = asyncio.create_task(worker.stop(settings.server.drain_timeout * SHARE))
        now = asyncio.create_task(signals.now.wait())
        await asyncio.wait({stopping, now}, return_when=asyncio.FIRST_COMPLETED)
        now.cancel()
        if stopping.done():
            await stopping
    await beat.stop()
    return 0
