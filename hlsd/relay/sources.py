"""Fetches media: RTMP and HTTP-FLV in the loop, everything else through a process of its own.

Each source is a coroutine that feeds tags to a `SourceFeed` until the source is lost, and then raises SourceError; it
ends only so, or by cancellation, and leaves no connection and no process behind. Bounded by the stream reader's limit
and one tag of 8 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from hlsd import __version__
from hlsd.base.errors import MediaError, ProtocolError, UnsupportedCodec
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.client import Refused, read_url
from hlsd.ingest.rtmp.play_client import PlayConnection
from hlsd.ingest.share import Share
from hlsd.media import flv
from hlsd.relay.address import Address
from hlsd.relay.dial import Dial, Dialed, SourceError
from hlsd.relay.http_response import ResponseReader, request

AGENT: Final = f"hlsd/{__version__}"
READ: Final = 64 * 1024
PING_AFTER: Final = 20.0
EARLY_LIMIT: Final = 64 * 1024
"""Bytes of a data tag before the first media that are kept."""


class SourceFeed(Protocol):
    """Where a source's media goes."""

    def received(self, size: int) -> None:
        """Counts bytes of the connection."""
        ...

    async def begin(self, ip: str, port: int) -> None:
        """Claims the stream's name, before the first tag. Raises SourceError."""
        ...

    def tag(self, type_id: int, timestamp: int, body: bytes) -> None:
        """Takes the next tag. Raises UnsupportedCodec; SourceError once the stream is somebody else's."""
        ...


async def pull_rtmp(url: str, address: Address, dial: Dial, feed: SourceFeed) -> None:
    """Plays `url` from an RTMP or RTMPS server."""
    conversation_url = read_url(url)
    connection = await dial.open(address)
    clock = asyncio.get_running_loop().time
    conversation = PlayConnection(conversation_url, clock())
    _, writer, ip = connection
    try:
        opening = SourceOpening(feed, ip, address.port)
        received = b""
        while True:
            writer.write(conversation.data_to_send())
            await writer.drain()
            if conversation.more:
                await asyncio.sleep(0)  # others' turn: what it sent is worth more than one
                received = b""
            else:
                received = await _read(connection, lambda: conversation.tick(clock(), PING_AFTER))
                feed.received(len(received))
            for event in conversation.receive_data(received, clock()):
                if isinstance(event, Message):
                    await opening.tag(event.type_id, event.timestamp, event.body)
                elif isinstance(event, Refused):
                    raise SourceError(f"refused: {event.code} {event.description}".rstrip(), final=True)
            if conversation.closed is not None:
                closed = conversation.closed
                raise SourceError(closed.text, final=closed.reason == "refused")
    except (OSError, ProtocolError) as error:
        raise SourceError(f"connection lost: {error}") from None
    finally:
        conversation.close()
        _goodbye(writer, conversation.data_to_send())


async def _read(connection: Dialed, idle: Callable[[], None]) -> bytes:
    """The next bytes; calls `idle` every few seconds of silence. Raises SourceError at the end."""
    while True:
        try:
            async with asyncio.timeout(PING_AFTER / 2):
                received = await connection.reader.read(READ)
        except TimeoutError:
            idle()
            return b""
        if not received:
            raise SourceError("the source has closed the connection")
        return received


async def pull_flv(address: Address, dial: Dial, feed: SourceFeed) -> None:
    """Reads HTTP-FLV from an HTTP or HTTPS server."""
    connection = await dial.open(address)
    reader, writer, ip = connection
    try:
        writer.write(request(address, AGENT))
        response = ResponseReader()
        tags = flv.FileReader()
        opening = SourceOpening(feed, ip, address.port)
        while not response.done:
            received = await reader.read(READ)
            if not received:
                break
            feed.received(len(received))
            body = response.feed(received)
            if response.status and response.status != 200:
                final = 300 <= response.status < 500
                raise SourceError(f"HTTP status {response.status}", final=final)
            for tag in tags.feed(body):
                await opening.tag(tag.type, tag.timestamp, tag.body)
        raise SourceError("the source has ended")
    except (OSError, ProtocolError, MediaError) as error:
        if isinstance(error, UnsupportedCodec):
            raise SourceError(str(error), final=True) from None
        raise SourceError(f"connection lost: {error}") from None
    finally:
        _goodbye(writer, b"")


class SourceOpening:
    """Claims the stream's name with the first audio or video, not before: servers send data where no stream is."""

    def __init__(self, feed: SourceFeed, ip: str, port: int) -> None:
        self._feed = feed
        self._ip = ip
        self._port = port
        self._early: list[tuple[int, bytes]] = []
        self._open = False
        self._share = Share()

    async def tag(self, type_id: int, timestamp: int, body: bytes) -> None:
        """The next tag. Raises SourceError."""
        if not self._open:
            if type_id == flv.SCRIPT:
                self._early = [*self._early[-3:], (timestamp, body[:EARLY_LIMIT])]
                return
            await self._feed.begin(self._ip, self._port)
            self._open = True
            for time, early in self._early:
                hand(self._feed, flv.SCRIPT, time, early)
            self._early.clear()
        share = self._share
        share.start()
        hand(self._feed, type_id, timestamp, body)
        share.stop()
        if (pause := share.rest()) is not None:  # reading does not wait as long as something has come
            await asyncio.sleep(pause)


def hand(feed: SourceFeed, type_id: int, timestamp: int, body: bytes) -> None:
    """Hands a tag on; a codec that is not carried is a refusal."""
    try:
        feed.tag(type_id, timestamp, body)
    except UnsupportedCodec as error:
        raise SourceError(str(error), final=True) from None


def _goodbye(writer: asyncio.StreamWriter, last: bytes) -> None:
    """Sends the last words if that costs no waiting, and closes."""
    if writer.is_closing():
        return
    transport = writer.transport
    if last and not transport.get_write_buffer_size():
        writer.write(last)
        writer.close()
    else:
        transport.abort()
