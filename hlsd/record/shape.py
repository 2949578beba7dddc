"""Is the shape of a recording: what stands where in its file, while it is written and when it is finished.

While it is written:  ftyp · free (16 bytes) · moov without samples · (mark? moof mdat)*        fragmented MP4
When it is finished:  ftyp · mdat (64-bit header) [ moov · (mark? moof mdat)* ] · moov with all samples      plain MP4

Law: no byte of media is ever moved. Finishing appends the full `moov`, and then turns the 16 bytes of `free` into the
header of an `mdat` that hides everything up to it: before, between and after these two writes the file can be played.
A mark is an `emsg` box (ISO/IEC 23009-1 §5.10.3.3) before a fragment: by which clock its first picture was there, and
whether it does not continue what stands before it. An event of a scheme that a player does not know it passes over, and
CMAF lets nothing else of ours stand there. Timed metadata (ID3) stands there too, and date ranges, which the playlist
is to tell of. What a file is of stands in a `uuid` box of its moov. Pure: `read(offset, size)` gives bytes of the file,
fewer where it ends.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hlsd.media.date_range import LONGEST as LONGEST_LINE
from hlsd.media.date_range import is_line
from hlsd.media.unit import TICKS
from hlsd.record.boxes import (
    HEADER,
    MAX_MOOF,
    BadBox,
    TrackRun,
    box,
    child,
    children,
    full_box,
    head,
    is_sync,
    track_runs,
)
from hlsd.record.fragments import FURTHEST, LONGEST, Fragment, Fragments, Mark

Read = Callable[[int, int], bytes]
MAX_HEADER: Final = 1 << 20
"""Bytes of ftyp and of the moov without samples."""
ABOUT: Final = uuid.UUID("c4f1a3d2-6a3e-5f0b-9a57-686c73640002").bytes
FREE: Final = box(b"free", bytes(8))
_SCHEME: Final = b"urn:hlsd:record:mark\0"
_RANGES: Final = b"urn:hlsd:record:daterange\0\0"
_SEAM: Final = b"seam\0"
_CLOCK: Final = b"clock\0"
_BEFORE: Final = frozenset({b"emsg", b"prft", b"styp", b"sidx", b"uuid"})
"""What may stand before a moof."""
_MAX_BEFORE: Final = 4 << 20
"""Bytes of all of these: of events there is one MiB at most, and one of date ranges."""
_LOOK: Final = 4096
"""Bytes that are read where a fragment should be: its mark, its moof, and what the mdat begins with."""
_TOLD: Final = 128
"""Bytes that tell what stands before a moof: a whole mark, or the scheme of a date range."""
_MAX_BOXES: Final = 64
"""In a full moov."""


class About(NamedTuple):
    """What a file says of itself, in a `uuid` box of its first moov."""

    id: str
    app: str
    name: str
    stream_id: str
    wall: float
    """Of the first picture, seconds since the epoch."""


@dataclass(slots=True)
class Layout:
    """What was found in a file up to `end`, the last byte of the last whole fragment and one more.

    `init`: from the first byte to the end of the first moov, as it was when it was written. `room`: where `free` is or
    was. `finished`: it has its full moov.
    """

    init: bytes
    room: int
    about: About | None
    leading: tuple[int, int]
    """Id and timescale of the track that leads: pictures, or sound where there are none."""
    end: int
    finished: bool = False
    fragments: Fragments = field(default_factory=Fragments)
    scales: Mapping[int, int] = field(default_factory=dict)
    """Timescales of all tracks, by their ids."""

    def take(self, found: Fragments) -> None:
        """These are its fragments, as it tells itself."""
        self.fragments, self.end = found, found.end


def opening(init: bytes, about: About) -> bytes:
    """The first bytes of a new file, of a muxer's `init` (ftyp and moov). Raises BadBox."""
    found = head(init[:HEADER])
    if found is None or found.name != b"ftyp":
        raise BadBox("an initialisation section begins with ftyp")
    moov = init[found.size :]
    begin, end = child(moov, b"moov")
    words = [text.encode() for text in (about.id, about.app, about.name, about.stream_id)]
    said = struct.pack(">Q", round(about.wall * 1000)) + b"".join(bytes([len(word)]) + word for word in words)
    return init[: found.size] + FREE + box(b"moov", moov[begin:end], box(b"uuid", ABOUT, said))


