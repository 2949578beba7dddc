"""Accepts connections and shakes hands on them, each of them counted from before its first byte.

A server made with `ssl=` tells nobody of a connection until its handshake is over: thousands of silent ones would hold
files that are kept for publishers, and nobody would know whose they are. Here a connection asks for its place first.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Protocol, cast

from hlsd.delivery.connections import Address

AT_ONCE = 64
"""Connections taken in one turn of the event loop."""
PAUSE = 1.0
"""Seconds without accepting when that fails: out of files, or of memory."""
SHUTDOWN = 2.0
"""Seconds for a client to say goodbye; one that never does is not waited for."""


class Doorkeeper(Protocol):
    """Whose connections they are."""

    def room(self, ip: str) -> Address | None:
        """A place for a connection of `ip`, or None."""
        ...

    def leave(self, address: Address) -> None:
        """The place is free again: no hands were shaken."""
        ...

    def host(self, transport: asyncio.Transport, address: Address) -> None:
        """Gives a connection that has shaken hands to who speaks with it; he frees the place."""
        ...


class TlsListener:
    """A socket of `hlsd.listening`, listened on until `close`. `handshake`: seconds that one may take."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, handshake: float, keeper: Doorkeeper) -> None:
        self._sock = sock
        self._context = context
        self._handshake = handshake
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self.shaking: set[asyncio.Task[None]] = set()
        """Connections whose handshake is under way."""
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accepts no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def cut(self) -> None:
        """Ends the handshakes under way."""
        await asyncio.sleep(0)  # every one has begun, and cleans up after itself
        left = list(self.shaking)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                bare, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._sock)
                self._again = self._loop.call_later(PAUSE, self._loop.add_reader, self._sock, self._accept)
                return
            address = self._keeper.room(str(peer[0]))
            if address is None:
                bare.close()
                continue
            bare.setblocking(False)
            task = self._loop.create_task(self._shake(bare, address), name="tls handshake")
            self.shaking.add(task)
            task.add_done_callback(self.shaking.discard)

    async def _shake(self, bare: socket.socket, address: Address) -> None:
        guest = _Guest(self._keeper, address)
        try:
            await self._loop.connect_accepted_socket(
                lambda: guest,
                bare,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake,
                ssl_shutdown_timeout=SHUTDOWN,
            )
        except OSError:  # not TLS, no version in common, silence, or gone; `ssl.SSLError` is one too
            pass
        finally:
            if not guest.hosted:
                self._keeper.leave(address)


class _Guest(asyncio.Protocol):
    """Stands in until the handshake has told the protocol."""

    def __init__(self, keeper: Doorkeeper, address: Address) -> None:
        self._keeper = keeper
        self._address = address
        self.hosted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.hosted = True
        self._keeper.host(cast("asyncio.Transport", transport), self._address)  # uvloop's is one in all but its bases
