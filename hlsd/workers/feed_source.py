"""Tells workers of streams: one connection for each stream and worker, on a Unix socket that only this user may open.

A worker says `{app}/{name}` and a line feed; from then on it is told. Law: what changes is encoded once for all who
listen, and nobody waits for anybody: who has a window of it unread is cut off, and begins anew. A stream that nobody
listens to is not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from hlsd.base.faults import Faults
from hlsd.base.stream_name import read_path
from hlsd.base.upkeep import end, sweep
from hlsd.ports import LiveStream, OutputFactory, PublishRequest, Service
from hlsd.segmenter.feed.frames import FeedFrame, FrameKind, Octets, encode
from hlsd.segmenter.feed.teller import Teller
from hlsd.segmenter.live import Live

if TYPE_CHECKING:
    from hlsd.ports import Playable

MAX_ASKED: Final = 1024
"""Bytes of a worker's question."""
MAX_LISTENERS: Final = 20_000
"""Connections at once."""
SPARE: Final = 8 << 20
"""Bytes that may be unread beside two windows."""
SWEEP: Final = 1.0
"""Seconds between two looks at each stream that is listened to; a line that was silent meanwhile gets a `PING`."""

Find = Callable[[str, str], "Playable | None"]


class FeedSource:
    """One stream by its name, and who listens to it. `Live.watch` calls it for each version."""

    def __init__(self, app: str, name: str, find: Find) -> None:
        self.app = app
        self.name = name
        self.listeners: set[FeedListener] = set()
        self._find = find
        self._teller: Teller | None = None
        self._told = False
        self._gone = encode(FeedFrame(FrameKind.GONE, 0, last=True))

    def look(self) -> None:
        """Whether what is to be told of is still the same run."""
        found = self._find(self.app, self.name)
        live = found if isinstance(found, Live) and not found.gone else None
        if live is (self._teller.live if self._teller is not None else None):
            return
        self._leave()
        if live is None:
            self._tell(self._gone)
            return
        self._teller = Teller(live, live.window)
        live.watch(self._changed)
        self._changed()

    def join(self, listener: FeedListener) -> None:
        """One more listens: it is told all there is."""
        self.look()
        if self._teller is None:
            listener.write(self._gone, SPARE)
        else:
            self._changed()
            listener.write(self._teller.greeting(), self._room)
        self.listeners.add(listener)

    def leave(self, listener: FeedListener) -> None:
        """It listens no more."""
        self.listeners.discard(listener)
        if not self.listeners:
            self._leave()

    def ping(self) -> None:
        """Nothing has happened for a while, perhaps."""
        self._tell(encode(FeedFrame(FrameKind.PING, 0)))

    def _changed(self) -> None:
        teller = self._teller
        if teller is None:
            return
        news = teller.news()
        if news:
            self._tell(news)
        if teller.live.gone:
            self._leave()

    def _tell(self, octets: list[Octets]) -> None:
        room = self._room
        for listener in tuple(self.listeners):
            listener.write(octets, room)

    @property
    def _room(self) -> int:
        return SPARE + (2 * self._teller.live.window.bytes if self._teller is not None else 0)

    def _leave(self) -> None:
        teller, self._teller = self._teller, None
        if teller is not None:
            teller.live.unwatch(self._changed)


class FeedListener(asyncio.Protocol):
    """A worker's connection for one stream."""

    def __init__(self, sources: FeedSources) -> None:
        self._sources = sources
        self._transport: asyncio.Transport | None = None
        self._asked = bytearray()
        self._source: FeedSource | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is one more, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._sources.enter(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It has gone."""
        self._transport = None
        self._sources.left(self)
        if self._source is not None:
            self._sources.leave(self._source, self)

    def data_received(self, data: bytes) -> None:
        """Its question; nothing else is said."""
        self._asked += data
        line, found, rest = bytes(self._asked).partition(b"\n")
        if self._source is not None or rest or len(self._asked) > MAX_ASKED:
            self.cut()
        elif found:
            self._ask(line.decode("utf-8", "replace"))

    def write(self, octets: list[Octets], room: int) -> None:
        """Tells it; if more than `room` bytes are unread, it is cut off."""
        transport = self._transport
        if transport is None or transport.is_closing() or not octets:
            return
        if transport.get_write_buffer_size() > room:
            self._sources.cut += 1
            transport.abort()
            return
        transport.writelines(octets)

    def cut(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    def _ask(self, path: str) -> None:
        found = read_path(path)
        if found is None:
            self.cut()
            return
        self._source = self._sources.join(*found, self)


class FeedSources(Service):
    """The service `feed`: `find(app, name)` is the stream as viewers find it."""

    name = "feed"

    def __init__(self, path: str, find: Find, faults: Faults) -> None:
        self._path = Path(path)
        self._find = find
        self._faults = faults
        self._server: asyncio.AbstractServer | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._sources: dict[tuple[str, str], FeedSource] = {}
        self._open: set[FeedListener] = set()
        self.cut = 0
        """Listeners that did not read, since the start."""

    async def start(self) -> None:
        """Listens. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: FeedListener(self), str(self._path))
        finally:
            os.umask(before)
        self._sweeping = sweep(SWEEP, self._sweep, "feed_sweep", self._faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - those who listen begin anew at the one who follows
        """Hangs up."""
        await end(self._sweeping)
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for listener in tuple(self._open):
            listener.cut()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def outputs(self) -> Sequence[OutputFactory]:
        """It hears of each publication so."""
        return (self,)

    def output(self, stream: LiveStream, request: PublishRequest) -> None:  # noqa: ARG002
        """A stream begins: who listens to its name is told of it in a moment, when its outputs are there."""
        source = self._sources.get((stream.app, stream.name))
        if source is not None:
            asyncio.get_running_loop().call_soon(self._look, source)

    def enter(self, listener: FeedListener) -> bool:
        """Whether there is room for one more."""
        if len(self._open) >= MAX_LISTENERS:
            return False
        self._open.add(listener)
        return True

    def left(self, listener: FeedListener) -> None:
        """It has gone."""
        self._open.discard(listener)

    def join(self, app: str, name: str, listener: FeedListener) -> FeedSource:
        """It wants to hear of that stream."""
        source = self._sources.get((app, name))
        if source is None:
            source = self._sources[app, name] = FeedSource(app, name, self._find)
        source.join(listener)
        return source

    def leave(self, source: FeedSource, listener: FeedListener) -> None:
        """It does not any more."""
        source.leave(listener)
        if not source.listeners and self._sources.get((source.app, source.name)) is source:
            del self._sources[source.app, source.name]

    def _look(self, source: FeedSource) -> None:
        with self._faults.guard("feed_sweep"):
            source.look()

    def _sweep(self) -> None:
        for source in tuple(self._sources.values()):
            self._look(source)
            source.ping()
