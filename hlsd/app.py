"""Puts the house together and runs it: `Server` as a library, `serve` as a process.

It makes the hub and the rooms of the table, keeps the one-second sweep going, and drains in order on the way out:
publishers are let go, held requests are answered with what is there, listeners close, and no playlist ends; what was
told of all this is in the outbox last.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog

from hlsd import __version__
from hlsd.api.local_token import LocalToken
from hlsd.auth.gate import gate_of
from hlsd.base import collector
from hlsd.base.clock import Clock, SystemClock
from hlsd.base.errors import ConfigError, HlsdError
from hlsd.base.log import tell_left_out
from hlsd.base.stop_signals import StopSignals
from hlsd.base.upkeep import end, keep
from hlsd.delivery.hosted import HostedApp
from hlsd.event_source import EventSource
from hlsd.events import Action, Bus
from hlsd.notify.notify import Notify
from hlsd.segmenter.journal import SequenceJournal
from hlsd.segmenter.outputs import HlsOutputs
from hlsd.services import SERVICES, Service, server_id, services_of
from hlsd.sessions.ban_store import BanStore
from hlsd.sessions.key_file import KEY_BYTES, load_key
from hlsd.sessions.local_directory import LocalDirectory
from hlsd.sessions.registry import Registry
from hlsd.sessions.signing import Key, Signer
from hlsd.stats import Stats
from hlsd.streams.hub import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from hlsd.config import Settings

SWEEP = 1.0
"""Seconds between two looks at grace periods, idle streams and rates."""
SESSION_SWEEP = 0.25
"""Seconds between two looks at sessions whose time may be over."""
MAX_LATE = 0.5
"""Seconds by which the event loop may be late before /readyz says so."""


class CannotListen(HlsdError):
    """A room's port is taken or not permitted; the text is the line to show."""


