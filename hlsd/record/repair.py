"""Finishes the file of a recording, also what a crash or a full disk has left: shape and moov on a descriptor.

Law: what was whole stays as it is, what was not is cut off, and no byte of media is moved. Blocks: for a thread. It
lets go of the interpreter after each few fragments, so that the event loop waits for none of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from hlsd.media.unit import TICKS
from hlsd.record.boxes import HEADER, head
from hlsd.record.moov import Movie
from hlsd.record.shape import About, Layout, Read, hiding, open_layout, scan, walk

BREATH: Final = 16
"""Fragments after which others run."""
PIECE: Final = 1 << 20
"""Bytes of a moov that are written at a time."""


_VECTORS: Final = 1024
"""Pieces that the kernel takes at once."""


class Finished(NamedTuple):
    """A finished file. `duration` in seconds; `cut` are the bytes that were cut off because they were not whole."""

    duration: float
    bytes: int
    cut: int
    about: About | None
    already: bool = False
    """It was finished before."""


class Empty(Exception):
    """There is no whole fragment in the file."""


def reader(fd: int) -> Read:
    """Reads a file at any place."""
    return lambda offset, size: os.pread(fd, size, offset)


def finish(fd: int, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Finished:
    """Finishes the file; `progress(bytes, of)` is called as it goes on.

    Raises:
        BadBox: it is no recording of ours.
        Empty: nothing in it is whole.
        OSError: the disk does not take the full moov; the file is as it was, without what was not whole.
    """
    read, size = reader(fd), os.fstat(fd).st_size
    layout = open_layout(read)
    if layout.finished and is_whole(read, layout, size):
        return Finished(_duration(read, size, progress), size, 0, layout.about, already=True)
    movie = Movie(layout.init)
    for count, (fragment, runs) in enumerate(walk(read, layout, size), 1):
        movie.add(runs)
        layout.fragments.append(fragment)
        if not count % BREATH:
            time.sleep(0)
            progress(layout.end, size)
    if not layout.fragments:
        raise Empty
    if size > layout.end:
        os.ftruncate(fd, layout.end)
    moov = movie.moov(layout.fragments.box())
    try:
        write_all(fd, moov, layout.end)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, layout.end)
        raise
    os.pwrite(fd, hiding(layout.room, layout.end), layout.room)
    os.fsync(fd)
    progress(size, size)
    return Finished(movie.duration, layout.end + len(moov), size - layout.end, layout.about)


def write_all(fd: int, octets: bytes, at: int) -> None:
    """Writes all of it at that place. Raises OSError."""
    view = memoryview(octets)
    done = 0
    while done < len(view):
        wrote = os.pwrite(fd, view[done : done + PIECE], at + done)
        if not wrote:
            raise OSError(28, "nothing was written")
        done += wrote


def write_pieces(fd: int, pieces: Sequence[bytes], size: int, at: int) -> None:
    """Writes all of them, `size` bytes, one behind the other, without copying them together. Raises OSError."""
    done = os.pwritev(fd, pieces, at) if 1 < len(pieces) <= _VECTORS else 0
    if done < size:  # a disk that takes less than all says why when it is asked again
        write_all(fd, b"".join(pieces)[done:], at + done)


def is_whole(read: Read, layout: Layout, size: int) -> bool:
    """Whether the full moov of a finished file is there to its end."""
    hidden = head(read(layout.room, HEADER))
    if hidden is None or hidden.name != b"mdat":
        return False
    at = layout.room + hidden.size
    moov = head(read(at, HEADER))
    return moov is not None and moov.name == b"moov" and at + moov.size == size


def _duration(read: Read, size: int, progress: Callable[[int, int], None]) -> float:
    found = scan(read, size).fragments
    progress(size, size)
    return (found[-1].end - found[0].start) / TICKS if found else 0.0
