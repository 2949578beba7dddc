"""Runs a server as a core and several workers: opens the ports, begins the processes, watches them, replaces them.

It loads nothing of media and serves nobody, so that there is little in it that could fail. Each worker has a socket of
its own on the same port (SO_REUSEPORT), bound here: the kernel spreads connections evenly among those that are listened
on. Law: the socket of a worker that has crashed is closed at once, before anything else, so that nobody connects to
nobody, and its successor gets a new one; a worker that is replaced on purpose (the configuration was read again:
SIGHUP, `hlsd reload`) goes when its successor listens on the same socket, so that no connection is lost. A core that
has crashed is begun again; workers serve what they have meanwhile. SIGTERM drains the workers, then the core.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from hlsd import __version__
from hlsd.base.errors import HlsdError
from hlsd.base.stop_signals import StopSignals
from hlsd.net.listening import listen, share
from hlsd.workers.orders import EVERY, Orders
from hlsd.workers.process import WorkerProcess

if TYPE_CHECKING:
    from hlsd.config import Settings

Work = Callable[[], Coroutine[object, object, None]]
READY_WITHIN: Final = 60.0
"""Seconds for a process to open what it opens."""
PAUSE: Final = 0.1
"""Seconds before a process that ended soon after its beginning is begun again; twice as long each time, up to this:"""
LONGEST: Final = 5.0
SOON: Final = 5.0
SPARE: Final = 2.0
"""Seconds beyond its time after which a process that was told to stop is ended."""


class _Port:
    """A port on which all workers listen; 0 is fixed by the first."""

    def __init__(self, key: str, bind: str, port: int) -> None:
        self._key = key
        self._bind = bind
        with listen(key, bind, port, 1) as alone:  # another server on the port would share it with us, unseen
            self.number = alone.getsockname()[1]

    def socket(self) -> socket.socket:
        """One more. Raises OSError."""
        return share(self._key, self._bind, self.number)


class _Slot:
    """One worker's place: its sockets and who has it."""

    def __init__(self, number: int, ports: Mapping[str, _Port]) -> None:
        self.number = number
        self._ports = ports
        self._sockets: dict[str, socket.socket] = {}
        self.process: WorkerProcess | None = None
        self.begun = 0.0
        self.pause = 0.0
        self.open()

    def open(self) -> None:
        """Has sockets."""
        for name, port in self._ports.items():
            if name not in self._sockets:
                self._sockets[name] = port.socket()

    def take(self, process: WorkerProcess | None, now: float = 0.0) -> None:
        """Who has it from now on."""
        self.process = process
        self.begun = now or self.begun

    def close(self) -> None:
        """Has none any more: whoever waits in them is told so."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    def fd(self, name: str) -> int:
        """Of one socket; -1 if there is no such port."""
        found = self._sockets.get(name)
        return found.fileno() if found is not None else -1


class Supervisor:
    """Of one server with `workers` workers. `config` and `overrides` are what its processes read the settings from."""

    def __init__(self, settings: Settings, workers: int, config: str, overrides: Mapping[str, object]) -> None:
        self._settings = settings
        self._workers = workers
        self._config = config
        self._overrides = {key: str(one) if isinstance(one, Path) else one for key, one in overrides.items()}
        self._log = structlog.get_logger()
        self._folder = ""
        self._slots: list[_Slot] = []
        self._core: WorkerProcess | None = None
        self._all: set[WorkerProcess] = set()
        self._stopping = False
        self._failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """How a process ended without which the server cannot begin."""
        self._started = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._replacing = asyncio.Lock()
        self._core_pause = 0.0
        self._core_begun = 0.0

    async def run(self) -> int:
        """Runs the server until it is told to stop. Returns the exit status; raises HlsdError if it cannot listen."""
        settings = self._settings
        if settings.cluster.redis is not None:
            raise HlsdError("server.workers: a node that shares its sessions by Redis has one worker for now")
        if settings.transcode.rules or settings.hls.audio_only:
            raise HlsdError("server.workers: with renditions (transcode.rules, hls.audio_only) there is one for now")
        try:
            ports = {"http": _Port("http.port", settings.http.bind, settings.http.port)}
            if settings.https.secure:
                ports["https"] = _Port("https.port", settings.https.bind, settings.https.port)
            self._slots = [_Slot(number, ports) for number in range(1, self._workers + 1)]
        except OSError as error:
            raise HlsdError(error.strerror or str(error)) from error
        self._folder = tempfile.mkdtemp(prefix="hlsd-")
        loop = asyncio.get_running_loop()
        try:
            with StopSignals() as signals:
                loop.add_signal_handler(signal.SIGHUP, self._hang_up)
                try:
                    return await self._serve(signals, {f"{name}_port": port.number for name, port in ports.items()})
                finally:
                    loop.remove_signal_handler(signal.SIGHUP)
                    for task in self._tasks:
                        task.cancel()
                    for process in tuple(self._all):
                        process.kill()
                    for process in tuple(self._all):
                        await process.gone(SPARE)
        finally:
            for slot in self._slots:
                slot.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _serve(self, signals: StopSignals, ports: dict[str, int]) -> int:
        stop: asyncio.Future[Any] = asyncio.ensure_future(signals.stop.wait())
        begun = asyncio.create_task(self._begin())
        first: set[asyncio.Future[Any]] = {stop, begun, self._failed}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            begun.cancel()
            stop.cancel()
            return self._failed.result()
        if begun.done():
            opened = begun.result()
            if opened is None:
                stop.cancel()
                return self._failed.result() if self._failed.done() else 1
            told = {f"{name}_port": port for name, port in opened.items()} | ports
            self._log.info("hlsd started", version=__version__, workers=self._workers, **told)
            self._spawn(self._watch)
            await stop
        begun.cancel()
        self._stopping = True
        self._log.info("draining", seconds=self._settings.server.drain_timeout)
        draining = asyncio.create_task(self._drain())
        now = asyncio.create_task(signals.now.wait())
        await asyncio.wait({draining, now}, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            self._log.warning("second signal: stopping now")
        draining.cancel()
        now.cancel()
        self._log.info("hlsd stopped")
        return 0

    async def _begin(self) -> dict[str, int] | None:
        """The core, then the workers; the core's ports, or None if one of them could not begin."""
        self._core = await self._start(self._orders("core"))
        self._core_begun = asyncio.get_running_loop().time()
        for slot in self._slots:
            await self._fill(slot)
        opened = await self._core.ready
        if opened is None:
            return None
        for slot in self._slots:
            assert slot.process is not None
            if await slot.process.ready is None:
                return None
        self._started = True
        return opened

    def _orders(self, role: str, slot: _Slot | None = None) -> Orders:
        return Orders(
            role,
            self._folder,
            -1,
            self._config,
            self._overrides,
            slot.number if slot is not None else 0,
            self._workers,
            slot.fd("http") if slot is not None else -1,
            slot.fd("https") if slot is not None else -1,
        )

    async def _start(self, orders: Orders) -> WorkerProcess:
        process = await WorkerProcess.begin(orders, self._ended, self._changed)
        self._all.add(process)
        return process

    async def _fill(self, slot: _Slot) -> None:
        slot.open()
        slot.take(await self._start(self._orders("worker", slot)), asyncio.get_running_loop().time())

    def _ended(self, process: WorkerProcess) -> None:
        """A process has gone."""
        self._all.discard(process)
        if self._stopping or process.leaving:
            return
        if not self._started:
            if not self._failed.done():
                self._failed.set_result(process.status if process.status in (1, 2) else 1)
            return
        if process is self._core:
            self._log.error("the core has ended; it is begun again", status=process.status)
            self._spawn(self._renew_core)
            return
        for slot in self._slots:
            if slot.process is process:
                slot.close()  # first of all: whoever connects now finds another worker
                slot.take(None)
                self._log.error("a worker has ended; it is begun again", worker=slot.number, status=process.status)
                self._spawn(lambda slot=slot: self._renew(slot))  # type: ignore[misc]  # mypy and defaults of a lambda

    async def _renew(self, slot: _Slot) -> None:
        loop = asyncio.get_running_loop()
        slot.pause = _pause(slot.pause, loop.time() - slot.begun)
        await asyncio.sleep(slot.pause)
        if not self._stopping and slot.process is None:
            await self._fill(slot)

    async def _renew_core(self) -> None:
        loop = asyncio.get_running_loop()
        self._core_pause = _pause(self._core_pause, loop.time() - self._core_begun)
        await asyncio.sleep(self._core_pause)
        if not self._stopping:
            self._core_begun = loop.time()
            self._core = await self._start(self._orders("core"))

    def _hang_up(self) -> None:
        """SIGHUP: the core reads the configuration first; where that has mistakes it says so, and nothing changes."""
        if self._core is not None and self._core.ready.done() and not self._core.over.is_set():
            self._core.hang_up()

    def _changed(self) -> None:
        """The core keeps another configuration: so are its workers to. Once more if it changes meanwhile."""
        if not self._stopping and self._started:
            self._spawn(self._replace_all)

    async def _replace_all(self) -> None:
        """Another process for each worker, one after the other, each before the one it follows has gone."""
        async with self._replacing:
            self._log.info("workers are replaced")
            for slot in self._slots:
                old = slot.process
                if old is None or self._stopping:
                    continue  # it is being begun anyhow
                new = await self._start(self._orders("worker", slot))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(READY_WITHIN):
                        await asyncio.shield(new.ready)
                if not new.ready.done() or new.ready.result() is None:
                    new.leaving = True
                    new.kill()
                    self._log.error("a worker was not replaced: its successor did not begin", worker=slot.number)
                    return
                if slot.process is not old:  # it has crashed meanwhile, and its place is taken
                    new.stop()
                    continue
                slot.take(new, asyncio.get_running_loop().time())
                old.stop()
                if not await old.gone(self._settings.server.drain_timeout + SPARE):
                    old.kill()
            self._log.info("workers were replaced")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            for process in tuple(self._all):
                process.tick()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._settings.server.drain_timeout / 2
        workers = [process for process in self._all if process is not self._core]
        until = loop.time() + seconds + SPARE
        for process in workers:
            process.stop()
        for process in workers:
            if not await process.gone(until - loop.time()):
                process.kill()
        if self._core is not None and not self._core.over.is_set():
            self._core.stop()
            await self._core.gone(seconds + SPARE)

    def _spawn(self, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pause(before: float, lasted: float) -> float:
    """Seconds to wait before a process is begun again that lasted so long."""
    return 0.0 if lasted > SOON else min(LONGEST, max(PAUSE, 2 * before))


def count(workers: int | str) -> int:
    """How many workers a setting means: "auto" is one for each processor that this process may use."""
    return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)


async def run(settings: Settings, config: str, overrides: Mapping[str, object]) -> int:
    """Runs a server as several processes. Returns the exit status; raises HlsdError if it cannot listen."""
    return await Supervisor(settings, count(settings.server.workers), config, overrides).run()
