"""Is a film that comes segment by segment, and the notes by which whoever goes on knows how far it is.

A note is a line: number of the segment, bytes of the film with it, ms of media, whether it is live, and what its
initialisation section was. It is written behind the bytes; what stands behind the last whole note is cut off. Blocks.
"""

from __future__ import annotations

import os
import re
from typing import Final

_NOTE: Final = re.compile(rb"(-?[0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,12}) (live|whole) (.{0,20000})", re.ASCII)
_MOST: Final = 64 << 20
"""Bytes of notes: a day of segments of a second, and long addresses of initialisation sections."""


class SegmentFile:
    """`media` and `notes` are descriptors of files that are appended to, empty or as they were left."""

    def __init__(self, media: int, notes: int) -> None:
        self._media = media
        self._notes = notes
        self.last = -1
        """Number of the last segment that is there, or is left out."""
        self.size = 0
        self.seconds = 0.0
        self.init = ""
        self.live = False
        """Whether it is recorded as it comes: what is there of it is a film then."""
        size, whole = os.fstat(media).st_size, 0
        octets = os.pread(notes, _MOST, 0)
        for line in octets.split(b"\n")[:-1]:
            found = _NOTE.fullmatch(line)
            if found is None or int(found[2]) > size:
                break
            whole += len(line) + 1
            self.last, self.size, self.seconds = int(found[1]), int(found[2]), int(found[3]) / 1000
            self.live, self.init = found[4] == b"live", found[5].decode(errors="replace")
        os.ftruncate(notes, whole)
        os.ftruncate(media, self.size)

    def add(self, number: int, octets: bytes, seconds: float) -> None:
        """The next segment. Raises OSError."""
        _write(self._media, octets)
        self.last, self.size = number, self.size + len(octets)
        self.seconds += seconds if octets else 0.0
        init = self.init.replace("\n", "")[:4096]
        kind = "live" if self.live else "whole"
        _write(self._notes, f"{number} {self.size} {round(self.seconds * 1000)} {kind} {init}\n".encode())


def _write(fd: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(fd, view) :]
