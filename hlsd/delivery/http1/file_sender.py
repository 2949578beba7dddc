"""Sends parts of files over HTTP/1.1 by sendfile(2): what the disk's cache holds goes to the socket without a copy.

`scope["hlsd.files"]`, where it is there, gives an endpoint the `FileSender` of its answer, or None where bytes cannot
be put into the socket directly: over TLS, or with other requests waiting on the connection. Law: a thread writes, since
the disk may block; it writes to a descriptor of its own, so that no connection that comes later gets a byte of it. A
socket that is full counts as a transport that is: the connection is paused, its client is watched as a slow one, and
what it does not take is not charged.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hlsd.net.kernel import is_reset
from hlsd.ports import ViewerSession

FILES: Final = "hlsd.files"
_TURNS: Final = 3
"""Turns of the loop in which what was just written leaves, unless the socket is full."""


class Places(Protocol):
    """What knows how many descriptors there may be (`hlsd.delivery.http1.connections`)."""

    def lend(self) -> bool:
        """Whether there is room for one more."""
        ...

    def give_back(self) -> None:
        """It is closed."""
        ...


class FileConnection(Protocol):
    """A connection as whoever sends files over it sees it."""

    transport: asyncio.Transport
    flow: FlowControl
    cycle: RequestResponseCycle
    fd: int
    lost: bool

    def pause_writing(self) -> None:
        """Its socket is full."""
        ...

    def resume_writing(self) -> None:
        """Its socket has room."""
        ...

    def owes(self, session: ViewerSession | None, size: int, media: int) -> None:
        """So much was charged of what it carries now."""
        ...


class _Socket:
    """A descriptor of a connection's socket. It goes with the last who has it: a thread may still be writing to it."""

    __slots__ = ("_places", "fd")

    def __init__(self, fd: int, places: Places) -> None:
        self.fd = os.dup(fd)
        self._places = places

    def __del__(self) -> None:
        if hasattr(self, "_places"):
            os.close(self.fd)
            self._places.give_back()


class FileSender:
    """Sends the body of one answer, whose head ASGI has sent with a Content-Length. `close` it in any case."""

    def __init__(self, connection: FileConnection, places: Places) -> None:
        self._connection = connection
        self._cycle = connection.cycle
        self._loop = asyncio.get_running_loop()
        self._socket: _Socket | None = _Socket(connection.fd, places)
        self._waits = False

    async def ready(self) -> bool:
        """Whether nothing that the transport still has stands before what `send` would put into the socket."""
        for _ in range(_TURNS):
            if not self._connection.transport.get_write_buffer_size():
                return True
            await asyncio.sleep(0)  # what was just written goes out at the end of this turn or the next
        return not self._connection.transport.get_write_buffer_size()

    async def send(self, do: Callable[[Callable[[], int]], Awaitable[int]], file: int, offset: int, size: int) -> int:
        """Sends up to `size` bytes of a file, which a thread of `do` reads; how many, 0 where it ends or nobody reads.

        Only if it is `ready`. Raises OSError: the file cannot be read.
        """
        connection, socket = self._connection, self._socket
        if socket is None:
            return 0
        while True:
            if connection.flow.write_paused:
                await connection.flow.drain()
            if connection.lost or connection.transport.is_closing():
                return 0
            try:
                sent = await do(lambda: os.sendfile(socket.fd, file, offset, size))
            except BlockingIOError:
                self._pause()
                continue
            except (BrokenPipeError, ConnectionError):
                return 0
            self._cycle.expected_content_length -= sent
            if 0 < sent < size:
                self._pause()
            return sent

    def charged(self, session: ViewerSession | None, size: int, media: int) -> None:
        """So much was charged of this answer so far: should its client go away, what it did not get is given back."""
        self._connection.owes(session, size, media)

    def close(self) -> None:
        """Nothing more is sent by it."""
        if self._waits:
            self._resume()
        self._socket = None

    def _pause(self) -> None:
        """Waits for room, unless the connection is gone."""
        if self._socket is not None and not (self._connection.lost or self._waits):
            self._waits = True
            self._connection.pause_writing()
            self._loop.add_writer(self._socket.fd, self._writable)

    def _writable(self) -> None:
        """There is room, or the client has reset the connection: then it is as full as it was until it is lost."""
        sock = self._connection.transport.get_extra_info("socket")
        if sock is None or is_reset(sock):
            if self._socket is not None:
                self._loop.remove_writer(self._socket.fd)
        else:
            self._resume()

    def _resume(self) -> None:
        self._waits = False
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fd)
        if not self._connection.lost:
            self._connection.resume_writing()


def file_sender(connection: FileConnection, places: Places, scope: Scope) -> FileSender | None:
    """What sends the answer to the request of `scope`; None if its connection takes bytes by its transport alone."""
    if connection.fd < 0 or connection.lost or connection.cycle.scope is not scope or not places.lend():
        return None
    try:
        return FileSender(connection, places)
    except OSError:  # out of descriptors: the other way needs none
        places.give_back()
        return None


def sender_of(scope: Scope) -> FileSender | None:
    """The one for the request of `scope`, to be closed; None if its connection has none."""
    make = cast("Callable[[Scope], FileSender | None] | None", scope.get(FILES))
    return make(scope) if make is not None else None
