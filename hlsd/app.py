"""Runs a server: `Server` as a library, `serve` as a process.

It makes a `Node` and its services, keeps the sweeps going, and drains in order on the way out: publishers are let go,
held requests are answered with what is there, listeners close, and no playlist ends; what was told of all this is in
the outbox last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import structlog

from hlsd import __version__
from hlsd.base import collector
from hlsd.base.clock import Clock, SystemClock
from hlsd.base.errors import ConfigError, HlsdError
from hlsd.base.log import tell_left_out
from hlsd.base.stop_signals import StopSignals
from hlsd.base.upkeep import end, keep
from hlsd.delivery.hosted import HostedApp
from hlsd.event_source import EventSource
from hlsd.events import Bus
from hlsd.node import Node
from hlsd.reload import Reload, Reloaded
from hlsd.segmenter import encryption
from hlsd.services import FRONTS, SERVICES, Services
from hlsd.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp

    from hlsd.config import Settings
    from hlsd.notify.notify import Notify
    from hlsd.ports import OutputFactory, Service, SinkFactory
    from hlsd.services import Made
    from hlsd.sessions.registry import Registry
    from hlsd.streams.hub import Hub

SWEEP = 1.0
"""Seconds between two looks at grace periods, idle streams and rates."""
SESSION_SWEEP = 0.25
"""Seconds between two looks at sessions whose time may be over."""
MAX_LATE = 0.5
"""Seconds by which the event loop may be late before /readyz says so."""


class CannotListen(HlsdError):
    """A service's port is taken or not permitted; the text is the line to show."""


