"""Reads and writes the boxes of ISO/IEC 14496-12 that a recording is made of: sizes, names, and what a moof says.

Pure: bytes in, values out. What is read may have been cut off or damaged by a crash, so every function says by None or
by `BadBox` that something is no box, and never reads beyond what it was given.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from hlsd.base.errors import HlsdError

HEADER: Final = 16
"""Bytes that tell a box's size and name, also where the size has 64 bits."""
MAX_MOOF: Final = 4 << 20
"""Bytes of a moof: ours of a second have a few kB, and of ten seconds of 240 pictures 40."""
_ALIKE: Final = 1 << 16
"""Samples that differ in nothing, of which a trun has not a byte: those of silence are such."""
_NON_SYNC: Final = 0x00010000
"""Flag of a sample that is no sync sample (§8.8.3.1)."""

_DURATION: Final = 0x100
_SIZE: Final = 0x200
_FLAGS: Final = 0x400
_OFFSET: Final = 0x800
_NONE: Final = array("i")

# A moof of ours: its header and mfhd, then trafs that each begin with these boxes and end with a row for each sample.
_FIRST_TRAF: Final = 8 + 16
_MFHD: Final = struct.pack(">I4s", 16, b"mfhd")
_TRAF: Final = struct.Struct(">I4s I4sIII I4sIQ I4sIIi")
_NAMES: Final = (b"traf", b"tfhd", b"tfdt", b"trun")
_WIDTHS: Final = {0x01000F01: 4, 0x00000301: 2, 0x01000701: 3}
"""How many words a row has, by version and flags of the trun: pictures, sound, pictures that are shown in order."""


class BadBox(HlsdError):
    """These bytes are not the boxes that they should be."""


class BoxHead(NamedTuple):
    """Of a box: how many bytes its header has, and the whole of it."""

    name: bytes
    header: int
    size: int


class TrackRun(NamedTuple):
    """What one traf says: samples of one track in decode order, in the track's own ticks.

    `offset`: of the first sample's bytes, from the first byte of the moof. `shifts`: from decoding to presentation;
    empty where all are shown as they are decoded.
    """

    track: int
    decode: int
    offset: int
    durations: array[int]
    sizes: array[int]
    flags: array[int]
    shifts: array[int]

    @property
    def end(self) -> int:
        """Where the last sample ends, by its own duration."""
        return self.decode + sum(self.durations)


def head(octets: bytes) -> BoxHead | None:
    """The header at the beginning of `octets` (`HEADER` bytes are enough); None if that is none."""
    if len(octets) < 8:
        return None
    size, name = struct.unpack_from(">I4s", octets)
    if not name.isalnum() and not all(0x20 <= char < 0x7F or char == 0xA9 for char in name):
        return None
    if size == 1:
        if len(octets) < HEADER:
            return None
        (size,) = struct.unpack_from(">Q", octets, 8)
        return BoxHead(name, 16, size) if size >= 16 else None
    return BoxHead(name, 8, size) if size >= 8 else None


