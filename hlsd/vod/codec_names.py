"""Reads from the head of a file what CODECS should say of it (RFC 6381), of what our own muxer wrote. Pure."""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError
from hlsd.media.codecs import VideoCodec, read_video_record
from hlsd.record.boxes import BadBox, child, children

_VIDEO: Final[dict[bytes, tuple[VideoCodec, bytes]]] = {b"avc1": ("h264", b"avcC"), b"hvc1": ("h265", b"hvcC")}
_ENTRY: Final = {b"vide": 78, b"soun": 28}
"""Bytes of a sample entry before the boxes within it (ISO/IEC 14496-12 §12.1.3, §12.2.3)."""


def codecs_of(init: bytes) -> str:
    """The codecs of all tracks, each once, with commas between; a track of another codec is left out."""
    found = []
    try:
        for name, at, end in children(init, *child(init, b"moov")):
            if name == b"trak":
                found.append(_of_track(init, at, end))
    except (BadBox, MediaError, IndexError):
        return ""
    return ",".join(dict.fromkeys(one for one in found if one))


def _of_track(init: bytes, at: int, end: int) -> str:
    mdia = child(init, b"mdia", at, end)
    handler = child(init, b"hdlr", *mdia)[0]
    kind = init[handler + 8 : handler + 12]
    stbl = child(init, b"stbl", *child(init, b"minf", *mdia))
    begin, stop = child(init, b"stsd", *stbl)
    name, entry, last = next(children(init, begin + 8, stop))
    inside = entry + _ENTRY.get(kind, 0)
    if name in _VIDEO:
        codec, box = _VIDEO[name]
        record = init[slice(*child(init, box, inside, last))]
        return str(read_video_record(codec, record)[0].codec_string)
    if name == b"mp4a":
        return _aac(init[slice(*child(init, b"esds", inside, last))])
    return ""


def _aac(esds: bytes) -> str:
    """`mp4a.40.` with the object type of the configuration (ISO/IEC 14496-3 §1.6.2.1)."""
    at = esds.find(b"\x05", 20)  # DecSpecificInfoTag, behind the 13 bytes that say what decodes it
    if at < 0:
        return "mp4a.40.2"
    at += 1
    while esds[at] & 0x80:  # a length of seven bits a byte
        at += 1
    return f"mp4a.40.{esds[at + 1] >> 3}"
