"""Writes ID3 tags, version 2.4: what players know as timed metadata, in MPEG-TS and in fMP4.

Law: nothing in a tag is compressed, encrypted or unsynchronised, and text is UTF-8. Descriptions are printable ASCII:
hls.js counts characters where the tag has bytes. Sources: ID3 tag version 2.4.0, Main Structure (§3.1, §4) and Native
Frames (§4.2, §4.2.6, §4.27).
"""

from __future__ import annotations

import json
import re
import struct
from typing import Final

_UTF8: Final = b"\x03"
"""ID3 2.4.0 §4: "$03 UTF-8 encoded Unicode. Terminated with $00"."""
LARGEST: Final = (1 << 28) - 1
"""Bytes: "the ID3v2 tag size is encoded with four bytes where the most significant bit is set to zero"."""
_TEXT: Final = re.compile(r"T[A-Z0-9]{3}", re.ASCII)
_DESCRIPTION: Final = re.compile(r"[\x20-\x7e]{1,256}", re.ASCII)


def is_text_frame(name: str) -> bool:
    """Whether it is the name of a text frame (TIT2 and such), which TXXX is not: that one needs a description."""
    return _TEXT.fullmatch(name) is not None and name != "TXXX"


def is_description(text: str) -> bool:
    """Whether a TXXX frame may be called so."""
    return _DESCRIPTION.fullmatch(text) is not None


def tag(*frames: bytes) -> bytes:
    """A whole tag of these frames. §3.1: identifier, version 4.0, no flags, size without the header."""
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _synchsafe(len(body)) + body


def user_text(description: str, value: str) -> bytes:
    """A TXXX frame (§4.2.6): encoding, description, zero, value. Raises ValueError for a description that is none."""
    if not is_description(description):
        raise ValueError("a description is printable ASCII")
    return _frame(b"TXXX", b"".join((_UTF8, description.encode(), b"\0", _text(value))))


def text(name: str, value: str) -> bytes:
    """A text frame, such as TIT2 (§4.2). Raises ValueError for what is none."""
    if not is_text_frame(name):
        raise ValueError("text frames are called T and three capitals or digits")
    return _frame(name.encode(), _UTF8 + _text(value))


def as_json(value: object) -> str:
    """How a value is said in a TXXX frame: JSON without spaces. Raises ValueError for a number that JSON has not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def private(owner: str, octets: bytes) -> bytes:
    """A PRIV frame (§4.27): whose it is, zero, anything. Raises ValueError for an owner that is none."""
    if not is_description(owner):
        raise ValueError("an owner is printable ASCII")
    return _frame(b"PRIV", b"".join((owner.encode(), b"\0", octets)))


def _frame(name: bytes, content: bytes) -> bytes:
    """§4: the name, the size without these ten bytes, two bytes of flags."""
    return b"".join((name, _synchsafe(len(content)), b"\0\0", content))


def _text(value: str) -> bytes:
    """Zero ends a text, so there is none in it."""
    return value.replace("\0", "").encode("utf-8", "replace")


def _synchsafe(size: int) -> bytes:
    """§6.2: seven bits of each byte."""
    if size > LARGEST:
        raise ValueError("larger than a tag can be")
    return struct.pack(">BBBB", size >> 21, size >> 14 & 0x7F, size >> 7 & 0x7F, size & 0x7F)
