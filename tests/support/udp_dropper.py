"""Stands between UDP clients and a server on loopback, and loses datagrams both ways by a seeded draw."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any


class UdpDropper:
    """`port` is where clients come; `seen(datagram, inward)` gets all that is let through."""

    def __init__(
        self, server: int, loss: float, seed: int, seen: Callable[[bytes, bool], None] = lambda _datagram, _in: None
    ) -> None:
        self.port = 0
        self.dropped = 0
        self.passed = 0
        self._server = server
        self._loss = loss
        self._random = random.Random(seed)
        self._seen = seen
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Any, asyncio.DatagramTransport] = {}
        self._opening: dict[Any, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _End(self._inward), local_addr=("127.0.0.1", 0))
        self.port = self._front.get_extra_info("sockname")[1]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for transport in (self._front, *self._backs.values()):
            if transport is not None:
                transport.close()

    def _lost(self) -> bool:
        lost = self._random.random() < self._loss
        self.dropped += lost
        self.passed += not lost
        return lost

    def _inward(self, datagram: bytes, client: Any) -> None:
        if self._lost():
            return
        self._seen(datagram, True)
        back = self._backs.get(client)
        if back is not None:
            back.sendto(datagram)
        elif client in self._opening:
            self._opening[client].append(datagram)
        else:
            self._opening[client] = [datagram]
            task = asyncio.ensure_future(self._connect(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: Any) -> None:
        def outward(datagram: bytes, _: Any) -> None:
            if not self._lost() and self._front is not None:
                self._seen(datagram, False)
                self._front.sendto(datagram, client)

        back, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _End(outward), remote_addr=("127.0.0.1", self._server)
        )
        self._backs[client] = back
        for datagram in self._opening.pop(client):
            back.sendto(datagram)


class _End(asyncio.DatagramProtocol):
    def __init__(self, took: Callable[[bytes, Any], None]) -> None:
        self._took = took

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._took(data, addr)


@contextlib.asynccontextmanager
async def udp_dropper(
    server: int, loss: float, seed: int = 1, seen: Callable[[bytes, bool], None] = lambda _datagram, _in: None
) -> AsyncIterator[UdpDropper]:
    """One at work."""
    dropper = UdpDropper(server, loss, seed, seen)
    await dropper.open()
    try:
        yield dropper
    finally:
        dropper.close()
