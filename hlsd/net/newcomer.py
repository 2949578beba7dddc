"""Is a connection that has been accepted and has no protocol yet: the handshake of TLS, on the bare socket.

An event loop's transport, and a protocol that speaks with the client, cost as much as the handshake itself. So there
are none until hands are shaken, and where the client speaks first, until it has: most of what a flood sends never gets
so far. The sockets of a listener are watched by one epoll of their own, which the loop sees as one file.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from time import thread_time
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from hlsd.net.begun import Begun
from hlsd.net.handshakes import Handshake, Handshakes, Stage
from hlsd.net.tls_transport import RECORD, Tls, TlsTransport

PlaceT = TypeVar("PlaceT")
_close: Final = socket.SocketType.close
"""Of the class below Python's own, which makes two calls of it."""
AT_ONCE: Final = 64
"""Sockets that are looked at in one turn of the event loop; the others are there in the next one."""


class House(Protocol[PlaceT]):
    """What a newcomer knows of its listener."""

    tls: Tls
    context: ssl.SSLContext | None
    watched: Watched
    handshakes: Handshakes

    def shaken(self, one: Newcomer[PlaceT]) -> bool:
        """Hands are shaken; whether its client is to speak before it is hosted."""
        ...

    def host(self, one: Newcomer[PlaceT], transport: asyncio.Transport) -> None:
        """It has a transport."""
        ...

    def gone(self, one: Newcomer[PlaceT]) -> None:
        """It is over, and was not hosted."""
        ...


class Watched:
    """Sockets that are read from when there is something; `took` is told the processor time of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, took: Callable[[float], None]) -> None:
        self._took = took
        self._loop = loop
        self._epoll = select.epoll()
        self._at: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll, self._look)

    def watch(self, fd: int, heard: Callable[[], None]) -> None:
        """Calls `heard` when there is something to read from `fd`, again and again."""
        self._epoll.register(fd, select.EPOLLIN)
        self._at[fd] = heard

    def leave(self, fd: int) -> None:
        """No more."""
        if self._at.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Watches nothing any more. Safe to call twice."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()

    def _look(self) -> None:
        began = thread_time()
        for fd, _ in self._epoll.poll(0, AT_ONCE):
            heard = self._at.get(fd)
            if heard is not None:  # or one before has ended it
                try:
                    heard()
                except Exception as error:  # noqa: BLE001 - others are behind it
                    self._loop.call_exception_handler({"message": "a newcomer could not be read", "exception": error})
        self._took(thread_time() - began)


class Newcomer(Handshake, asyncio.Protocol, Generic[PlaceT]):
    """One of them; and the protocol of its transport, until that has another one."""

    __slots__ = (
        "_fd", "_house", "_incoming", "_sealed", "_transport", "_up", "done", "forgotten", "place", "shaken_at",
        "tls",
    )  # fmt: skip

    def __init__(self, house: House[PlaceT], group: str, sock: socket.socket, place: PlaceT) -> None:
        self.group = group
        self.sock = sock
        self.stage = Stage.OVER
        self.seen = False
        self._house = house
        self._fd = -1
        """Its number, while it is watched."""
        self._transport: TlsTransport | None = None
        self._up = False
        self._sealed = 0
        self.tls: ssl.SSLObject
        """From its turn on."""
        self.shaken_at = 0.0
        self.place = place
        self.forgotten = False
        """Its listener does not keep it any more."""
        self.done = False
        """It has a protocol that frees its place; or the place is free."""

    # -- as its turn comes

    def watch(self) -> None:
        """It is listened to from now on."""
        self._fd = self.sock.fileno()
        self._house.watched.watch(self._fd, self._ready)

    def unwatch(self) -> None:
        """It is not; what comes stays in the kernel."""
        if self._fd >= 0:
            self._house.watched.leave(self._fd)
            self._fd = -1

    def begin(self) -> None:
        """It is its turn; without TLS that is all."""
        house = self._house
        if house.context is None:
            self._open(None)
            return
        self._incoming = ssl.MemoryBIO()
        self.tls = house.context.wrap_bio(self._incoming, house.tls.outgoing, server_side=True)
        self._fd = self.sock.fileno()
        house.watched.watch(self._fd, self._ready)
        if self.seen:
            self._ready()

    def end(self) -> None:
        """Its time is over, or its place another's."""
        if self._transport is not None:
            self._transport.abort()  # `connection_lost` follows
        else:
            self._close()

    def dismiss(self) -> None:
        """Says goodbye to one that has shaken hands; it has said nothing that would be lost."""
        if self._transport is None and self._up:
            try:  # noqa: SIM105 - a context manager costs three calls
                self.tls.unwrap()
            except ssl.SSLError:  # the client's is not waited for
                pass
            if self._pass_on():
                self._close()
                return
        self.end()

    # -- the bare socket

    def _ready(self) -> None:
        if self.stage is Stage.SILENT:
            self._house.handshakes.heard(self)
            return
        try:
            data = self.sock.recv(RECORD)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._incoming.write(data)
        if self._up:
            self._read()
        else:
            self._shake()

    def _shake(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
        except ssl.SSLError:
            self._part()
        else:
            self._up = True
            if self._pass_on():
                if not self._house.shaken(self):
                    self._open(b"")
                elif self._incoming.pending:
                    self._read()

    def _read(self) -> None:
        """What the client says first: a request, or goodbye."""
        try:
            octets = self.tls.read(RECORD)
        except ssl.SSLWantReadError:
            self._pass_on()
        except ssl.SSLError:
            self._part()
        else:
            if octets:
                self._pass_on(octets)
            else:
                self.dismiss()

    def _part(self) -> None:
        """This is no TLS; an alert says why."""
        if self._pass_on():
            self._close()
        else:
            self.end()  # the socket is its transport's by now

    def _pass_on(self, first: bytes | None = None) -> bool:
        """Sends what TLS has written; what the kernel does not take, or `first`, is a transport's."""
        outgoing = self._house.tls.outgoing
        octets = outgoing.read() if outgoing.pending else b""
        if octets:
            self._sealed += len(octets)
            try:
                octets = octets[self.sock.send(octets) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:  # it is gone, as reading will show
                octets = b""
        if octets or first is not None:
            self._open(first or b"", octets)
            return False
        return True

    def _open(self, first: bytes | None, rest: bytes = b"") -> None:
        """Hands the socket to a transport: with it hands are shaken, if they are not, and then it is hosted."""
        house = self._house
        self.unwatch()
        loop = asyncio.get_running_loop()
        protocol: asyncio.Protocol = self
        if first is not None and house.context is not None:
            begun = Begun(self._incoming, self.tls, self._up, first, rest, self._sealed, self.shaken_at)
            protocol = self._transport = TlsTransport(house.tls, house.context, self, loop, begun)
        try:
            _drive(loop.connect_accepted_socket(lambda: protocol, self.sock))
        except OSError:
            self._transport = None
            self._close()

    def _close(self) -> None:
        self.unwatch()  # a child that was forked just now may keep the file open, and epoll with it
        _close(self.sock)
        self._house.gone(self)

    # -- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is the listener's to host."""
        self._transport = None
        self._house.host(self, cast("asyncio.Transport", transport))  # uvloop's is one in all but its bases

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Hands were never shaken, or nobody would have it."""
        self._transport = None
        self._house.gone(self)


def _drive(work: Coroutine[Any, Any, Any], waited: object = None) -> None:  # noqa: ARG001
    """Runs `work`, which awaits nothing but futures, without a task: that costs more than all that it would do."""
    try:
        waiter = work.send(None)
    except StopIteration:
        return
    waiter.add_done_callback(partial(_drive, work))
