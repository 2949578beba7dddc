"""Accepts connections, of TLS or bare, each of them counted from before its first byte.

A server made with `ssl=` tells nobody of a connection until its handshake is over: thousands of silent ones would hold
files that are kept for others, and nobody would know whose they are. Here a connection asks for its place first. The
kernel gives each file the lowest free number, so the number of a new one says how many are left of those that the
process may open, whoever has the others. Those of TLS then wait until it is their turn (`hlsd.net.handshakes`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Container
from time import thread_time
from typing import Generic, Protocol, TypeVar

from hlsd.base.household import household
from hlsd.net.deadlines import Deadlines
from hlsd.net.handshakes import Handshakes
from hlsd.net.listening import STREAMS
from hlsd.net.newcomer import Newcomer, Watched
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
    """A socket of `hlsd.net.listening`, listened on until `close`.

    `context`: of TLS, or None; another one may take its place. `handshake`: seconds that a handshake may take, waiting
    included. `handshakes` bounds them, with those of other ports; `proxies`: addresses that stand for many. `awaits`:
    whether a client of TLS speaks first, and is hosted when it does; it has as long again for that.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whose it is, and what TLS needs
        self,
        sock: socket.socket,
        keeper: Doorkeeper[PlaceT],
        context: ssl.SSLContext | None,
        handshake: float,
        handshakes: Handshakes | None = None,
        proxies: Container[str] = (),
        awaits: Callable[[ssl.SSLObject], bool] | None = None,
    ) -> None:
        self._sock = sock
        self.handshakes = handshakes or Handshakes()
        self._proxies = proxies
        self.tls = Tls()
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._kind = STREAMS[sock.family]
        self.context: ssl.SSLContext | None = None
        if context is not None:
            self.listen_with(context)
        self.shaking = 0
        """Connections that have a place, and no hands were shaken."""
        self.silent = 0
        """Those whose client said nothing in time after that."""
        self._nobody: asyncio.Future[None] | None = None
        """Done when there is nobody left who is not hosted."""
        self.watched = Watched(self._loop, self.handshakes.took)
        self._held: Deadlines[Newcomer[PlaceT]] = Deadlines(self._loop, handshake, self._late)
        self._awaited: Deadlines[Newcomer[PlaceT]] = Deadlines(self._loop, handshake, self._mute)
        self._awaits = awaits
        self._loop.add_reader(sock, self._accept if context is None else self._accept_measured)

    def listen_with(self, context: ssl.SSLContext) -> None:
        """The context of the connections to come."""
        context.sslobject_class = self.handshakes.counted
        self.context = context

    def close(self) -> None:
        """Accepts no more. Safe to call twice."""
        if self._again is not None:
            self._again.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    @property
    def awaited(self) -> int:
        """Connections that have shaken hands, and whose client has still to speak."""
        return len(self._awaited)

    def dismiss(self) -> None:
        """Says goodbye to those."""
        for one in self._awaited:
            one.dismiss()

    async def cut(self) -> None:
        """Ends the handshakes under way, and all other connections that are not hosted yet."""
        for one in self._held:
            self.handshakes.leave(one)
            one.end()
        self.dismiss()
        if self.shaking or self.awaited:
            self._nobody = self._nobody or self._loop.create_future()
            await self._nobody
        self._held.close()
        self._awaited.close()
        self.watched.close()

    def _accept_measured(self) -> None:
        """A flood of connections is not to take more than its part either: the others wait in the kernel."""
        began = thread_time()
        try:
            self._accept()
        finally:
            pause = self.handshakes.accepted(thread_time() - began)
            if pause and self._again is None and self._sock.fileno() >= 0:
                self._rest(pause)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._again = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._again = None
        self._loop.add_reader(self._sock, self._accept if self.context is None else self._accept_measured)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                bare, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._keeper.shut_out()
                self._rest(PAUSE)
                return
            ip = peer[0]
            place = self._keeper.place(ip, bare)
            if place is None:
                bare.close()
                continue
            bare.setblocking(False)
            bare.__class__ = self._kind
            trusted = ip in self._proxies
            one = Newcomer(self, ip if trusted else household(ip), bare, place)
            self.shaking += 1
            if self.context is None:
                one.begin()
                continue
            self._held.add(one)
            if not self.handshakes.enter(one, bounded=not trusted):
                one.end()

    def _late(self, one: Newcomer[PlaceT]) -> None:
        """No hands were shaken in time."""
        self.handshakes.leave(one, failed=True)
        one.end()

    def _mute(self, one: Newcomer[PlaceT]) -> None:
        """It has said nothing since, in time."""
        self.silent += 1
        one.dismiss()

    # -- a newcomer's (`hlsd.net.newcomer.House`)

    def shaken(self, one: Newcomer[PlaceT]) -> bool:
        """Hands are shaken; whether its client is to speak before it is hosted."""
        self.handshakes.leave(one)
        self._held.drop(one)
        if self._awaits is None or not self._awaits(one.tls):
            return False
        one.shaken_at = self._awaited.add(one)
        self.shaking -= 1
        return True

    def host(self, one: Newcomer[PlaceT], transport: asyncio.Transport) -> None:
        """It is the keeper's from now on."""
        self._forget(one)
        try:
            self._keeper.host(transport, one.place)
        except Exception as error:  # noqa: BLE001 - told as asyncio would, but its place must be free again
            self._loop.call_exception_handler({"message": "a connection could not be hosted", "exception": error})
            transport.abort()  # whoever is its protocol by now hears of it
        else:
            one.done = True

    def gone(self, one: Newcomer[PlaceT]) -> None:
        """Nothing came of it."""
        if not one.done:
            one.done = True
            self._forget(one, failed=True)
            self._keeper.leave(one.place)

    def _forget(self, one: Newcomer[PlaceT], *, failed: bool = False) -> None:
        if one.forgotten:  # it could not be hosted
            return
        one.forgotten = True
        if one.shaken_at:
            self._awaited.drop(one)
        else:
            self.handshakes.leave(one, failed=failed)
            self._held.drop(one)
            self.shaking -= 1
        if self._nobody is not None and not self.shaking and not self.awaited:
            self._nobody.set_result(None)
            self._nobody = None
