"""Takes what libavformat's mp4 muxer writes and keeps it as a recording is kept: one file that is HLS and plain MP4.

libavformat writes fragments, a key picture at the head of each; the file gets the 16 bytes behind `ftyp` that hide
them once the full `moov` stands at its end (`hlsd.record.shape`). Law: no byte of media is moved, and what is not
finished can be seen to be so. In the media process.
"""

from __future__ import annotations

import os
from typing import Any, Final, cast

import av

from hlsd.base.errors import MediaError
from hlsd.record.boxes import HEADER, BadBox, head
from hlsd.record.repair import Empty, Finished, finish
from hlsd.record.shape import About, opening

FRAGMENT: Final = 1.0
"""Seconds that a fragment has at least; it ends before the next key picture."""
LONGEST: Final = 4.0
"""Seconds after which it ends at any picture."""
ORIGIN: Final = 10.0
"""Seconds at which a film begins in the file, so that nothing is decoded before 0; players begin at what is first."""
APART: Final = 25.0
"""Seconds of a track that libavformat keeps while others have none: more than sound may stand behind the pictures."""
BUFFER: Final = 1 << 20
"""Bytes that libavformat writes at a time: each time is a turn of Python's."""
_MAX_INIT: Final = 1 << 20


class HybridFile:
    """What libavformat writes into: `fd` is an empty file. It can be written, not sought in."""

    def __init__(self, fd: int, about: About) -> None:
        self._fd = fd
        self._about = about
        self._init = bytearray()
        self._begun = False

    def write(self, octets: bytes) -> int:
        """Takes bytes. Raises OSError, MediaError."""
        size = len(octets)
        if not self._begun:
            self._init += octets
            whole = self._opening()
            if whole is None:
                return size
            octets, self._begun = whole, True
        _write_all(self._fd, octets)
        return size

    def _opening(self) -> bytes | None:
        """The beginning of the file and what follows it, once ftyp and moov are there."""
        ftyp = head(bytes(self._init[:HEADER]))
        if ftyp is None or len(self._init) < ftyp.size + HEADER:
            return None
        moov = head(bytes(self._init[ftyp.size : ftyp.size + HEADER]))
        if len(self._init) > _MAX_INIT or moov is None or moov.name != b"moov":
            raise MediaError("the muxer begins with no moov")
        end = ftyp.size + moov.size
        if len(self._init) < end:
            return None
        try:
            return opening(bytes(self._init[:end]), self._about) + bytes(self._init[end:])
        except BadBox as error:
            raise MediaError(str(error)) from None


def _write_all(fd: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(fd, view) :]


def muxer(file: HybridFile) -> Any:  # noqa: ANN401 - an OutputContainer; its stubs differ by version
    """Libavformat's muxer that writes into it."""
    options = {
        "movflags": "empty_moov+default_base_moof+frag_keyframe+skip_trailer+frag_discont",
        "use_editlist": "0",  # and with `frag_discont`: times are written as they are, each track's its own
        "avoid_negative_ts": "disabled",
        "brand": "iso6",
        "min_frag_duration": str(int(FRAGMENT * 1e6)),
        "frag_duration": str(int(LONGEST * 1e6)),
        "video_track_timescale": "90000",
        "flush_packets": "0",
        "max_interleave_delta": str(int(APART * 1e6)),
    }
    return av.open(cast(Any, file), "w", format="mp4", options=options, buffer_size=BUFFER)


def finished(fd: int) -> Finished:
    """Puts the full moov behind what was written. Raises MediaError."""
    try:
        return finish(fd)
    except (BadBox, Empty) as error:
        raise MediaError(str(error) or "nothing came of it") from None
