"""Holds the recordings that are being played: what each file has in it, read once, and read on while it grows.

Law: files are read by threads of their own, never in the event loop. Bounded: `MOST` files, of which the one unused for
longest goes; of each its fragments (sixteen bytes a second or so), its segments, its playlist plain and gzipped, and
the front of one part.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol, TypeVar, cast

from hlsd.base.errors import HlsdError
from hlsd.ports import Rendering
from hlsd.record.boxes import BadBox
from hlsd.record.excerpt import Excerpt, chosen, excerpt
from hlsd.record.fragments import Fragments
from hlsd.record.index import DONE, IndexAway, IndexStopped, Row
from hlsd.record.remote.bucket import StoreFault
from hlsd.record.repair import BREATH, reader
from hlsd.record.segments import Segments
from hlsd.record.shape import Layout, Read, open_layout, use_index, walk
from hlsd.record.track_choice import TrackChoice, chosen_init
from hlsd.record.vod_playlist import VodPlaylist

T = TypeVar("T")
Tracks = Callable[[str, bytes], Collection[int]]
"""The tracks that HLS has of a recording, by its id and what it begins with; none: all. Raises BadBox."""
MOST: Final = 64
READERS: Final = 4
CUTS: Final = 8
"""Parts of recordings that are waited for at once, one of them being cut: each takes a look at every fragment of it."""
FRESH: Final = 1.0
"""Seconds for which what was read of a file that grows is good."""


class Crowded(HlsdError):
    """More want a part of a recording than can be served."""


class Unreadable(IndexAway):
    """The file of a recording cannot be read, or is not what it was."""


class Far(Protocol):
    """Reads recordings that are in the store alone. Everything raises StoreFault."""

    async def find(self, row: Row) -> tuple[str, Read] | None:
        """The name of a recording in the store, and what says what stands where in it; None if it is not there."""
        ...

    async def index(self, key: str) -> Read:
        """What says what stands where in it, from its beginning on."""
        ...

    async def read(self, key: str, offset: int, size: int) -> bytes:
        """Its bytes."""
        ...


class Shelf(Protocol):
    """What there is to be read."""

    def growing(self, ident: str) -> Row | None:
        """One that is being written, as it stands; None if it is not."""
        ...

    async def listed(self, ident: str) -> Row | None:
        """One that there is; None if there is none."""
        ...

    def open(self, row: Row) -> int:
        """A descriptor of its file, written still or not. Raises OSError."""
        ...


class _Cut(NamedTuple):
    """A part that was cut: for which times, of how many fragments there were then; from which one up to which."""

    asked: tuple[float | None, float | None, int]
    fragments: tuple[int, int]
    excerpt: Excerpt


class OpenRecording:
    """One recording, as far as it has been read. What it says is of one instant; `size` are its whole fragments.

    `fd` is of its file, -1 where that is only in the store, under the name `key`.
    """

    def __init__(self, row: Row, fd: int, key: str = "") -> None:
        self.row = row
        self.fd = fd
        self.key = key
        self.whole = row.state == DONE
        self.size = 0
        self.etag = ""
        self.layout: Layout | None = None
        self.init = b""
        """The initialisation section, as players get it."""
        self.choice: TrackChoice | None = None
        """The tracks that HLS has of it; None: all."""
        self.spans = Segments(Fragments())
        self.listed = Rendering(b"", b"", "")
        """Its playlist, as of one instant: it is read while a thread reads on."""
        self._playlist: VodPlaylist | None = None  # while it grows
        self.read_at = 0.0
        self.users = 0
        self.dropped = False
        self.deleted = False
        """Whoever reads it is cut off at the next piece, or its bytes would stay on the disk."""
        self._cut: _Cut | None = None

    def load(self, read: Read | None = None, tracks: Tracks | None = None) -> None:
        """Reads what there is of the file, by `read` where it is not here; blocks. Raises BadBox, OSError."""
        size = self.row.bytes if read is not None else os.fstat(self.fd).st_size
        read = read if read is not None else reader(self.fd)
        self.read_at = time.monotonic()
        if self.row.format == "mp4":
            if self.layout is None:
                self._open(read, tracks)
            layout = cast(Layout, self.layout)
            fresh = not layout.fragments
            if not fresh or not use_index(read, layout, size):
                for count, (fragment, _) in enumerate(walk(read, layout, size), 1):
                    layout.fragments.append(fragment)
                    if not count % BREATH:
                        time.sleep(0)
            self.size = size if self.whole else layout.end
            if fresh:
                self.spans = Segments(layout.fragments)
            self.spans.grow(whole=self.whole)
            self._list()
        else:
            self.size = size
        self.etag = f'"{self.row.id}"' if self.whole else f'"{self.row.id}-{self.size:x}"'

    def _open(self, read: Read, tracks: Tracks | None) -> None:
        layout = open_layout(read)
        wanted = tracks(self.row.id, layout.init) if tracks is not None else None
        self.init = chosen_init(layout.init, wanted) if wanted else layout.init
        self.choice = TrackChoice(wanted, layout.scales) if wanted else None
        self.layout = layout

    def _list(self) -> None:
        """Makes its playlist anew, if there is more of it."""
        text = self._playlist or VodPlaylist(self.row.id)
        if text.grow(self.spans) or self._playlist is None:
            tag = f'"{self.row.id}-{"v" if self.whole else "e"}{len(self.spans)}"'
            self.listed = Rendering(*text.render(whole=self.whole), tag)
        self._playlist = None if self.whole else text

    def kept(self, begin: float | None, end: float | None) -> Excerpt | None:
        """The part that was cut last, if it is that one: a download asks for range after range of it."""
        count = len(self.layout.fragments) if self.layout is not None else 0
        last = self._cut  # a thread may be about to put another one there
        return last.excerpt if last is not None and last.asked == (begin, end, count) else None

    def excerpt(self, begin: float | None, end: float | None, read: Read | None = None) -> Excerpt | None:
        """A part of it; None where there is nothing; blocks. `read` as in `load`. Raises BadBox."""
        if self.layout is None:
            return None
        count = len(self.layout.fragments)
        fragments = chosen(self.layout.fragments, begin, end)
        if fragments[1] <= fragments[0]:
            return None
        last = self._cut
        same = last is not None and last.fragments == fragments
        found = last.excerpt if last is not None and same else excerpt(read or reader(self.fd), self.layout, *fragments)
        self._cut = _Cut((begin, end, count), fragments, found)
        return found


class OpenRecordings:
    """The recordings of one server that are read."""

    def __init__(self, shelf: Shelf, far: Far | None = None, tracks: Tracks | None = None) -> None:
        self._shelf = shelf
        self._tracks = tracks
        self._far = far
        self._volumes: OrderedDict[str, OpenRecording] = OrderedDict()
        self._loading: dict[str, asyncio.Future[OpenRecording | None]] = {}
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="hlsd-playback")
        self._cutting = asyncio.Semaphore(1)
        self._cuts = 0
        self._closed = False

    async def do(self, what: Callable[[], T]) -> T:
        """Reads something. Raises IndexStopped after `close`."""
        if self._closed:
            raise IndexStopped("no recordings are read any more")
        return await asyncio.get_running_loop().run_in_executor(self._threads, what)

    async def cut(self, recording: OpenRecording, begin: float | None, end: float | None) -> Excerpt | None:
        """A part of a recording; None where there is nothing.

        Raises BadBox; Unreadable; StoreFault; Crowded if many wait already.
        """
        if (kept := recording.kept(begin, end)) is not None:
            return kept
        if self._cuts >= CUTS:
            raise Crowded("many parts of recordings are being cut")
        self._cuts += 1
        try:
            read = await self.reader(recording)
            async with self._cutting:
                return await self.do(lambda: recording.excerpt(begin, end, read))
        except OSError as error:
            raise _unreadable(error) from error
        finally:
            self._cuts -= 1

    async def reader(self, recording: OpenRecording) -> Read:
        """What says what stands where in it, forward from its beginning. Raises StoreFault."""
        if recording.key and self._far is not None:
            return await self._far.index(recording.key)
        return reader(recording.fd)

    async def read(self, recording: OpenRecording, offset: int, size: int) -> bytes:
        """Bytes of it, fewer where it ends; who waits for the store holds none of the threads.

        Raises StoreFault, Unreadable.
        """
        if recording.key and self._far is not None:
            return await self._far.read(recording.key, offset, size)
        fd = recording.fd
        try:
            return await self.do(lambda: os.pread(fd, size, offset))
        except OSError as error:
            raise _unreadable(error) from error

    async def get(self, ident: str, app: str, name: str) -> OpenRecording | None:
        """A recording of that stream; None if there is none that can be read. Leave it by `put_back`.

        Raises StoreFault where it is in the store, and the store does not give it; IndexAway, Unreadable.
        """
        try:
            recording = await self._loaded(ident)
            while recording is not None and recording.dropped and recording.fd < 0 and not recording.key:
                recording = await self._loaded(ident)  # its file was let go between the two: it is in the store now
        except (BadBox, OSError) as error:
            raise _unreadable(error) from error
        if recording is None or recording.row.app != app or recording.row.name != name:
            return None
        recording.users += 1
        return recording

    async def _loaded(self, ident: str) -> OpenRecording | None:
        loading = self._loading.get(ident)
        if loading is None:
            loading = self._loading[ident] = asyncio.ensure_future(self._get(ident))
            loading.add_done_callback(lambda _: self._loading.pop(ident, None))
        return await asyncio.shield(loading)

    def put_back(self, recording: OpenRecording) -> None:
        """It is not read any more by who got it."""
        recording.users -= 1
        self._close(recording)

    def drop(self, ident: str) -> None:
        """It was deleted."""
        recording = self._volumes.get(ident)
        if recording is not None:
            recording.deleted = True
            self._let_go(ident)

    def leave(self, ident: str) -> None:
        """Its file is not here any more: whoever comes now reads it in the store, and the disk gets its room back."""
        self._let_go(ident)

    def _let_go(self, ident: str) -> None:
        """Who reads it may go on, nobody else begins."""
        recording = self._volumes.pop(ident, None)
        if recording is not None:
            recording.dropped = True
            self._close(recording)

    def close(self) -> None:
        """Nothing is read any more."""
        self._closed = True
        for ident in list(self._volumes):
            self._let_go(ident)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _close(self, recording: OpenRecording) -> None:
        if recording.dropped and recording.users <= 0 and recording.fd >= 0:
            os.close(recording.fd)
            recording.fd = -1

    async def _get(self, ident: str) -> OpenRecording | None:
        known = self._volumes.get(ident)
        if known is not None:
            self._volumes.move_to_end(ident)
        growing = self._shelf.growing(ident)
        if known is not None and (known.whole or (growing is not None and time.monotonic() - known.read_at < FRESH)):
            return known
        row = growing if growing is not None else await self._shelf.listed(ident)
        if row is None or row.state not in {DONE, "open"}:
            return None
        if known is not None and row.state != DONE:
            await self.do(known.load)
            return known
        if known is not None:
            self._let_go(ident)
        recording = await self.do(lambda: self._opened(row)) or await self._in_store(row)
        if recording is not None:
            # Nothing is awaited between this and the next line: who deletes takes it out of the index, then from here.
            if growing is None and await self._shelf.listed(ident) is None:
                recording.dropped = True  # it was deleted meanwhile
                self._close(recording)
                return None
            self._volumes[ident] = recording
            while len(self._volumes) > MOST:
                self._let_go(next(iter(self._volumes)))
        return recording

    async def _in_store(self, row: Row) -> OpenRecording | None:
        found = await self._far.find(row) if self._far is not None and row.state == DONE else None
        if found is None:
            return None
        key, read = found
        recording = OpenRecording(row, -1, key)
        try:
            await self.do(lambda: recording.load(read, self._tracks))
        except BadBox as error:
            raise StoreFault(f"the index of the recording is damaged: {error}") from None
        return recording

    def _opened(self, row: Row) -> OpenRecording | None:
        try:
            recording = OpenRecording(row, self._shelf.open(row))
        except OSError:
            return None
        try:
            recording.load(tracks=self._tracks)
        except (BadBox, OSError):
            os.close(recording.fd)
            return None
        return recording


def _unreadable(error: Exception) -> Unreadable:
    words = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
    return Unreadable(f"the recording cannot be read: {words}")
