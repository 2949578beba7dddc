"""Is the body of one file on its way to a viewer: read piece by piece, and a piece when the one before has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Send

from hlsd.base.clock import Clock
from hlsd.delivery.request import Span
from hlsd.ports import MEDIA, MORE, ViewerSession
from hlsd.record.excerpt import Excerpt
from hlsd.record.open_recordings import OpenRecording, OpenRecordings
from hlsd.record.remote.bucket import StoreFault

PIECE: Final = 256 * 1024
"""Bytes that are read and sent at a time."""
FAR_PIECE: Final = 1 << 20
"""The same of what is in the store: each is a request."""
Charge = Callable[[ViewerSession | None, int, int], None]


class FileSending:
    """What lies somewhere in a file: `part`, and `span` of that. `charge` counts what was sent to the session."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it is of
        self,
        open_recordings: OpenRecordings,
        recording: OpenRecording,
        part: Excerpt,
        span: Span,
        session: ViewerSession | None,
        charge: Charge,
        clock: Clock,
    ) -> None:
        self._open_recordings = open_recordings
        self._recording = recording
        self._front, self._offset, _ = part
        self._span = span
        self._session = session
        self._charge = charge
        self._clock = clock
        self._first = b""

    async def begin(self) -> None:
        """Reads the first piece, so that a store that fails is told by a status. Raises StoreFault."""
        if self._recording.key:
            self._first = await self._read(self._span.start)

    async def run(self, receive: Receive, send: Send) -> None:
        """From the first byte to the last, or until the client hangs up."""
        session, span = self._session, self._span
        gone = asyncio.ensure_future(_hung_up(receive))
        if session is not None:
            session.flows += 1
        at, media = span.start, MEDIA
        try:
            while at < span.stop and not gone.done():
                if self._recording.deleted or (session is not None and session.over):
                    return  # it was sent away, or its bytes would stay on the disk
                piece, self._first = self._first or await self._read(at), b""
                if not piece:
                    return  # shorter than it was: the connection is cut, and the client asks for the rest
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": at < span.stop})
                self._charge(session, len(piece), media)
                media = MORE
                if session is not None:
                    session.last = self._clock.monotonic()
        except StoreFault:
            return  # the same: it is told in the log, once
        finally:
            if session is not None:
                session.flows -= 1
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _read(self, at: int) -> bytes:
        size = min(FAR_PIECE if self._recording.key else PIECE, self._span.stop - at)
        if at < len(self._front):
            return self._front[at : at + size]
        return await self._open_recordings.read(self._recording, self._offset + at - len(self._front), size)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
