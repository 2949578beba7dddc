"""Is a connection of HTTP/1.1 over TLS: uvicorn's, with its place among the connections of its address."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsd.base.pace import Pace
from hlsd.delivery.http1.connections import ADDRESS, ClientAddress
from hlsd.delivery.http1.takeover import TakeableProtocol
from hlsd.net.strict_http import StrictProtocol


class PlainTlsProtocol(HttpToolsProtocol):
    """uvicorn's, where ours does not fit it (`hlsd.net.uvicorn_fit`): of its names only asyncio's own is overridden."""

    address: ClientAddress
    freed: Callable[[ClientAddress], None]

    def sweep(self, now: float, pace: Pace) -> None:
        """It has no deadlines but uvicorn's own."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives its place back."""
        self.freed(self.address)
        super().connection_lost(exc)


class TlsProtocol(StrictProtocol, TakeableProtocol):
    """What it may do is ASGI's business; that it is there, and what waits on it, counts for its address."""

    address: ClientAddress
    freed: Callable[[ClientAddress], None]

    def on_headers_complete(self) -> None:
        """Tells the transport whose waiters its requests are."""
        self.scope[ADDRESS] = self.address  # type: ignore[literal-required]
        super().on_headers_complete()

    def sweep(self, now: float, pace: Pace) -> None:
        """Its takeover handler has deadlines of its own."""
        if self.takeover is None:
            super().sweep(now, pace)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives its place back."""
        self.freed(self.address)
        super().connection_lost(exc)
