"""Lets the other processes of this machine ask a store of sessions, by a Unix socket that only this user may open.

Law: what one process says is worked through in its order; what it says wrong ends its connection and nothing else. A
process that does not read what it is told is cut off: it connects again and is told what holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from hlsd.base.errors import HlsdError, ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.messages import MessageReader
from hlsd.cluster import wire
from hlsd.sessions.directory import Revocation
from hlsd.sessions.store import SessionStore

MAX_WAITING: Final = 200
"""Messages of a process that wait to be worked through; then it is not read from."""
MAX_UNREAD: Final = 32 << 20
"""Bytes that a process may leave unread."""
MAX_PROCESSES: Final = 256
FAREWELL: Final = 1.0
"""Seconds in which a process may read what it was told before the end."""


class StoreServer:
    """`store` for whoever connects to the socket at `path`; the store is started and stopped by its owner."""

    def __init__(self, store: SessionStore, path: Path, faults: Faults) -> None:
        self._store = store
        self._path = path
        self._faults = faults
        self._server: asyncio.AbstractServer | None = None
        self.peers: set[_Peer] = set()

    async def start(self) -> None:
        """Listens. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                lambda: _Peer(self._store, self.peers, self._faults, lambda: self._server is not None),
                str(self._path),
            )
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Listens no more, and hangs up."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for peer in list(self.peers):
            await peer.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class _Peer(asyncio.Protocol):
    """One process that asks."""

    def __init__(self, store: SessionStore, peers: set[_Peer], faults: Faults, listens: Callable[[], bool]) -> None:
        self._store = store
        self._listens = listens
        self._peers = peers
        self._faults = faults
        self._reader = MessageReader(wire.HEAD, wire.MAX_MESSAGE)
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._work: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._peers) >= MAX_PROCESSES or not self._listens():  # it was accepted while the server closed
            self._transport.abort()
            return
        self._peers.add(self)
        self._unwatch = self._store.watch(self._tell)
        self._work = asyncio.get_running_loop().create_task(self._answer(), name="store peer")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._transport = None
        self._gone.set()
        self._unwatch()
        self._peers.discard(self)
        if self._work is not None:
            self._work.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._reader.feed(data))
        except ProtocolError as error:
            self._cut(error)
            return
        self._news.set()
        if len(self._waiting) >= MAX_WAITING and self._transport is not None:
            self._transport.pause_reading()

    async def close(self) -> None:
        """Hangs up, when what was said has gone out, or after a moment."""
        if self._transport is not None:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._gone.wait()
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work

    async def _answer(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                kind, number, body = self._waiting.popleft()
                try:
                    await self._one(kind, number, wire.read(body))
                except HlsdError as error:
                    self._cut(error)
                    return
                except Exception as error:  # noqa: BLE001 - our fault; the process asks again
                    self._faults.task("session_store", error)
                    self._cut(error)
                    return
            if self._transport is not None:
                self._transport.resume_reading()

    async def _one(self, kind: int, number: int, said: object) -> None:
        store = self._store
        match kind:
            case wire.REPORT:
                answers = await store.report(wire.reports_in(said))
                self._say(wire.SAID, number, answers)
            case wire.CLAIM:
                self._say(wire.SAID, number, wire.lease_out(await store.claim(wire.claim_in(said))))
            case wire.AMEND:
                store.amend(wire.claim_in(said))
            case wire.RELEASE:
                store.release(str(said))
            case wire.REVOKE:
                store.revoke(wire.revocation_in(said))
            case wire.PING:
                self._say(wire.SAID, number, None)
            case _:
                raise ProtocolError(f"a message of kind {kind}")

    def _tell(self, revocation: Revocation) -> None:
        self._say(wire.REVOKED, 0, wire.revocation_out(revocation))

    def _say(self, kind: int, number: int, body: object) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() > MAX_UNREAD:
            transport.abort()
            return
        transport.write(wire.message(kind, number, body))

    def _cut(self, error: Exception) -> None:
        if self._transport is not None:
            self._transport.abort()
        if not isinstance(error, HlsdError):
            return
        self._faults.task("session_store", error)
