"""Listens to one stream of the core, and keeps a mirror of it, however often the line ends.

While the core is away the mirror goes on with the window that it has. Law: what is wrong on the line ends the line; the
next one begins with all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, cast

from hlsd.base.errors import ProtocolError
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.segmenter.feed.frames import FeedReader, FrameKind
from hlsd.segmenter.feed.mirror import Mirror
from hlsd.segmenter.live import Live

FIRST: Final = 0.05
"""Seconds between the end of a line and the next try; each that fails is followed by twice as long a pause."""
LONGEST: Final = 1.0


class _Ear(asyncio.Protocol):
    """One connection."""

    def __init__(self, line: FeedLine, asked: bytes) -> None:
        self._line = line
        self._asked = asked
        self._reader = FeedReader()
        self._transport: asyncio.Transport | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        """Hears."""
        try:
            self._line.heard(self._reader, data)
        except Exception as error:  # noqa: BLE001 - asyncio would end the connection too, and say less
            self._line.fault(error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is over."""
        self._transport = None
        if not self.over.done():
            self.over.set_result(None)

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.abort()


class FeedLine:
    """The stream `asked` (app, name); `came()` is called when it is there, or another run of it, or known not to be.

    `most`: bytes of its window.
    """

    def __init__(self, path: str, asked: tuple[str, str], most: int, came: Callable[[], None], faults: Faults) -> None:
        self._path = path
        self._asked = "{}/{}\n".format(*asked).encode()
        self._came = came
        self._faults = faults
        self._mirror = Mirror(most, lambda _: self._settle(), faults)
        self._ear: _Ear | None = None
        self.settled = False
        """Whether it is known if there is such a stream."""
        self._task = keep(self._listen, "feed_line", faults)

    @property
    def live(self) -> Live | None:
        """The stream, as it is served."""
        return self._mirror.live

    async def stop(self) -> None:
        """Listens no more; who waits for the stream is answered."""
        await end(self._task)
        if self._ear is not None:
            self._ear.close()
        self._mirror.gone()

    def heard(self, reader: FeedReader, data: bytes) -> None:
        """More of the line. Raises ProtocolError."""
        frames = reader.feed(data)
        self._mirror.take(frames)
        if any(frame.kind is FrameKind.GONE for frame in frames):
            self._settle()

    def fault(self, error: Exception) -> None:
        """The line is wrong, or we are."""
        self._faults.task("feed_line", error)

    def _settle(self) -> None:
        self.settled = True
        self._came()

    async def _listen(self) -> None:
        pause = FIRST
        while True:
            self._mirror.reset()
            with contextlib.suppress(OSError, ProtocolError):
                _, ear = await asyncio.get_running_loop().create_unix_connection(
                    lambda: _Ear(self, self._asked), self._path
                )
                self._ear = ear
                pause = FIRST
                try:
                    await ear.over
                finally:
                    self._ear = None
                    ear.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
