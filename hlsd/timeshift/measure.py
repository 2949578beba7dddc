"""Reads from a recording's file what the tape must know of it: its segments, and what a player needs before it plays.

Blocks: for a thread. Law: a file is read once, when it has ended; whoever reads it lets others run after each few
fragments.
"""

from __future__ import annotations

import os
import struct
import time
from typing import Final

from hlsd.media.unit import TICKS
from hlsd.record.boxes import BadBox, child, children
from hlsd.record.folder import RecordFolder
from hlsd.record.index import Row
from hlsd.record.repair import BREATH, reader
from hlsd.record.segments import spans
from hlsd.record.shape import Layout, Read, open_layout, track_of, use_index, walk
from hlsd.timeshift.tape import TapeFacts, TapeSegment, segments_of

LOOKED_AT: Final = 8
"""Fragments by which the pictures in a second are told."""


def measure(folder: RecordFolder, row: Row) -> tuple[list[TapeSegment], TapeFacts]:
    """All segments of a file that has ended, and its facts; none of one that cannot be read. Raises OSError."""
    fd = folder.open(row.path, part=True)
    try:
        read, size = reader(fd), os.fstat(fd).st_size
        layout = open_layout(read)
        if not use_index(read, layout, size):
            for count, (fragment, _) in enumerate(walk(read, layout, size), 1):
                layout.fragments.append(fragment)
                if not count % BREATH:
                    time.sleep(0)
        return segments_of(spans(layout.fragments, whole=True), row.started_ms / 1000), facts_of(read, row.codecs)
    except BadBox:
        return [], TapeFacts(row.codecs)
    finally:
        os.close(fd)


def facts_of(read: Read, codecs: str) -> TapeFacts:
    """What the beginning of a file says. Raises BadBox."""
    layout = open_layout(read)
    pictures = ticks = 0
    for count, (fragment, runs) in enumerate(walk(read, layout, 1 << 62), 1):
        lead = next((run for run in runs if run.track == layout.leading[0]), None)
        if lead is not None:
            pictures += len(lead.sizes)
            ticks += fragment.end - fragment.start
        if count >= LOOKED_AT:
            break
    width, height = _size(layout)
    return TapeFacts(codecs, width, height, pictures * TICKS / ticks if ticks and width else 0.0)


def _size(layout: Layout) -> tuple[int, int]:
    """Width and height of the pictures; 0 where there are none."""
    moov = layout.init[layout.room + 16 :]
    for name, start, end in children(moov, 8):
        if name == b"trak" and track_of(moov, start, end)[0]:
            at, stop = child(moov, b"tkhd", start, end)
            if stop - at >= 8:
                width, height = struct.unpack_from(">II", moov, stop - 8)  # 16.16, at the end of the box
                return width >> 16, height >> 16
    return 0, 0