def mark(wall: float, at: int, *, seam: bool) -> bytes:
    """The mark before a fragment that begins at that tick of the file."""
    when = struct.pack(">IQII", TICKS, at, 0, 0)
    said = struct.pack(">Q", round(wall * 1000))
    return full_box(b"emsg", 1, 0, when, _SCHEME, _SEAM if seam else _CLOCK, said)


def told_range(line: str, at: int) -> bytes:
    """What stands before a fragment that begins at that tick of the file, for a date range: its line in playlists."""
    when = struct.pack(">IQII", TICKS, at, 0, 0)
    return full_box(b"emsg", 1, 0, when, _RANGES, line.encode())


def hiding(room: int, moov_at: int) -> bytes:
    """What overwrites `free`: the header of an mdat that ends where the full moov begins."""
    return struct.pack(">I4sQ", 1, b"mdat", moov_at - room)


def open_layout(read: Read) -> Layout:
    """Reads the beginning of a file, no fragment yet. Raises BadBox where it is not one of ours."""
    first = read(0, MAX_HEADER)
    ftyp = head(first)
    if ftyp is None or ftyp.name != b"ftyp" or ftyp.size > 4096:
        raise BadBox("no ftyp")
    room = ftyp.size
    hidden = head(first[room : room + HEADER])
    if hidden is None or (hidden.name, hidden.header, hidden.size == 16) not in {
        (b"free", 8, True),
        (b"mdat", 16, False),
    }:
        raise BadBox("no room for an mdat behind ftyp")
    at = room + 16
    moov = head(first[at : at + HEADER])
    if moov is None or moov.name != b"moov" or at + moov.size > len(first):
        raise BadBox("no moov")
    body = first[at : at + moov.size]
    leading, scales = _tracks(body)
    layout = Layout(first[:room] + FREE + body, room, _about(body), leading, at + moov.size, scales=scales)
    if hidden.name == b"mdat":
        behind = head(read(room + hidden.size, HEADER))
        layout.finished = behind is not None and behind.name == b"moov"
    return layout


def walk(  # noqa: C901 - each way in which it is none
    read: Read, layout: Layout, limit: int
) -> Iterator[tuple[Fragment, list[TrackRun]]]:
    """The whole fragments from `layout.end` on, up to byte `limit`; `layout.end` goes along. Ends at what is none."""
    track, _ = layout.leading
    at = layout.end
    limit = min(limit, _hidden_end(read, layout, limit))
    while True:
        begin, found_mark, ranges = at, None, list[str]()
        octets = read(at, _LOOK)
        while octets[4:8] in _BEFORE:
            found = head(octets[:HEADER])
            if found is None or at + found.size - begin > _MAX_BEFORE:
                return
            found_mark = _mark(octets[: found.size]) or found_mark
            ranges += _line(read, at, octets, found.size)
            at += found.size
            octets = octets[found.size :] if len(octets) >= found.size + _TOLD else read(at, _LOOK)
        if octets[4:8] != b"moof":
            return
        size = int.from_bytes(octets[:4], "big")
        if size > MAX_MOOF or at + size > limit:
            return
        if size + HEADER > len(octets):
            octets = read(at, size + HEADER)
        data = head(octets[size : size + HEADER])
        if data is None or data.name != b"mdat":
            return
        stop = at + size + data.size
        if stop > limit:
            return
        try:
            runs = track_runs(octets[:size], at)
        except BadBox:
            return
        if not _lie_within(runs, at + size + data.header, stop):
            return
        # Where it is, is told from its moof; what is read of it begins with its mark.
        lead = runs[0]
        if lead.track != track:
            lead = next((run for run in runs if run.track == track), lead)
        rate = layout.scales.get(lead.track, TICKS)
        first = lead.decode * TICKS // rate
        last = lead.end * TICKS // rate
        if first >= FURTHEST or last - first >= LONGEST:
            return
        key = lead.track == track and bool(lead.flags) and is_sync(lead.flags[0])
        yield Fragment(begin, stop - begin, first, last, key, found_mark, tuple(ranges)), runs
        layout.end = at = stop


def _lie_within(runs: list[TrackRun], start: int, stop: int) -> bool:
    """Whether there are samples, and all between these bytes."""
    for run in runs:
        if run.offset < start or run.offset + sum(run.sizes) > stop:
            return False
    return bool(runs)