def children(octets: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning of content and end of each box in `octets[start:end]`. Raises BadBox."""
    end = len(octets) if end is None else end
    while start < end:
        found = head(octets[start : start + HEADER])
        if found is None or start + found.size > end:
            raise BadBox(f"no box at byte {start}")
        yield found.name, start + found.header, start + found.size
        start += found.size


def child(octets: bytes, name: bytes, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """Beginning of content and end of the first box of that name. Raises BadBox."""
    for found, begin, stop in children(octets, start, end):
        if found == name:
            return begin, stop
    raise BadBox(f"there is no {name.decode('latin-1')} box")


def box(name: bytes, *content: bytes) -> bytes:
    """A box."""
    return struct.pack(">I4s", 8 + sum(map(len, content)), name) + b"".join(content)


def full_box(name: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """A box with version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def track_runs(moof: bytes, base: int = 0) -> list[TrackRun]:
    """What a whole moof box says, header included; `base` is added to all offsets. Raises BadBox."""
    try:
        found = head(moof[:HEADER])
        if found is None or found.name != b"moof" or found.size != len(moof):
            raise BadBox("no moof")
        ours = _ours(moof, base)
        if ours:
            return ours
        boxes = children(moof, found.header, found.size)
        runs = [_run(moof, start, end) for name, start, end in boxes if name == b"traf"]
        return [run._replace(offset=base + run.offset) for run in runs]
    except struct.error as error:
        raise BadBox(f"a box is too short: {error}") from None


def _ours(moof: bytes, base: int) -> list[TrackRun]:
    """The same of a moof exactly as our muxer writes it, without a look at each box; empty for any other."""
    at, end, found = _FIRST_TRAF, len(moof), []
    if moof[8:16] != _MFHD or end % 4:
        return []
    words = array("I", moof)
    if sys.byteorder == "little":
        words.byteswap()
    while at < end:
        if end - at < _TRAF.size:
            return []
        size, traf, tfhd_size, tfhd, head_flags, track, flags, tfdt_size, tfdt, version, decode, run_size, trun, kind, count, offset = _TRAF.unpack_from(moof, at)  # fmt: skip # noqa: E501
        width = _WIDTHS.get(kind, 0)
        rows = 4 * width * count
        if (
            (traf, tfhd, tfdt, trun) != _NAMES
            or (tfhd_size, head_flags, tfdt_size, version) != (20, 0x020020, 20, 1 << 24)
            or not (width and track)
            or run_size != rows + 20
            or size != rows + _TRAF.size
            or size > end - at
        ):
            return []
        begin, stop = (at + _TRAF.size) >> 2, (at + size) >> 2
        durations, sizes = words[begin:stop:width], words[begin + 1 : stop : width]
        each = words[begin + 2 : stop : width] if width > 2 else array("I", [flags]) * count
        shifts = array("i", words[begin + 3 : stop : width].tobytes()) if width > 3 else _NONE
        found.append(TrackRun(track, decode, base + offset, durations, sizes, each, shifts))
        at += size
    return found


def _run(moof: bytes, start: int, end: int) -> TrackRun:
    """One traf with one trun, as our muxer writes it; other writers' defaults are understood as far as they go."""
    track, defaults, decode = 0, (0, 0, 0), 0
    run: tuple[int, int] | None = None
    for name, at, stop in children(moof, start, end):
        if name == b"tfhd":
            track, defaults = _header(moof[at:stop])
        elif name == b"tfdt":
            wide = moof[at] == 1
            (decode,) = struct.unpack_from(">Q" if wide else ">I", moof[:stop], at + 4)
        elif name == b"trun":
            if run is not None:
                raise BadBox("two truns in one traf")
            run = at, stop
    if run is None or not track:
        raise BadBox("a traf without its boxes")
    return _samples(moof[run[0] : run[1]], track, decode, defaults)


def _header(tfhd: bytes) -> tuple[int, tuple[int, int, int]]:
    flags, track = struct.unpack_from(">II", tfhd)
    at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
    found = []
    for bit in (0x8, 0x10, 0x20):
        if flags & bit:
            found.append(struct.unpack_from(">I", tfhd, at)[0])
            at += 4
        else:
            found.append(0)
    return track, (found[0], found[1], found[2])


def _samples(trun: bytes, track: int, decode: int, defaults: tuple[int, int, int]) -> TrackRun:
    flags, count = struct.unpack_from(">II", trun)
    at, offset, first = 8, 0, -1
    if flags & 0x1:
        (offset,) = struct.unpack_from(">i", trun, at)
        at += 4
    if flags & 0x4:
        (first,) = struct.unpack_from(">I", trun, at)
        at += 4
    present = [bit for bit in (_DURATION, _SIZE, _FLAGS, _OFFSET) if flags & bit]
    width = len(present)
    if count > ((len(trun) - at) // (4 * width) if width else _ALIKE):
        raise BadBox("a trun says more samples than it has")
    table = array("I", trun[at : at + 4 * width * count])
    if sys.byteorder == "little":
        table.byteswap()
    columns = {bit: table[number::width] for number, bit in enumerate(present)}
    given = zip((_DURATION, _SIZE, _FLAGS), defaults, strict=True)
    same = [columns.get(bit) or array("I", [value]) * count for bit, value in given]
    shifts = array("i", columns[_OFFSET].tobytes()) if _OFFSET in columns else _NONE
    if first >= 0 and count:
        same[2][0] = first
    return TrackRun(track, decode, offset, same[0], same[1], same[2], shifts)


def is_sync(flags: int) -> bool:
    """Whether decoding may begin at a sample of these flags."""
    return not flags & _NON_SYNC
