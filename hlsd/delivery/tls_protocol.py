"""Is a connection of HTTP/1.1 over TLS: uvicorn's, with its place among the connections of its address."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.delivery.connections import CROWD, Address
from hlsd.delivery.takeover import TakeableProtocol


class TlsProtocol(TakeableProtocol):
    """What it may do is ASGI's business; that it is there, and what waits on it, counts for its address."""

    address: Address
    freed: Callable[[Address], None]

    def on_headers_complete(self) -> None:
        """Tells the road whose waiters its requests are."""
        self.scope[CROWD] = self.address  # type: ignore[literal-required]
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives its place back."""
        self.freed(self.address)
        super().connection_lost(exc)
