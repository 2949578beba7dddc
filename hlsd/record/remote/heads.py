"""Is the index of a recording in the store: all that says what stands where, without the media.

An MP4 of ours is read by walking from fragment to fragment, which on a disk costs a read each and in a store a
request each. So the heads of a file (its beginning, and of each fragment all up to its media) are a second object
beside it, and who walks over them finds what he would find in the file. Form: gzip of (offset, size, bytes)*: the
beginning, the header of the full moov, then fragments, whose offsets rise. Pure.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from typing import Final

from hlsd.record.boxes import HEADER, BadBox, head
from hlsd.record.repair import BREATH
from hlsd.record.shape import Read, open_layout, walk

SUFFIX: Final = ".index"
"""What its name in the store ends with."""
LARGEST: Final = 64 << 20
"""Bytes of one in the store: a day has 30 MB of it. Beyond it a recording is kept, and is not played from there."""
_ENTRY: Final = struct.Struct(">QI")
_MOST: Final = 8 << 20
"""Bytes of one entry."""
_PIECE: Final = 256 * 1024


def write_heads(read: Read, size: int) -> bytes:
    """The heads of a finished file of that many bytes; blocks. Raises BadBox where it is none of ours."""
    layout = open_layout(read)
    pack = zlib.compressobj(6, zlib.DEFLATED, 31)
    found = [pack.compress(_entry(0, read(0, layout.end)))]
    hidden = head(read(layout.room, HEADER))
    if not layout.finished or hidden is None:
        raise BadBox("it is not finished")
    at = layout.room + hidden.size
    found.append(pack.compress(_entry(at, read(at, HEADER))))  # by it a reader sees that it is finished
    for count, (fragment, runs) in enumerate(walk(read, layout, size), 1):
        media = min(run.offset for run in runs)
        found.append(pack.compress(_entry(fragment.offset, read(fragment.offset, media - fragment.offset))))
        if not count % BREATH:
            time.sleep(0)  # the event loop's turn
    return b"".join(found) + pack.flush()


def read_heads(packed: bytes) -> Read:
    """Reads them as if they were the file: for who goes forward only, as `walk` does. Raises BadBox as it is read."""
    entries = _entries(packed)
    kept = [entry for entry in (next(entries, None), next(entries, None)) if entry is not None]
    latest = kept[-1:]
    far = kept[1][0] if len(kept) > 1 else 0  # behind all fragments: who asks for that must not pass them by

    def read(offset: int, size: int) -> bytes:
        while True:
            for at, octets in (*kept, *latest):
                if at <= offset < at + len(octets):
                    return octets[offset - at : offset - at + size]
            if not latest or (far and offset >= far) or (offset < latest[0][0] and latest[0] not in kept):
                return b""
            following = next(entries, None)
            if following is None:
                return b""
            latest[:] = [following]

    return read


def _entry(offset: int, octets: bytes) -> bytes:
    return _ENTRY.pack(offset, len(octets)) + octets


def _entries(packed: bytes) -> Iterator[tuple[int, bytes]]:
    unpack = zlib.decompressobj(31)
    rest, source = b"", memoryview(packed)
    while not unpack.eof:
        piece = unpack.unconsumed_tail or source[:_PIECE]
        if not piece:
            raise BadBox("the index of a recording ends too early")
        if not unpack.unconsumed_tail:
            source = source[_PIECE:]
        try:
            rest += unpack.decompress(piece, _PIECE)
        except zlib.error as error:
            raise BadBox(f"no index of a recording: {error}") from None
        at = 0
        while len(rest) - at >= _ENTRY.size:
            offset, size = _ENTRY.unpack_from(rest, at)
            if size > _MOST:
                raise BadBox("no index of a recording")
            end = at + _ENTRY.size + size
            if len(rest) < end:
                break
            yield offset, rest[at + _ENTRY.size : end]
            at = end
        rest = rest[at:]
