"""Sends what lies in a recording's file, piece by piece: read by a thread when the piece before has gone.

Where the connection is bare HTTP/1.1 and the file is here, the thread has the kernel put it into the socket instead.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Send

from hlsd.base.clock import Clock
from hlsd.delivery.http1.file_sender import FileSender
from hlsd.delivery.request import Span
from hlsd.delivery.web import Charge, hung_up
from hlsd.ports import MEDIA, MORE, ViewerSession
from hlsd.record.index import IndexAway
from hlsd.record.open_recordings import OpenRecording, OpenRecordings
from hlsd.record.remote.bucket import StoreFault

PIECE: Final = 256 * 1024
"""Bytes that are read and sent at a time, and held for each who fetches."""
FAR_PIECE: Final = 1 << 20
"""The same of what is in the store: each is a request."""
LARGE: Final = 1 << 20
"""The same of a download: a piece costs a thread's turn, and with larger ones a GB takes a quarter less of the CPU."""
DOWNLOAD: Final = 4 << 20
"""Bytes after which it is taken for one: segments are shorter."""
DIRECT: Final = 64 * 1024
"""Bytes from which on the kernel is asked to send them: for less that is no gain."""
DIRECT_PIECE: Final = 4 << 20
"""What it is asked for at a time; it takes what the socket has room for."""


class FileBody:
    """The body of one file: read by a thread, sent when the piece before has gone."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        session: ViewerSession | None,
        charge: Charge,
        recording: OpenRecording,
        open_recordings: OpenRecordings,
        clock: Clock,
        files: FileSender | None = None,
    ) -> None:
        self._files = files
        self._session = session
        self._charge = charge
        self._recording = recording
        self._open_recordings = open_recordings
        self._clock = clock
        self._first = b""

    async def begin(self, front: bytes, offset: int, span: Span) -> None:
        """Reads the first piece of what is in the store, so that its failure can be told.

        Raises StoreFault, IndexAway.
        """
        if self._recording.key and span.start < span.stop:
            self._first = await self._read(front, offset, span.start, span)

    async def run(self, front: bytes, offset: int, span: Span, receive: Receive, send: Send) -> None:
        """From the first byte to the last, or until the client hangs up."""
        session = self._session
        gone = asyncio.ensure_future(hung_up(receive))
        if session is not None:
            session.flows += 1
        at, media = span.start, MEDIA
        try:
            while at < span.stop and not gone.done():
                if self._recording.deleted or (session is not None and session.over):
                    return  # it was sent away, or its bytes would stay on the disk
                sent = await self._send_next(front, offset, at, span, send)
                if not sent:
                    return  # shorter than it was: the connection is cut, and the client asks for the rest
                at += sent
                self._charge(session, sent, media)
                if self._files is not None:
                    self._files.charged(session, at - span.start, MORE)
                media = MORE
                if session is not None:
                    session.last = self._clock.monotonic()
        except (StoreFault, IndexAway):
            return  # cut as well; of the store the log has it once
        finally:
            if session is not None:
                session.flows -= 1
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _send_next(self, front: bytes, offset: int, at: int, span: Span, send: Send) -> int:
        """Sends what comes at `at`; how many bytes, 0 where there is nothing or nobody takes it."""
        left = span.stop - at
        if self._files is not None and at >= len(front) and left >= DIRECT and await self._files.ready():
            place = offset + at - len(front)
            try:
                sent = await self._files.send(
                    self._open_recordings.do, self._recording.fd, place, min(left, DIRECT_PIECE)
                )
            except OSError:
                return 0  # cut, as where a piece of it cannot be read
            if sent == left:
                await send({"type": "http.response.body"})
            return sent
        piece = self._first or await self._read(front, offset, at, span)
        self._first = b""
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": len(piece) < left})
        return len(piece)

    async def _read(self, front: bytes, offset: int, at: int, span: Span) -> bytes:
        size = min(span.stop - at, FAR_PIECE if self._recording.key else piece_at(at - span.start))
        if at < len(front):
            return front[at : at + size]
        return await self._open_recordings.read(self._recording, offset + at - len(front), size)


def piece_at(sent: int) -> int:
    """How much is read next when so much was sent."""
    return LARGE if sent >= DOWNLOAD else PIECE
