"""Asks the store of sessions of another process of this machine, by its Unix socket (`hlsd.cluster.store_server`).

Law: a question is answered within a second, or raises StoreAway; what is only told waits for the connection, in order,
`MAX_TOLD` at most. The connection is made again as long as the client runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import structlog

from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.messages import MessageReader
from hlsd.base.upkeep import end, keep
from hlsd.cluster import wire
from hlsd.ports import Denial
from hlsd.sessions.directory import Lease, PlaceClaim, Revocation
from hlsd.sessions.store import RENEW_NEAR, LifeEvent, LifeReport, ReportAnswer, StoreAway

PATIENCE: Final = 1.0
"""Seconds for an answer."""
AGAIN: Final = 0.1
"""Seconds from one try to connect to the next."""
MAX_TOLD: Final = 10_000


class StoreClient:
    """`hlsd.sessions.store.SessionStore` of the process that listens at `path`."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._watchers: list[Callable[[Revocation], None]] = []
        self._questions: dict[int, asyncio.Future[object]] = {}
        self._number = 0
        self._told: deque[bytes] = deque(maxlen=MAX_TOLD)
        """What was only told, and is not on its way yet."""
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    @property
    def period(self) -> float:
        """Seconds."""
        return RENEW_NEAR

    @property
    def connected(self) -> bool:
        """Whether it can ask."""
        return self._transport is not None

    async def start(self) -> None:
        """Connects, as soon as that can be. A second time changes nothing."""
        if self._connecting is not None:
            return
        await self._connect()
        self._connecting = keep(self._stay, "session_store_client", self._faults)

    async def stop(self) -> None:
        """Hangs up."""
        connecting, self._connecting = self._connecting, None
        await end(connecting)
        if self._transport is not None:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._lost.wait()

    async def claim(self, claim: PlaceClaim) -> Lease | Denial:
        """What the store says."""
        return wire.lease_in(await self._ask(wire.CLAIM, wire.claim_out(claim)))

    def amend(self, claim: PlaceClaim) -> None:
        """Told to the store."""
        self._tell(wire.AMEND, wire.claim_out(claim))

    def release(self, place: str) -> None:
        """Told to the store."""
        self._tell(wire.RELEASE, place)

    async def report(self, reports: Sequence[LifeReport]) -> Sequence[ReportAnswer]:
        """What the store says."""
        return wire.answers_in(await self._ask(wire.REPORT, reports), len(reports))

    def revoke(self, revocation: Revocation) -> None:
        """Told here, and to the store, who tells all."""
        self._tell(wire.REVOKE, wire.revocation_out(revocation))
        self._revoked(revocation)

    def watch(self, revoked: Callable[[Revocation], None]) -> Callable[[], None]:
        """Calls it at each; what holds already comes with the connection."""
        self._watchers.append(revoked)

        def stop() -> None:
            if revoked in self._watchers:
                self._watchers.remove(revoked)

        return stop

    async def events(self, most: int) -> Sequence[LifeEvent]:  # noqa: ARG002
        """None: they are settled where the store is."""
        await asyncio.sleep(PATIENCE)
        return ()

    async def settle(self, events: Sequence[LifeEvent]) -> None:
        """There are none."""

    def sweep(self) -> None:
        """Nothing runs out here."""

    async def _ask(self, kind: int, body: object) -> object:
        transport = self._transport
        if transport is None:
            raise StoreAway("not connected")
        self._number = number = self._number % 0xFFFF_FFFF + 1
        self._questions[number] = answer = asyncio.get_running_loop().create_future()
        transport.write(wire.message(kind, number, body))
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise StoreAway("no answer") from None
        finally:
            self._questions.pop(number, None)

    def _tell(self, kind: int, body: object) -> None:
        said = wire.message(kind, 0, body)
        if self._transport is None:
            self._told.append(said)
        else:
            self._transport.write(said)

    async def _stay(self) -> None:
        while True:
            if self._transport is not None:
                await self._lost.wait()
            else:
                await asyncio.sleep(AGAIN)
                await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            await loop.create_unix_connection(lambda: _StoreConnection(self), str(self._path))

    def made(self, transport: asyncio.Transport) -> None:
        """It is connected."""
        self._transport = transport
        self._lost.clear()
        while self._told:
            transport.write(self._told.popleft())

    def hung_up(self) -> None:
        """It is connected no more."""
        self._transport = None
        self._lost.set()
        for answer in self._questions.values():
            if not answer.done():
                answer.set_exception(StoreAway("hung up"))

    def heard(self, kind: int, number: int, body: bytes) -> None:
        """The store says something. Raises ProtocolError."""
        said = wire.read(body)
        if kind == wire.REVOKED:
            self._revoked(wire.revocation_in(said))
            return
        answer = self._questions.get(number)
        if kind == wire.SAID and answer is not None and not answer.done():
            answer.set_result(said)

    def _revoked(self, revocation: Revocation) -> None:
        guard = self._faults.guard("session_revoked")
        for revoked in tuple(self._watchers):
            with guard:
                revoked(revocation)


class _StoreConnection(asyncio.Protocol):
    """The connection."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._reader = MessageReader(wire.HEAD, wire.MAX_MESSAGE)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._client.made(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, number, body in self._reader.feed(data):
                self._client.heard(kind, number, body)
        except ProtocolError:
            assert self._transport is not None
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._client.hung_up()
