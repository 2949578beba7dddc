"""Packs what frames tell of segments and parts, numbers and names before the media, and reads it back. Pure.

Names are parts of paths: letters, digits, dots, "-" and "_", nothing else, so that none of them leads elsewhere.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError
from hlsd.segmenter.feed.frames import Octets

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SEGMENT: Final = struct.Struct(">QdBB")
_PART: Final = struct.Struct(">QIBBB")
_WHOLE: Final = struct.Struct(">QQ")
_CLOSE: Final = struct.Struct(">Q")
_SLIDE: Final = struct.Struct(">QQQ")
_INIT: Final = struct.Struct(">B")


class SegmentHead(NamedTuple):
    """A segment begins; `init` is the name of its initialisation section, empty for none; `date` as `Segment.date`."""

    msn: int
    date: float
    discontinuity: bool
    independent: bool
    name: str
    init: str


class PartHead(NamedTuple):
    """A part of it: `duration` in ticks; `hint` is the name of the next one."""

    number: int
    duration: int
    independent: bool
    gap: bool
    mapped: bool
    name: str
    hint: str


class Slide(NamedTuple):
    """`listed`: the first number in the playlist; `kept`: the first that is served; `timeline` of the first listed."""

    listed: int
    kept: int
    timeline: int


def pack_segment(head: SegmentHead) -> bytes:
    """The body of a `SEGMENT`."""
    name, init = head.name.encode(), head.init.encode()
    flags = head.discontinuity | head.independent << 1
    return _SEGMENT.pack(head.msn, head.date, flags, len(name)) + name + init


def read_segment(body: Octets) -> SegmentHead:
    """The same back. Raises ProtocolError."""
    msn, date, flags, size = _unpack(_SEGMENT, body)
    if not math.isfinite(date) or not 0 <= date < 1 << 37 or flags > 3:
        raise ProtocolError("a segment of no date")
    names = bytes(body[_SEGMENT.size :])
    init = names[size:]
    return SegmentHead(msn, date, bool(flags & 1), bool(flags & 2), _name(names[:size]), _name(init) if init else "")


def pack_part(head: PartHead) -> bytes:
    """The body of a `PART` before its media."""
    name, hint = head.name.encode(), head.hint.encode()
    flags = head.independent | head.gap << 1 | head.mapped << 2
    return _PART.pack(head.number, head.duration, flags, len(name), len(hint)) + name + hint


def read_part(body: Octets) -> tuple[PartHead, Octets]:
    """The same back, and the media. Raises ProtocolError."""
    number, duration, flags, size, hint = _unpack(_PART, body)
    at = _PART.size
    if flags > 7:
        raise ProtocolError("a part with flags of no meaning")
    name, following = body[at : at + size], body[at + size : at + size + hint]
    bits = bool(flags & 1), bool(flags & 2), bool(flags & 4)
    return PartHead(number, duration, *bits, _name(name), _name(following)), body[at + size + hint :]


def pack_whole(msn: int, duration: int) -> bytes:
    """The body of a `WHOLE` before its media."""
    return _WHOLE.pack(msn, duration)


def read_whole(body: Octets) -> tuple[int, int, Octets]:
    """Number, duration and media of a segment without parts. Raises ProtocolError."""
    msn, duration = _unpack(_WHOLE, body)
    return msn, duration, body[_WHOLE.size :]


def pack_close(msn: int) -> bytes:
    """The body of a `CLOSE`."""
    return _CLOSE.pack(msn)


def read_close(body: Octets) -> int:
    """The number of the segment that is finished. Raises ProtocolError."""
    return int(_unpack(_CLOSE, body)[0])


def pack_slide(slide: Slide) -> bytes:
    """The body of a `SLIDE`."""
    return _SLIDE.pack(*slide)


def read_slide(body: Octets) -> Slide:
    """The same back. Raises ProtocolError."""
    return Slide(*_unpack(_SLIDE, body))


def pack_init(name: str) -> bytes:
    """The body of an `INIT` before its octets."""
    return _INIT.pack(len(name)) + name.encode()


def read_init(body: Octets) -> tuple[str, bytes]:
    """Name and octets of an initialisation section. Raises ProtocolError."""
    (size,) = _unpack(_INIT, body)
    return _name(body[1 : 1 + size]), bytes(body[1 + size :])


def _unpack(form: struct.Struct, body: Octets) -> tuple[int, ...]:
    try:
        return form.unpack_from(body)
    except struct.error as error:
        raise ProtocolError("a frame that is too short") from error


def _name(octets: Octets) -> str:
    name = bytes(octets).decode("latin-1")
    if NAME.fullmatch(name) is None:
        raise ProtocolError("a frame with a name that is none")
    return name
