"""Lets an ASGI endpoint take an HTTP/1.1 connection over, head and all: for bodies that go on for hours.

`scope["hlsd.take"]`, where it is there, is a function of a `TakeoverHandler`; it returns what the takeover handler
writes to, or None if the connection is gone. From then on the takeover handler answers, and nothing of HTTP is left;
the connection still counts in its listener's bounds until it is lost. HTTP/2 streams cannot be taken over: there the
key is missing.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TAKE = "hlsd.take"


class TakeoverHandler(Protocol):
    """What a connection belongs to once it was taken over."""

    def received(self, octets: bytes) -> None:
        """The client has sent something."""
        ...

    def pause_writing(self) -> None:
        """The transport is full."""
        ...

    def resume_writing(self) -> None:
        """The transport has room."""
        ...

    def lost(self) -> None:
        """The connection is over; called once."""
        ...

    def shutdown(self) -> None:
        """The listener drains: the connection must end soon."""
        ...


class Taken(NamedTuple):
    """A connection that was taken over. `fd` is its socket where that is bare TCP, else -1."""

    transport: asyncio.Transport
    fd: int


class TakeableProtocol(HttpToolsProtocol):
    """uvicorn's protocol of a connection, with `take` in the scope of its requests."""

    takeover: TakeoverHandler | None = None

    def on_headers_complete(self) -> None:
        """Tells the endpoint that it may take over."""
        self.scope[TAKE] = self.take  # type: ignore[literal-required]
        super().on_headers_complete()

    def take(self, takeover: TakeoverHandler) -> Taken | None:
        """Hands the connection to `takeover`; None if it is lost, closing, or was taken before."""
        transport = self.transport
        if self.takeover is not None or self.parser is None or transport.is_closing():
            return None
        self.takeover = takeover
        self.cycle.disconnected = True  # nothing more of it goes out
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        transport.set_write_buffer_limits(high=0)
        transport.set_protocol(_Successor(self, takeover))
        self.flow.resume_reading()
        sock = transport.get_extra_info("socket")
        return Taken(transport, sock.fileno() if sock is not None and self.scheme == "http" else -1)

    def shutdown(self) -> None:
        """Uvicorn's call to end in good order."""
        if self.takeover is not None:
            self.takeover.shutdown()
        else:
            super().shutdown()

    def _unsupported_upgrade_warning(self) -> None:
        """Whether an upgrade is supported is the endpoint's to say."""


class _Successor(asyncio.Protocol):
    """Stands in for the protocol whose connection was taken."""

    __slots__ = ("_origin", "_takeover")

    def __init__(self, origin: HttpToolsProtocol, takeover: TakeoverHandler) -> None:
        self._origin = origin
        self._takeover = takeover

    def data_received(self, data: bytes) -> None:
        self._takeover.received(data)

    def pause_writing(self) -> None:
        self._takeover.pause_writing()

    def resume_writing(self) -> None:
        self._takeover.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            self._takeover.lost()
        finally:
            self._origin.connection_lost(exc)
