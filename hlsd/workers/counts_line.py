"""Carries what workers have counted to the core, each second, over a Unix socket that only this user may open.

The core adds what is new, so nothing is lost when a worker ends but its last second; how many connections and held
requests there are at this instant is known for as long as the worker says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.figures import Figure, Reporter, Spec
from hlsd.base.messages import MessageReader
from hlsd.base.upkeep import end, keep
from hlsd.ports import Service
from hlsd.workers import counts

if TYPE_CHECKING:
    from hlsd.delivery.web import WebApp

EVERY: Final = 1.0
MAX_SAID: Final = 4 << 20
"""Bytes of one message."""
MAX_TOKENS: Final = 256
"""Processes whose last totals are remembered."""
_HEAD: Final = struct.Struct(">I")

CONNECTIONS = Spec("hlsd_worker_connections", "gauge", "Connections open, by worker.", ("worker",))
HELD = Spec("hlsd_worker_held_requests", "gauge", "Requests held now, by worker.", ("worker",))
MEMORY = Spec("hlsd_worker_resident_bytes", "gauge", "Resident memory, by worker.", ("worker",))
PROCESSOR = Spec("hlsd_worker_cpu_seconds", "gauge", "Processor time that the worker that runs has used.", ("worker",))


class CountsService(Service, Reporter):
    """The service `counts` of the core."""

    SPECS = (CONNECTIONS, HELD, MEMORY, PROCESSOR)

    def __init__(self, path: str, web: WebApp, faults: Faults) -> None:
        self._path = Path(path)
        self._web = web
        self._faults = faults
        self._server: asyncio.AbstractServer | None = None
        self._last: dict[str, counts.Totals] = {}
        self.now: dict[_Heard, tuple[str, dict[str, float]]] = {}
        """What each worker that is connected has at this instant."""

    async def start(self) -> None:
        """Listens. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Heard(self), str(self._path))
        finally:
            os.umask(before)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002
        """Hears no more."""
        if self._server is not None:
            self._server.close()
        for one in tuple(self.now):
            one.cut()

    def figures(self) -> tuple[Reporter, ...]:
        """It reports them itself."""
        return (self,)

    def node(self, now: float) -> Iterator[Figure]:  # noqa: ARG002
        """By worker."""
        for worker, said in sorted(self.now.values(), key=lambda one: one[0]):
            for spec, name in ((CONNECTIONS, "open"), (HELD, "held"), (MEMORY, "resident"), (PROCESSOR, "cpu")):
                if name in said:
                    yield spec, (worker,), said[name]

    def left(self, one: _Heard) -> None:
        """A worker says no more."""
        self.now.pop(one, None)
        self._sum()

    def _sum(self) -> None:
        self._web.connections.elsewhere = int(sum(now.get("open", 0) for _, now in self.now.values()))

    def heard(self, one: _Heard, body: bytes) -> None:
        """A worker says what it has. Raises ProtocolError."""
        worker, token, now, whole = _read(body)
        self.now[one] = worker, now
        self._sum()
        new = counts.added(whole, self._last.pop(token, {}))
        while len(self._last) >= MAX_TOKENS:
            del self._last[next(iter(self._last))]
        self._last[token] = whole
        with self._faults.guard("worker_counts"):
            counts.add(new, self._web.stats, self._web.blocked, self._web.connections)


class _Heard(asyncio.Protocol):
    """One worker's connection."""

    def __init__(self, service: CountsService) -> None:
        self._service = service
        self._reader = MessageReader(_HEAD, MAX_SAID)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for (body,) in self._reader.feed(data):
                self._service.heard(self, body)
        except ProtocolError:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._service.left(self)

    def cut(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.abort()


class CountsLine:
    """A worker's side: `now()` is what there is at this instant, `whole()` all that was counted."""

    def __init__(
        self, path: str, worker: int, now: Callable[[], dict[str, float]], whole: Callable[[], counts.Totals]
    ) -> None:
        self._path = path
        self._worker = str(worker)
        self._token = f"{os.getpid()}.{os.urandom(6).hex()}"
        self._now = now
        self._whole = whole
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    def start(self, faults: Faults) -> None:
        """Begins to tell."""
        self._task = keep(self._run, "worker_counts", faults)

    async def stop(self) -> None:
        """Tells a last time."""
        await end(self._task)
        writer = self._writer
        if writer is not None:
            self._say(writer)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.drain()
            writer.close()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(self._path)
                self._writer = writer
                while not writer.is_closing():
                    self._say(writer)
                    await writer.drain()
                    await asyncio.sleep(EVERY)
            self._writer = None
            await asyncio.sleep(EVERY)

    def _say(self, writer: asyncio.StreamWriter) -> None:
        said = json.dumps([self._worker, self._token, self._now(), self._whole()], separators=(",", ":")).encode()
        if len(said) <= MAX_SAID:
            writer.write(_HEAD.pack(len(said)) + said)


def _read(body: bytes) -> tuple[str, str, dict[str, float], dict[str, float]]:
    try:
        worker, token, now, whole = json.loads(body)
    except (ValueError, TypeError) as error:
        raise ProtocolError("counts that are none") from error
    if not (isinstance(worker, str) and isinstance(token, str) and len(worker) < 8 and len(token) < 64):
        raise ProtocolError("counts of nobody")
    return worker, token, _numbers(now), _numbers(whole)


def _numbers(said: Any) -> dict[str, float]:  # noqa: ANN401 - what json gives
    if not isinstance(said, dict) or len(said) > counts.MOST:
        raise ProtocolError("counts that are none")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in said.values()):
        raise ProtocolError("counts that are no numbers")
    return said
