"""Turns a reply into the bytes that HTTP/1.1 sends, once for all who get it.

The head is what uvicorn would write for the same reply (status line, Date, the reply's own lines), so that the fast
path and ASGI cannot drift: a test compares them. Date changes each second; the rest is joined once. Small bodies are
joined with their head into one buffer; large ones are never copied, they go out as a second buffer of the same write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from hlsd.delivery.answer import Reply

JOINED = 16 * 1024
"""Bodies up to this many bytes are copied behind their head: one buffer is cheaper to send than two."""

Stamp = Sequence[tuple[bytes, bytes]]
"""The header lines that stand in every answer of this second: Date. Told apart by identity."""


class Ready:
    """A reply ready to be sent to any number of viewers."""

    __slots__ = ("_full", "_head", "_lines", "_stamp", "_status", "body", "media", "size")

    def __init__(self, reply: Reply) -> None:
        self.body = reply.body
        self.size = len(reply.body)
        """Bytes of body."""
        self.media = reply.media
        self._status = STATUS_LINE[reply.status]
        self._lines = _lines(reply.headers)
        self._stamp: Stamp = ()
        self._head = b""
        self._full: bytes | None = None

    def send(self, transport: asyncio.Transport, stamp: Stamp) -> None:
        """Hands the answer to `transport`."""
        if self._stamp is not stamp:
            self._date(stamp)
        full = self._full
        if full is not None:
            transport.write(full)
        else:
            transport.writelines((self._head, self.body))

    def send_last(self, transport: asyncio.Transport, stamp: Stamp) -> None:
        """As `send`, with `connection: close`; the connection is closed when all is sent."""
        head = b"".join((self._status, _lines(stamp), self._lines, b"connection: close\r\n\r\n"))
        transport.writelines((head, self.body) if self.size else (head,))
        transport.close()

    def _date(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._head = head = b"".join((self._status, _lines(stamp), self._lines, b"\r\n"))
        self._full = head + bytes(self.body) if self.size <= JOINED else None


def _lines(headers: Stamp) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
