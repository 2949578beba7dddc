"""Accepts connections, of TLS or bare, each of them counted from before its first byte.

A server made with `ssl=` tells nobody of a connection until its handshake is over: thousands of silent ones would hold
files that are kept for others, and nobody would know whose they are. Here a connection asks for its place first. The
kernel gives each file the lowest free number, so the number of a new one says how many are left of those that the
process may open, whoever has the others. Those of TLS then wait until it is their turn (`hlsd.net.handshakes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Container
from time import monotonic, thread_time
from typing import Generic, Protocol, TypeVar, cast

from hlsd.base.household import household
from hlsd.net.handshakes import Handshake, Handshakes
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
    included. `handshakes` bounds them, with those of other ports; `proxies`: addresses that stand for many.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - whose it is, and what TLS needs
        self,
        sock: socket.socket,
        keeper: Doorkeeper[PlaceT],
        context: ssl.SSLContext | None,
        handshake: float,
        handshakes: Handshakes | None = None,
        proxies: Container[str] = (),
    ) -> None:
        self._sock = sock
        self._handshake = handshake
        self._handshakes = handshakes or Handshakes()
        self._proxies = proxies
        self._tls = Tls()
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._context: ssl.SSLContext | None = None
        if context is not None:
            self.listen_with(context)
        self.shaking: set[asyncio.Task[None]] = set()
        """Connections whose handshake is under way."""
        self._held: set[Handshake] = set()
        """Those, and those that wait for theirs."""
        self._loop.add_reader(sock, self._accept if context is None else self._accept_measured)

    def listen_with(self, context: ssl.SSLContext) -> None:
        """The context of the connections to come."""
        context.sslobject_class = self._handshakes.measured
        self._context = context

    def close(self) -> None:
        """Accepts no more. Safe to call twice."""
        if self._again is not None:
            self._again.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    async def cut(self) -> None:
        """Ends the handshakes under way, and the connections that wait for theirs."""
        await asyncio.sleep(0)  # every one has begun, and cleans up after itself
        for one in list(self._held):
            self._handshakes.leave(one)
            one.end()
        left = list(self.shaking)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept_measured(self) -> None:
        """A flood of connections is not to take more than its part either: the others wait in the kernel."""
        began = thread_time()
        try:
            self._accept()
        finally:
            doors = self._handshakes.doors
            doors.take(thread_time() - began)
            if not doors.left(monotonic()) and self._again is None and self._sock.fileno() >= 0:
                self._rest(doors.pause())

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._again = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._again = None
        self._loop.add_reader(self._sock, self._accept if self._context is None else self._accept_measured)

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
            ip = str(peer[0])
            place = self._keeper.place(ip, bare)
            if place is None:
                bare.close()
                continue
            bare.setblocking(False)
            if self._context is None:
                self._begin(bare, place)
            else:
                self._queue(ip, bare, place)

    def _queue(self, ip: str, bare: socket.socket, place: PlaceT) -> None:
        """Its hands are shaken when it is its turn."""
        tasks: list[asyncio.Task[None]] = []

        def begin(seconds: float) -> None:
            tasks.append(self._begin(bare, place, seconds, one))

        def end() -> None:
            self._held.discard(one)
            if tasks:
                tasks[0].cancel()
            else:
                bare.close()
                self._keeper.leave(place)

        trusted = ip in self._proxies
        one = Handshake(ip if trusted else household(ip), bare, begin, end, monotonic() + self._handshake)
        self._held.add(one)
        if not self._handshakes.enter(one, bounded=not trusted):
            end()

    def _begin(
        self, bare: socket.socket, place: PlaceT, seconds: float | None = None, one: Handshake | None = None
    ) -> asyncio.Task[None]:
        guest = _Guest(self._keeper, place)

        def over(task: asyncio.Task[None]) -> None:
            self.shaking.discard(task)
            if not guest.begun:  # cancelled before it could
                bare.close()
            if one is not None:
                self._held.discard(one)
                self._handshakes.leave(one, failed=not guest.hosted)
            if not guest.hosted:
                self._keeper.leave(place)

        task = self._loop.create_task(self._shake(bare, guest, seconds, tls=one is not None), name="handshake")
        self.shaking.add(task)
        task.add_done_callback(over)
        return task

    async def _shake(self, bare: socket.socket, guest: _Guest[PlaceT], seconds: float | None, *, tls: bool) -> None:
        guest.begun = True
        # not TLS, no version in common, silence, or gone: `ssl.SSLError` is one too
        with contextlib.suppress(OSError):
            if tls and self._context is not None:
                await self._tls.shake(bare, guest, self._context, self._handshake if seconds is None else seconds)
            else:
                await self._loop.connect_accepted_socket(lambda: guest, bare)


class _Guest(asyncio.Protocol, Generic[PlaceT]):
    """Stands in until the handshake has told the protocol."""

    def __init__(self, keeper: Doorkeeper[PlaceT], place: PlaceT) -> None:
        self._keeper = keeper
        self._place = place
        self.begun = False
        self.hosted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.hosted = True
        self._keeper.host(cast("asyncio.Transport", transport), self._place)  # uvloop's is one in all but its bases
