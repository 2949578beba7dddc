"""Is a connection of HTTP/1.1 over TLS where ours does not fit the installed uvicorn: uvicorn's own, with its place."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hlsd.delivery.http1.connections import ClientAddress


class PlainTlsProtocol(HttpToolsProtocol):
    """Of uvicorn's names only asyncio's own is overridden; it has no deadlines but uvicorn's own."""

    def __init__(
        self, config: Config, state: ServerState, address: ClientAddress, freed: Callable[[ClientAddress], None]
    ) -> None:
        super().__init__(config, state, {})
        self._address = address
        self._freed = freed

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives its place back."""
        self._freed(self._address)
        super().connection_lost(exc)