class NotRunning(RuntimeError):
    """What was asked for is there between `start` and `stop`."""


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where a server's configuration is read from again.

    `read()` gives it, in a thread, or raises ConfigError. `seen_to(key)`: what another process sees to, which hears by
    `taken_up()` that this one has changed.
    """

    read: Callable[[], Settings]
    seen_to: Callable[[tuple[str, str]], bool] = lambda _key: False
    taken_up: Callable[[], None] = lambda: None


class Server(EventSource):
    """One hlsd inside the running event loop: `async with Server(settings) as server: …`, or `start` and `stop`.

    `server.on("prePlay", handler)` calls `handler(viewer)` for each viewer at the door, and `viewer.reject()` turns it
    away; the names of events are those of `hlsd.events.Action`. `server.asgi()` is for another application to mount.
    Nothing on disk or network is touched before `start`. `fronts` answer HTTP in place of `hlsd.services.FRONTS`;
    `source` is where the configuration is read from again.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        fronts: Sequence[Made] = FRONTS,
        source: ConfigSource | None = None,
    ) -> None:
        self.settings = settings
        self._source = source
        self._reloading = asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()
        self._fronts = fronts
        self._clock = clock or SystemClock()
        self.stats = Stats(settings.metrics.max_apps)
        self._faults = self.stats.faults
        self.bus = Bus()
        self._services: Services | None = None
        self._started: dict[str, Service] = {}
        self._sweeping: asyncio.Future[list[None]] | None = None
        self._late = deque([0.0], maxlen=3)
        """Seconds by which the last sweeps were late: a measure of the event loop."""
        self._log = structlog.get_logger()

    @property
    def services(self) -> dict[str, Service]:
        """The services that run, by name."""
        return self._started

    @property
    def node(self) -> Node:
        """What they stand on. Raises NotRunning."""
        if self._services is None:
            raise NotRunning("the server does not run: `await server.start()` first, or use `async with server:`")
        return self._services.node

    @property
    def hub(self) -> Hub:
        """Who knows every stream. Raises NotRunning."""
        return self.node.hub

    @property
    def sessions(self) -> Registry:
        """Who watches. Raises NotRunning."""
        return self.node.sessions

    @property
    def notify(self) -> Notify:
        """What tells of events; its `ring` has the last ones. Raises NotRunning."""
        return self.node.notify

    @property
    def web(self) -> ASGIApp | None:
        """What answers HTTP while the server runs."""
        services = self._services
        return services.web if services is not None and len(self._started) == len(services.by_name) else None

    def asgi(self) -> HostedApp[Server]:
        """The server as an ASGI application, for another one to mount below a path: docs/embedding.md."""
        return HostedApp(self, lambda: self.web)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts every service. Raises CannotListen, with everything that had started stopped again."""
        node = Node(self.settings, self._clock, self.stats, self.bus, self._outputs, self._sinks, os.environ)
        try:
            again = self.reread if self._source is not None else None
            self._services = services = Services(node, self.unready, self.impaired, SERVICES, self._fronts, again)
        except BaseException:
            await node.stop()
            raise
        try:
            await node.start()
            for name, service in services.by_name.items():
                await service.start()
                self._started[name] = service
        except BaseException as error:
            await self.stop(0.0)
            if not isinstance(error, OSError):
                raise
            raise CannotListen(error.strerror or str(error)) from error
        self._say_who_may(node)
        kept = (("stream_sweep", self._sweep), ("session_sweep", self._sweep_sessions))
        self._sweeping = asyncio.gather(*[keep(work, name, self._faults) for name, work in kept])

    async def stop(self, deadline: float | None = None) -> None:
        """Drains for at most `deadline` seconds (default: `server.drain_timeout`), then stops every service.

        Whatever raises meanwhile, every service is stopped and every store brought to its end. Safe to call twice.
        """
        if self._services is None:
            return
        node = self.node
        left = self.settings.server.drain_timeout if deadline is None else deadline
        loop = asyncio.get_running_loop()
        until = loop.time() + left
        node.sessions.drain()
        guard = self._faults.guard("stop")
        with guard:
            node.hub.drain()
        for service in list(self._started.values()):
            with guard:
                await service.stop(max(0.1, until - loop.time()))
        self._started.clear()
        await end(self._sweeping)
        self._sweeping = None
        await node.stop()
        self._services = None

    def reload(self, settings: Settings) -> Reloaded:
        """Puts other settings in force as far as that can be done while everybody stays; says what wants a restart.

        Raises:
            ConfigError: they cannot be used, and why; then nothing has changed.
            NotRunning: the server does not run.
        """
        if self._services is None:
            raise NotRunning("the server does not run")
        elsewhere = self._source.seen_to if self._source is not None else lambda _key: False
        return Reload(self.settings, self._services.reloads, elsewhere).apply(settings)

    async def reread(self) -> Reloaded:
        """`reload` with what the configuration says now; tells the log. Raises ConfigError."""
        assert self._source is not None
        async with self._reloading:
            try:
                done = self.reload(await asyncio.to_thread(self._source.read))
            except ConfigError as error:
                for problem in str(error).splitlines():
                    self._log.error("configuration not reloaded: nothing has changed", problem=problem)
                raise
            self._log.info("configuration reloaded", changed=list(done.changed), needs_restart=list(done.restart))
            self._source.taken_up()
            return done

    def hang_up(self) -> None:
        """SIGHUP: reads the configuration again."""

        async def again() -> None:
            with contextlib.suppress(ConfigError, NotRunning):  # the log has it
                await self.reread()

        if self._source is not None:
            task = asyncio.get_running_loop().create_task(again(), name="reload")
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    def stray(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught, as the loop's exception handler: a fault of ours like any other, unless a network's."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._faults.task("callback", error)
        else:
            loop.default_exception_handler(context)

    def unready(self) -> list[str]:
        """Why no viewer should be sent here; empty if one may be."""
        if self._services is None:
            return ["starting"]
        hub = self.node.hub
        reasons = []
        if hub.draining:
            reasons.append("draining")
        elif len(self._started) < len(self._services.by_name):
            reasons.append("starting")
        if min(self._late) > MAX_LATE:  # once is a hiccup, three times in a row is overload
            reasons.append("overloaded")
        # One stream whose output is off is not to take all others from their viewers: a balancer reads the status.
        live = sum(stream.claim is not None for stream in hub.streams)
        reasons += [f"output off: {name}" for name, count in self._faults.off.items() if live and count >= live]
        return reasons

    def impaired(self) -> list[str]:
        """What viewers of some streams do not get for now."""
        off = [f"output off for some streams: {name}" for name, count in sorted(self._faults.off.items()) if count]
        return [*off, *(self._services.impaired() if self._services is not None else ())]

    def _outputs(self) -> list[OutputFactory]:
        """What the services make of a stream that begins."""
        return self._services.outputs() if self._services is not None else []

    def _sinks(self) -> list[SinkFactory]:
        """What the services make of its segments."""
        return self._services.sinks() if self._services is not None else []

    def _say_who_may(self, node: Node) -> None:
        """Makes the operator known on this machine, and says how who is let in."""
        api, metrics = self.settings.api, self.settings.metrics
        kept = node.local_token.publish()
        if api.enabled or (metrics.enabled and not metrics.port):
            names = (["api.token"] if api.token is not None else []) + [f"api.tokens {one.name}" for one in api.tokens]
            own = str(node.local_token.path) if kept else ""
            self._log.info("the API and /metrics ask for a token", configured=names, this_machine=own)
        for line in encryption.told(self.settings.hls):
            self._log.info(line)
        if api.loopback:
            self._log.warning("api.loopback: every program of this machine is administrator, and so is everybody "
                              "behind a proxy on it that adds no header")  # fmt: skip

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        guard = self._faults.guard("stream_sweep")
        hub = self.hub
        while True:
            due = loop.time() + SWEEP
            await asyncio.sleep(SWEEP)
            self._late.append(loop.time() - due)
            with guard:
                hub.sweep()
            with guard:
                tell_left_out()
            with guard:
                self.stats.forget(lambda app, name: hub.find(app, name) is not None)

    async def _sweep_sessions(self) -> None:
        """More often, so that an end is told within a second; in slices, so that ten thousand ends stall nobody."""
        sessions = self.sessions
        while True:
            await asyncio.sleep(SESSION_SWEEP)
            while not sessions.sweep_some():  # noqa: ASYNC110 - it is the work that is waited for
                await asyncio.sleep(0)


def asgi(settings: Settings) -> HostedApp[Server]:
    """A server of its own as an ASGI application: `Server(settings).asgi()`."""
    return Server(settings).asgi()


async def serve(
    settings: Settings,
    *,
    ready: Callable[[Server], None] | None = None,
    fronts: Sequence[Made] = FRONTS,
    source: ConfigSource | None = None,
) -> int:
    """Runs a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status.

    `ready` is called when every service listens; `fronts` and `source` as in `Server`: SIGHUP reads it again. Raises
    HlsdError when a service cannot listen.
    """
    log = structlog.get_logger()
    server = Server(settings, fronts=fronts, source=source)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(server.stray)
    if source is not None:
        loop.add_signal_handler(signal.SIGHUP, server.hang_up)
    with StopSignals() as signals:
        await server.start()
        ports = {f"{name}_port": service.port for name, service in server.services.items() if service.port}
        log.info("hlsd started", version=__version__, **ports)
        if ready is not None:
            ready(server)
        collector.calm()
        tidying = keep(collector.tidy, "collector", server.stats.faults)
        await signals.stop.wait()
        await end(tidying)
        log.info("draining", seconds=settings.server.drain_timeout)
        draining = asyncio.create_task(server.stop())
        impatient = asyncio.create_task(signals.now.wait())
        await asyncio.wait({draining, impatient}, return_when=asyncio.FIRST_COMPLETED)
        impatient.cancel()
        if not draining.done():
            log.warning("second signal: stopping now")
            return 0
        await draining
        tell_left_out(at_once=True)
        log.info("hlsd stopped")
    return 0
