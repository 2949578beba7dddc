"""The form in which the relay hands media to the process that reads it: stretches of one container each, on its input.

A record is its kind (1 byte), a length (4 bytes, big-endian) and that many bytes. `BEGIN` names the container of what
follows, up to the next one; `DATA` is some of it; after `END` nothing comes. An input that ends without `END` has lost
its relay.
"""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = struct.Struct(">BI")
BEGIN: Final = 1
DATA: Final = 2
END: Final = 3
PIECE: Final = 64 * 1024
"""Bytes of one record at most."""
FORMS: Final = ("mpegts", "mp4", "aac")
"""What a stretch may be, in libavformat's names."""


def record(kind: int, body: bytes | memoryview = b"") -> bytes:
    """One record."""
    return HEADER.pack(kind, len(body)) + body


def form_of(body: bytes) -> str:
    """The container that a segment is in, by its first bytes; "" if it is none that is carried.

    MPEG-TS begins with a sync byte, fMP4 with a box, packed AAC with an ID3 tag or a frame: RFC 8216bis §3.
    """
    if body[:1] == b"G":
        return "mpegts"
    if body[4:8] in {b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft"}:
        return "mp4"
    if body[:3] == b"ID3" or (len(body) > 1 and body[0] == 0xFF and body[1] & 0xF6 == 0xF0):
        return "aac"
    return ""
