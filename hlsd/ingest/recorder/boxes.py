"""Takes boxes of ISO/IEC 14496-12 apart: what a recording's `moov` and `moof` say. Pure; raises MediaError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.pieces import RecordedTrack, opus_head, printable
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hlsd.media.codecs import VideoCodec
    from hlsd.ports.converted_pictures import Convertible

BOXES: Final = 1024
"""Boxes in one."""
_PICTURES: Final[dict[bytes, tuple[VideoCodec, bytes]]] = {
    b"avc1": ("h264", b"avcC"), b"avc3": ("h264", b"avcC"), b"hvc1": ("h265", b"hvcC"), b"hev1": ("h265", b"hvcC"),
    b"av01": ("av1", b"av1C"),
}  # fmt: skip
_CONVERTIBLE: Final[dict[bytes, Convertible]] = {b"vp08": "vp8", b"vp09": "vp9"}
_NAMES: Final = {b"vp08": "VP8", b"vp09": "VP9", b"encv": "encrypted", b"enca": "encrypted"}
_PICTURE_ENTRY: Final = 78
"""Bytes of a VisualSampleEntry before its boxes (§12.1.3)."""
_SOUND_ENTRY: Final = 28
"""And of an AudioSampleEntry (§12.2.3)."""


class MovieTrack(NamedTuple):
    """A track of a `moov`.

    `timescale`: ticks a second. `shift`: ticks that its first sample is shown later than its time says (an edit list).
    `duration`, `size` and `flags` are what fragments take for granted of a sample.
    """

    track: RecordedTrack
    timescale: int
    shift: int
    duration: int = 0
    size: int = 0
    flags: int = 0


def boxes(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box from `at` on."""
    for _ in range(BOXES):
        if at >= len(data):
            return
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size < 8 or at + size > len(data):
            raise MediaError("a box that goes beyond the one it is in")
        yield kind, data[at + 8 : at + size]
        at += size
    raise MediaError("a box of too many parts")


def find(data: bytes, *path: bytes) -> bytes:
    """The content of the first box on that path; nothing if there is none."""
    for step in path:
        data = next((content for kind, content in boxes(data) if kind == step), b"")
    return data


def number(data: bytes, at: int, size: int = 4) -> int:
    """An unsigned number of a box."""
    if at < 0 or at + size > len(data):
        raise MediaError("a box that is cut short")
    return int.from_bytes(data[at : at + size], "big")


def read_movie(moov: bytes) -> dict[int, MovieTrack]:
    """The tracks of a `moov` by their ids, those that are pictures or sound."""
    parts = list(boxes(moov))
    scale = number(find(moov, b"mvhd"), 20 if find(moov, b"mvhd")[:1] == b"\1" else 12)
    found: dict[int, MovieTrack] = {}
    for kind, trak in parts:
        if kind == b"trak" and (read := _read_track(trak, scale)) is not None:
            if read[0] in found:
                raise MediaError("two tracks of one number")
            found[read[0]] = read[1]
    for kind, trex in boxes(find(moov, b"mvex")):
        if kind == b"trex" and (old := found.get(number(trex, 4))) is not None:
            found[number(trex, 4)] = old._replace(
                duration=number(trex, 12), size=number(trex, 16), flags=number(trex, 20)
            )
    return found


def _read_track(trak: bytes, scale: int) -> tuple[int, MovieTrack] | None:
    handler = find(trak, b"mdia", b"hdlr")[8:12]
    if handler not in (b"vide", b"soun"):
        return None
    tkhd, mdhd = find(trak, b"tkhd"), find(trak, b"mdia", b"mdhd")
    ident = number(tkhd, 20 if tkhd[:1] == b"\1" else 12)
    timescale = number(mdhd, 20 if mdhd[:1] == b"\1" else 12)
    if not timescale or not scale:
        raise MediaError("a scale of times that is none")
    stsd = find(trak, b"mdia", b"minf", b"stbl", b"stsd")
    kind, entry = next(boxes(stsd, 8), (b"", b""))
    track = _picture(kind, entry) if handler == b"vide" else _sound(kind, entry)
    return ident, MovieTrack(track, timescale, _shift(find(trak, b"edts", b"elst"), timescale, scale))


def _shift(elst: bytes, timescale: int, scale: int) -> int:
    """What an edit list says of the beginning (§8.6.6): empty edits, then where in the media it begins."""
    if not elst:
        return 0
    wide = 8 if elst[0] == 1 else 4
    shift = 0
    for index in range(min(number(elst, 4), 4)):
        at = 8 + index * (2 * wide + 4)
        length, begins = number(elst, at, wide), number(elst, at + wide, wide)
        if begins != (1 << 8 * wide) - 1:
            return shift - begins
        shift += length * timescale // scale
    return shift


def _name(kind: bytes) -> str:
    return _NAMES.get(kind) or printable(kind.decode("ascii", "replace"))


def _picture(kind: bytes, entry: bytes) -> RecordedTrack:
    codec, record = _PICTURES.get(kind, (None, b""))
    if codec is None:
        return RecordedTrack(Kind.VIDEO, _name(kind), convertible=_CONVERTIBLE.get(kind))
    return RecordedTrack(Kind.VIDEO, _name(kind), codec, find(entry[_PICTURE_ENTRY:], record))


def _sound(kind: bytes, entry: bytes) -> RecordedTrack:
    if kind not in (b"mp4a", b"Opus"):
        return RecordedTrack(Kind.AUDIO, _name(kind))
    channels, rate = number(entry, 16, 2), number(entry, 24, 2)
    inner = entry[_SOUND_ENTRY:]
    if kind == b"Opus":
        told = find(inner, b"dOps")
        number(told, 0, 11)  # all of it is there (Opus in ISOBMFF §4.3.2)
        head = opus_head(told[1], told[2:4], told[4:8], told[8:10], told[10:])
        return RecordedTrack(Kind.AUDIO, "Opus", form=SoundFormat("opus", head, 48_000, told[1]))
    codec, config = _descriptors(find(inner, b"esds")[4:])
    form = SoundFormat(codec, config, rate, channels) if codec else None
    return RecordedTrack(Kind.AUDIO, "mp4a", form=form)


def _descriptors(data: bytes) -> tuple[str, bytes]:
    """What decodes the sound of an `esds`, and its configuration (ISO/IEC 14496-1 §7.2.6): "" if nothing does."""
    codec = ""
    at = 0
    for _ in range(8):
        tag = number(data, at, 1)
        at, size = at + 1, 0
        for _ in range(4):
            octet = number(data, at, 1)
            at, size = at + 1, size << 7 | octet & 0x7F
            if octet < 0x80:
                break
        if tag == 3:  # ES_Descriptor: its flags say what stands before the next one
            flags = number(data, at + 2, 1)
            at += 3 + (2 if flags & 0x80 else 0)
            at += (1 + number(data, at, 1)) if flags & 0x40 else 0
            at += 2 if flags & 0x20 else 0
        elif tag == 4:
            codec = {0x40: "aac", 0x67: "aac", 0x69: "mp3", 0x6B: "mp3"}.get(number(data, at, 1), "")
            if codec != "aac":
                return codec, b""
            at += 13
        elif tag == 5:
            number(data, at, size or 1)
            return codec, data[at : at + size]
        else:
            at += size
    raise MediaError("descriptors that say nothing")