class Server(EventSource):
    """One hlsd inside the running event loop: `async with Server(settings) as server: …`, or `start` and `stop`.

    `server.on("prePlay", handler)` calls `handler(viewer)` for each viewer at the door, and `viewer.reject()` turns it
    away; the names of events are those of `hlsd.events.Action`. `server.asgi()` is for another application to mount.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self.stats = Stats(settings.metrics.max_apps)
        self._faults = self.stats.faults
        self.bus = Bus()
        state = Path(settings.server.state_dir)
        self.notify = Notify(
            settings.notify,
            self.bus,
            self._clock,
            self.stats.notify,
            state=state,
            server_id=server_id(settings),
            refused=self._refused,
            faults=self._faults,
        )
        self.local_token = LocalToken(state)
        """How programs of this machine are known to the API."""
        self.hls = HlsOutputs(settings.hls, self._clock, SequenceJournal(state / "hlsd.sqlite"), self.stats)
        key = self._session_key()
        self.gate = gate_of(
            settings.auth,
            self._clock,
            salt=hmac.digest(key.secret, b"names of tokens", "sha256"),
            server_id=server_id(settings),
            trusted=settings.http.proxies,
            stats=self.stats,
        )
        """Who may play and publish; None where everybody may."""
        self.hub = Hub(
            settings.publish,
            self._clock,
            [self.hls],
            max_streams=settings.limits.max_streams,
            max_memory=settings.limits.max_memory,
            stats=self.stats,
            bus=self.bus,
            gate=self.gate,
            over=self._stream_over,
        )
        signer = Signer([key], self._clock.wall, server_id(settings))
        bans = BanStore(state / "bans.jsonl", self._clock.wall)
        self.sessions = Registry(
            signer,
            self._clock,
            self._session_idle,
            max_sessions=settings.sessions.max_sessions,
            stats=self.stats,
            bus=self.bus,
            gate=self.gate,
            settings=settings.sessions,
            stream=self.hub.find,
            grace=settings.publish.grace,
            about=self._about,
            directory=LocalDirectory(settings.sessions, self._clock, signer.who, store=bans),
        )
        self.rooms: dict[str, Service] = {}
        self.web: ASGIApp | None = None  # what answers HTTP while the server runs
        self._sweeping: asyncio.Future[list[None]] | None = None
        self._late = deque([0.0], maxlen=3)
        """Seconds by which the last sweeps were late: a measure of the event loop."""
        self._log = structlog.get_logger()

    def asgi(self) -> HostedApp[Server]:
        """The server as an ASGI application, for another one to mount below a path: docs/embedding.md."""
        return HostedApp(self, lambda: self.web)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts every room. Raises CannotListen, with everything that had started stopped again."""
        await self.notify.start()
        await self.sessions.start()
        house = services_of(
            self.settings,
            self._clock,
            self.hub,
            self.sessions,
            self.stats,
            ring=self.notify.ring,
            unready=self.unready,
            impaired=self.impaired,
            local_token=self.local_token.value,
        )
        for name, make in SERVICES:
            room = make(house)
            try:
                await room.start()
            except BaseException as error:
                await self.stop(0.0)
                if not isinstance(error, OSError):
                    raise
                raise CannotListen(error.strerror or str(error)) from error
            self.rooms[name] = room
        self.web = house.web
        self._say_who_may()
        kept = (("stream_sweep", self._sweep), ("session_sweep", self._sweep_sessions))
        self._sweeping = asyncio.gather(*[keep(work, name, self._faults) for name, work in kept])

    def _say_who_may(self) -> None:
        """Makes the operator known on this machine, and says how who is let in."""
        api, metrics = self.settings.api, self.settings.metrics
        kept = self.local_token.publish()
        if api.enabled or (metrics.enabled and not metrics.port):
            names = (["api.token"] if api.token is not None else []) + [f"api.tokens {one.name}" for one in api.tokens]
            own = str(self.local_token.path) if kept else ""
            self._log.info("the API and /metrics ask for a token", configured=names, this_machine=own)
        if api.loopback:
            self._log.warning("api.loopback: every program of this machine is administrator, and so is everybody "
                              "behind a proxy on it that adds no header")  # fmt: skip

    async def stop(self, deadline: float | None = None) -> None:
        """Drains for at most `deadline` seconds (default: `server.drain_timeout`), then stops every room.

        Whatever raises meanwhile, every room is closed and every store brought to its end.
        """
        left = self.settings.server.drain_timeout if deadline is None else deadline
        loop = asyncio.get_running_loop()
        until = loop.time() + left
        self.sessions.drain()
        guard = self._faults.guard("stop")
        with guard:
            self.hub.drain()
        for room in list(self.rooms.values()):
            with guard:
                await room.stop(max(0.1, until - loop.time()))
        with guard:
            await self.sessions.stop()  # when all they got has been counted, and before events are carried away no more
        with guard:
            await self.sessions.bus.close()
        self.web = None
        self.rooms.clear()
        await end(self._sweeping)
        self._sweeping = None
        with guard:
            self.hls.leave(self.hub.streams)
        with guard:
            await self.notify.stop()
        if self.gate is not None:
            with guard:
                await self.gate.close()
        with guard:
            self.hls.close()
        with guard:
            self.local_token.withdraw()

    def stray(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught, as the loop's exception handler: a fault of ours like any other, unless a network's."""
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._faults.task("callback", error)
        else:
            loop.default_exception_handler(context)

    def _refused(self, action: str, ident: str) -> None:
        """A receiver does not want this client (Node-Media-Server: any status but 200 closes it)."""
        if action == Action.POST_PUBLISH:
            self.hub.reject(ident, "auth_denied")
        elif (session := self.sessions.get(ident)) is not None:
            session.reject("auth_denied")

    def unready(self) -> list[str]:
        """Why no viewer should be sent here; empty if one may be."""
        reasons = []
        if self.hub.draining:
            reasons.append("draining")
        elif len(self.rooms) < len(SERVICES):
            reasons.append("starting")
        if min(self._late) > MAX_LATE:  # once is a hiccup, three times in a row is overload
            reasons.append("overloaded")
        # One stream whose output is off is not to take all others from their viewers: a balancer reads the status.
        live = sum(stream.claim is not None for stream in self.hub.streams)
        reasons += [f"output off: {name}" for name, count in self._faults.off.items() if live and count >= live]
        return reasons

    def impaired(self) -> list[str]:
        """What viewers of some streams do not get for now."""
        return [f"output off for some streams: {name}" for name, count in sorted(self._faults.off.items()) if count]

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        guard = self._faults.guard("stream_sweep")
        while True:
            due = loop.time() + SWEEP
            await asyncio.sleep(SWEEP)
            self._late.append(loop.time() - due)
            with guard:
                self.hub.sweep()
            with guard:
                tell_left_out()
            with guard:
                self.stats.forget(lambda app, name: self.hub.find(app, name) is not None)

    async def _sweep_sessions(self) -> None:
        """More often, so that an end is told within a second; in slices, so that ten thousand ends stall nobody."""
        while True:
            await asyncio.sleep(SESSION_SWEEP)
            while not self.sessions.sweep_some():  # noqa: ASYNC110 - it is the work that is waited for
                await asyncio.sleep(0)

    def _stream_over(self, app: str, name: str) -> None:
        """A stream has ended, or was removed; the sessions are made after the hub, which they ask."""
        self.sessions.stream_over(app, name)

    def _about(self, app: str, name: str) -> tuple[str, str]:
        """A stream's run and codecs, for events; empty once it is gone."""
        stream = self.hub.get(app, name)
        return stream.run.about if stream is not None and stream.run is not None else ("", "")

    def _session_key(self) -> Key:
        secret = self.settings.sessions.secret
        if secret is not None:
            return Key(secret.get_secret_value().encode())
        path = Path(self.settings.server.state_dir) / "session.key"
        try:
            return load_key(path)
        except OSError as error:  # as the journal: a disk that is full or read-only must not keep anybody off the air
            log = structlog.get_logger()
            log.warning("session key not kept: viewers begin anew after a restart", path=str(path), reason=str(error))
            return Key(secrets.token_bytes(KEY_BYTES))
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _session_idle(self, app: str, name: str) -> float:
        """Seconds: "max(3 x TARGETDURATION, 10 s), cap 60 s" (contract §4.2, rule 5).

        After the end of the stream one target duration and a second: whoever has not seen the end yet asks within
        that time, be it for the playlist, be it for the next one of the last segments.
        """
        fixed = self.settings.sessions.idle_timeout
        live = self.hub.find(app, name)
        if live is not None and live.ended:
            return min(fixed or 60.0, live.target_duration + 1.0)
        return fixed or min(60.0, max(3.0 * live.target_duration if live is not None else 0.0, 10.0))


def asgi(settings: Settings) -> HostedApp[Server]:
    """A server of its own as an ASGI application: `Server(settings).asgi()`."""
    return Server(settings).asgi()


async def serve(settings: Settings, *, ready: Callable[[Server], None] | None = None) -> int:
    """Runs a server until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit status.

    `ready` is called when every room listens. Raises HlsdError when a room cannot.
    """
    log = structlog.get_logger()
    server = Server(settings)
    asyncio.get_running_loop().set_exception_handler(server.stray)
    with StopSignals() as signals:
        await server.start()
        ports = {f"{name}_port": room.port for name, room in server.rooms.items()}
        log.info("hlsd started", version=__version__, **ports)
        if ready is not None:
            ready(server)
        collector.calm()
        await signals.stop.wait()
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
