"""Turns a reply into the bytes that HTTP/1.1 sends, once for all who get it.

The head is what uvicorn would write for the same reply (status line, Date, the reply's own lines), so that the fast
path and ASGI cannot drift: a test compares them. Date changes each second; the rest is joined once. Small bodies are
joined with their head into one buffer; large ones are never copied, they go out as a second buffer of the same write.
What many ask for in the same second is laid out once as a file in memory, head and body, and sent by sendfile(2): the
kernel then takes references to pages instead of copies, which is what file servers are fast by.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from hlsd.delivery.answer import Reply
from hlsd.stats import Cell

JOINED = 16 * 1024
"""Bodies up to this many bytes are copied behind their head: one buffer is cheaper to send than two."""

FILED = 64 * 1024
"""Bodies from this many bytes may be sent from a file in memory."""
WANTED = 8
"""Viewers in one second from which a file is worth its making."""
MAX_SHEETS = 256
"""Files in memory at once."""

Stamp = Sequence[tuple[bytes, bytes]]
"""The header lines that stand in every answer of this second: Date. Told apart by identity."""


class Sheet:
    """An answer as a file in memory; never altered, so that pages may be under way while it lives."""

    __slots__ = ("fd", "size")
    count = 0
    """Of all that are open."""

    def __init__(self, head: bytes, body: bytes | memoryview) -> None:
        self.size = len(head) + len(body)
        self.fd = os.memfd_create("hlsd answer", os.MFD_CLOEXEC)
        Sheet.count += 1
        written = os.writev(self.fd, (head, body))
        while written < self.size:
            written += os.write(self.fd, memoryview(body)[written - len(head) :])

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)
            Sheet.count -= 1


class ReadyBytes:
    """A reply ready to be sent to any number of viewers."""

    __slots__ = (
        "_full", "_head", "_lines", "_sheet", "_stamp", "_status", "_wanted",
        "body", "cell", "frames", "media", "reply", "size",
    )  # fmt: skip

    def __init__(self, reply: Reply, cell: Cell | None = None) -> None:
        self.reply = reply
        self.frames: object = None
        """What HTTP/2 has made of it (`hlsd.delivery.http2.ready_frames`)."""
        self.body = reply.body
        self.size = len(reply.body)
        """Bytes of body."""
        self.media = reply.media
        self.cell = cell or Cell()
        """Where whoever sends it counts that."""
        self._status = STATUS_LINE[reply.status]
        self._lines = _lines(reply.headers)
        self._stamp: Stamp = ()
        self._head = b""
        self._full: bytes | None = None
        self._sheet: Sheet | None = None
        self._wanted = 0

    def send(self, transport: asyncio.Transport, stamp: Stamp, fd: int = -1) -> None:
        """Hands the answer to `transport`, which has nothing else to send; `fd` is its socket, if that is bare TCP."""
        if self._stamp is not stamp:
            self._date(stamp)
        full = self._full
        if full is not None:
            transport.write(full)
        elif fd < 0 or self.size < FILED or not self._send_sheet(transport, fd):
            transport.writelines((self._head, self.body))

    def send_last(self, transport: asyncio.Transport, stamp: Stamp) -> None:
        """As `send`, with `connection: close`; the connection is closed when all is sent."""
        head = b"".join((self._status, _lines(stamp), self._lines, b"connection: close\r\n\r\n"))
        transport.writelines((head, self.body) if self.size else (head,))
        transport.close()

    def _send_sheet(self, transport: asyncio.Transport, fd: int) -> bool:
        """Sends by sendfile(2), and leaves to `transport` what the socket does not take; False if there is no file."""
        sheet = self._sheet
        if sheet is None:
            self._wanted += 1
            if self._wanted < WANTED or Sheet.count >= MAX_SHEETS:
                return False
            try:
                sheet = self._sheet = Sheet(self._head, self.body)
            except OSError:  # out of files or memory: the other way needs neither
                return False
        if transport.is_closing():
            return False
        try:
            sent = os.sendfile(fd, sheet.fd, 0, sheet.size)
        except OSError:  # full, or broken: the transport finds out
            return False
        if sent < sheet.size:
            head = len(self._head)
            rest = memoryview(self.body)[max(0, sent - head) :]
            transport.writelines((self._head[sent:], rest) if sent < head else (rest,))
        return True

    def _date(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._sheet = None
        self._wanted = 0
        self._head = head = b"".join((self._status, _lines(stamp), self._lines, b"\r\n"))
        self._full = head + bytes(self.body) if self.size <= JOINED else None


def _lines(headers: Stamp) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
