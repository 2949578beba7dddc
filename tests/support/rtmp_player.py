"""An RTMP player that keeps what it is sent: our own chunk reader behind a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from hlsd.ingest.rtmp.amf0 import Value, decode, encode
from hlsd.ingest.rtmp.chunk import Chunker, Dechunker, Message
from tests.support.rtmp_wire import HANDSHAKE, drain

if TYPE_CHECKING:
    from collections.abc import Callable


class RtmpViewer:
    """One connection; `media` are the messages 8, 9 and 18, `said` the commands with their message stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._chunker = Chunker()
        self._dechunker = Dechunker(max_message=1 << 24, max_pending=1 << 25)
        self.media: list[Message] = []
        self.said: list[tuple[int, list[Value]]] = []
        self.over = False

    @classmethod
    async def connect(cls, port: int, app: str = "live") -> Self:
        """Shakes hands and connects."""
        player = cls(*await asyncio.open_connection("127.0.0.1", port))
        player.writer.write(HANDSHAKE)
        await player._reader.readexactly(3073)
        player.say(3, 0, "connect", 1.0, {"app": app, "tcUrl": f"rtmp://127.0.0.1/{app}", "flashVer": "TEST 1"})
        await player.until(lambda: player.said)
        return player

    def say(self, csid: int, msid: int, *values: Value) -> None:
        """Sends a command."""
        self.writer.write(self._chunker.message(csid, 20, 0, msid, encode(*values)))

    def play(self, name: str, msid: int = 1) -> None:
        """Sends createStream and play, without waiting between them."""
        self.say(3, 0, "createStream", 2.0, None)
        self.say(8, msid, "play", 3.0, None, name, -2000.0)

    async def until(self, what: Callable[[], object], seconds: float = 10.0) -> None:
        """Reads until `what()` is true; TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not what():
                octets = await self._reader.read(65536)
                if not octets:
                    self.over = True
                    self.writer.close()
                    with contextlib.suppress(OSError):
                        await self.writer.wait_closed()
                    assert what(), f"the server closed: {self.said}"
                    return
                for message in drain(self._dechunker, octets):
                    if message.type_id == 20:
                        self.said.append((message.msid, decode(message.body)))
                    elif message.type_id in {8, 9, 18}:
                        self.media.append(message)

    @property
    def codes(self) -> list[object]:
        """What onStatus said."""
        return [v[3]["code"] for _, v in self.said if v[0] == "onStatus" and isinstance(v[3], dict)]
