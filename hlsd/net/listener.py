"""Accepts connections, of TLS or bare, each of them counted from before its first byte.

A server made with `ssl=` tells nobody of a connection until its handshake is over: thousands of silent ones would hold
files that are kept for others, and nobody would know whose they are. Here a connection asks for its place first. The
kernel gives each file the lowest free number, so the number of a new one says how many are left of those that the
process may open, whoever has the others.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import Generic, Protocol, TypeVar, cast

from hlsd.net.tls_transport import Tls

AT_ONCE = 16
"""Connections taken in one turn of the event loop: less than the files that are kept free, since one that is closed to
make room has its file until the next turn."""
PAUSE = 1.0
"""Seconds without accepting when that fails: out of files, or of memory."""

PlaceT = TypeVar("PlaceT")


class Doorkeeper(Protocol[PlaceT]):
    """Whose connections they are."""

    def place(self, ip: str, sock: socket.socket) -> PlaceT | None:
        """A place for the connection of `ip` that `sock` is, or None: then it is closed."""
        ...

    def leave(self, place: PlaceT) -> None:
        """The place is free again: no hands were shaken."""
        ...

    def host(self, transport: asyncio.Transport, place: PlaceT) -> None:
        """Gives a connection that has shaken hands to who speaks with it; he frees the place."""
        ...

    def shut_out(self) -> None:
        """There is no file left to accept anybody with."""
        ...


class Listener(Generic[PlaceT]):
    """A socket of `hlsd.net.listening`, listened on until `close`. `handshake`: seconds that one of TLS may take."""

    def __init__(
        self, sock: socket.socket, keeper: Doorkeeper[PlaceT], context: ssl.SSLContext | None, handshake: float
    ) -> None:
        self._sock = sock
        self._context = context
        self._handshake = handshake
        self._tls = Tls()
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self.shaking: set[asyncio.Task[None]] = set()
        """Connections whose handshake is under way."""
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accepts no more. Safe to call twice."""
        if self._again is not None:
            self._again.cancel()
        if self._sock.fileno() >= 0:
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
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._keeper.shut_out()
                self._loop.remove_reader(self._sock)
                self._again = self._loop.call_later(PAUSE, self._loop.add_reader, self._sock, self._accept)
                return
            place = self._keeper.place(str(peer[0]), bare)
            if place is None:
                bare.close()
                continue
            bare.setblocking(False)
            task = self._loop.create_task(self._shake(bare, place), name="handshake")
            self.shaking.add(task)
            task.add_done_callback(self.shaking.discard)

    async def _shake(self, bare: socket.socket, place: PlaceT) -> None:
        guest = _Guest(self._keeper, place)
        try:
            if self._context is not None:
                await self._tls.shake(bare, guest, self._context, self._handshake)
            else:
                await self._loop.connect_accepted_socket(lambda: guest, bare)
        except OSError:  # not TLS, no version in common, silence, or gone; `ssl.SSLError` is one too
            pass
        finally:
            if not guest.hosted:
                self._keeper.leave(place)


class _Guest(asyncio.Protocol, Generic[PlaceT]):
    """Stands in until the handshake has told the protocol."""

    def __init__(self, keeper: Doorkeeper[PlaceT], place: PlaceT) -> None:
        self._keeper = keeper
        self._place = place
        self.hosted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.hosted = True
        self._keeper.host(cast("asyncio.Transport", transport), self._place)  # uvloop's is one in all but its bases
