"""Says how much of what was written to a connection its client has not got, which an account must not count.

TLS makes more of what it is given: a head and a tag for each record. Law: what is not known to be lost counts as
received, so that an error of some octets is never a viewer's.
"""

from __future__ import annotations

import asyncio
from typing import Final

from hlsd.net.kernel import acknowledged, in_kernel
from hlsd.net.tls_transport import RECORD

ABOVE: Final = 22
"""Octets of a record beside its content: head, type, tag (RFC 8446 §5.2); in TLS 1.2 some more."""


class Unread:
    """Of one connection, from after its handshake."""

    __slots__ = ("_base", "_sealed", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._sealed = 0
        sock = transport.get_extra_info("socket")
        self._base = acknowledged(sock) + in_kernel(sock.fileno()) if sock is not None else 0

    def wrote(self, size: int) -> None:
        """So many bytes were given to the transport at once."""
        self._sealed += size + ABOVE * -(-size // RECORD)

    def size(self) -> int:
        """Bytes of them that the client's kernel has not confirmed, to a record."""
        try:
            sock = self._transport.get_extra_info("socket")
        except AttributeError:  # asyncio's TLS has nobody left to ask
            sock = None
        acked = acknowledged(sock) if sock is not None else 0
        if not acked:  # nobody knows any more: uvloop's TLS too has let go of its socket by then
            return 0
        sealed = max(0, self._sealed - max(0, acked - self._base))
        return sealed - ABOVE * -(-sealed // (RECORD + ABOVE))