def scan(read: Read, size: int) -> Layout:
    """A whole file's layout, `size` bytes. Raises BadBox where it is not one of ours."""
    layout = open_layout(read)
    if not use_index(read, layout, size):
        for fragment, _ in walk(read, layout, size):
            layout.fragments.append(fragment)
    return layout


def use_index(read: Read, layout: Layout, size: int) -> bool:
    """Takes the fragments of a finished file from the index at its end; False if it has none that fits it."""
    found = _index(read, layout, size) if layout.finished else None
    if found is not None:
        layout.take(found)
    return found is not None


def _index(read: Read, layout: Layout, size: int) -> Fragments | None:
    begin = _hidden_end(read, layout, size)
    moov = head(read(begin, HEADER))
    if moov is None or begin + moov.size > size:
        return None
    at, end = begin + moov.header, begin + moov.size
    for _ in range(_MAX_BOXES):
        found = head(read(at, HEADER))
        if found is None or at + found.size > end:
            return None
        if found.name == b"uuid" and at + found.size == end:
            return Fragments.read(read(at + found.header, found.size - found.header), layout.end, begin)
        at += found.size
    return None


def _hidden_end(read: Read, layout: Layout, limit: int) -> int:
    """Where the mdat ends that hides the fragments, if it does already."""
    hidden = head(read(layout.room, HEADER))
    return layout.room + hidden.size if hidden is not None and hidden.name == b"mdat" else limit


def _mark(octets: bytes) -> Mark | None:
    at = 32 + len(_SCHEME)
    if octets[4:9] != b"emsg\1" or octets[32:at] != _SCHEME:
        return None
    seam = octets[at:].startswith(_SEAM)
    at += len(_SEAM if seam else _CLOCK)
    if len(octets) != at + 8:
        return None
    return Mark(int.from_bytes(octets[at:], "big") / 1000, seam)


def _line(read: Read, at: int, octets: bytes, size: int) -> list[str]:
    """A date range's line; none where it is no such thing: what is read here goes into a playlist as it is."""
    if octets[32 : 32 + len(_RANGES)] != _RANGES or size > LONGEST_LINE + 128:
        return []
    octets = read(at, size)
    line = octets[32 + len(_RANGES) :].decode("utf-8", "replace")
    return [line] if octets[4:9] == b"emsg\1" and is_line(line) else []


def _about(moov: bytes) -> About | None:
    for name, start, end in children(moov, 8):
        if name == b"uuid" and moov[start : start + 16] == ABOUT:
            (wall,) = struct.unpack_from(">Q", moov, start + 16)
            at, words = start + 24, []
            for _ in range(4):
                if at >= end or at + 1 + moov[at] > end:
                    return None
                words.append(moov[at + 1 : at + 1 + moov[at]].decode("utf-8", "replace"))
                at += 1 + moov[at]
            return About(words[0], words[1], words[2], words[3], wall / 1000)
    return None


def _tracks(moov: bytes) -> tuple[tuple[int, int], dict[int, int]]:
    """Track id and timescale of the pictures, or of the first track; the timescales of all."""
    found: list[tuple[bool, int, int]] = []
    for name, start, end in children(moov, 8):
        if name == b"trak":
            found.append(track_of(moov, start, end))
    if not found:
        raise BadBox("no track")
    found.sort(key=lambda one: (not one[0], one[1]))
    return found[0][1:], {track: scale for _, track, scale in found}


def track_of(moov: bytes, start: int, end: int) -> tuple[bool, int, int]:
    """Of a trak's content: whether it has pictures, its id, its timescale. Raises BadBox."""
    try:
        at, _ = child(moov, b"tkhd", start, end)
        (track,) = struct.unpack_from(">I", moov, at + (20 if moov[at] == 1 else 12))
        mdia = child(moov, b"mdia", start, end)
        at, _ = child(moov, b"mdhd", *mdia)
        (scale,) = struct.unpack_from(">I", moov, at + (20 if moov[at] == 1 else 12))
        at, _ = child(moov, b"hdlr", *mdia)
    except struct.error as error:
        raise BadBox(f"a box is too short: {error}") from None
    return moov[at + 8 : at + 12] == b"vide", track, scale or TICKS
