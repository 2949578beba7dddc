"""Reads Matroska and WebM as they grow: RFC 9559 in EBML, RFC 8794.

Of a segment it takes tracks, and the blocks of its clusters; both may be of unknown size, as live ones are. Law: an
element is taken as a whole or skipped, never kept beyond its bound; lacing, compression and encryption are refused;
what is unknown is skipped. Where the bytes are cut means nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.ingest.recorder.pieces import (
    ELEMENT_LIMIT,
    HEADER_LIMIT,
    PIECES_LIMIT,
    LargeElement,
    RecordedItem,
    RecordedPiece,
    RecordedTrack,
    RecordedTracks,
    check_tracks,
    printable,
)
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hlsd.media.codecs import VideoCodec
    from hlsd.ports.converted_pictures import Convertible

_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SEEK_HEAD, _CUES, _CHAPTERS, _TAGS, _ATTACHMENTS = 0x114D9B74, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469
_DOC_TYPE, _SCALE, _TIMESTAMP = 0x4282, 0x2AD7B1, 0xE7
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _REFERENCE = 0xA3, 0xA0, 0xA1, 0xFB
_ENTRY, _NUMBER, _TYPE, _CODEC, _PRIVATE, _ENCODINGS = 0xAE, 0xD7, 0x83, 0x86, 0x63A2, 0x6D80
_AUDIO, _RATE, _CHANNELS, _DEPTH = 0xE1, 0xB5, 0x9F, 0x6264

_TOP: Final = frozenset((_EBML, _SEGMENT))
_OF_SEGMENT: Final = frozenset((_INFO, _TRACKS, _CLUSTER, _SEEK_HEAD, _CUES, _CHAPTERS, _TAGS, _ATTACHMENTS))
_WHOLE: Final = {
    _EBML: HEADER_LIMIT, _INFO: HEADER_LIMIT, _TRACKS: HEADER_LIMIT, _TIMESTAMP: 8,
    _SIMPLE_BLOCK: ELEMENT_LIMIT, _BLOCK_GROUP: ELEMENT_LIMIT,
}  # fmt: skip
"""What is taken as a whole, and how long it may be."""
_PLACES: Final = {
    _EBML: 0, _SEGMENT: 0, **dict.fromkeys(_OF_SEGMENT, 1), _TIMESTAMP: 2, _SIMPLE_BLOCK: 2, _BLOCK_GROUP: 2,
}  # fmt: skip
"""How deep what is known stands: at the top, in a segment, in a cluster."""
_UNKNOWN: Final = -1
DEPTH: Final = 4
"""Masters within one another: segment, tracks, a track, its sound."""
_SCALE_LIMIT: Final = 1_000_000_000

_PICTURES: Final[dict[bytes, VideoCodec]] = {
    b"V_MPEG4/ISO/AVC": "h264", b"V_MPEGH/ISO/HEVC": "h265", b"V_AV1": "av1",
}  # fmt: skip
_NAMES: Final = {b"V_VP8": "VP8", b"V_VP9": "VP9", b"A_VORBIS": "Vorbis"}
_CONVERTIBLE: Final[dict[bytes, Convertible]] = {b"V_VP8": "vp8", b"V_VP9": "vp9"}
_SOUNDS: Final = {
    b"A_OPUS": "opus", b"A_AAC": "aac", b"A_MPEG/L3": "mp3", b"A_FLAC": "flac", b"A_AC3": "ac3", b"A_EAC3": "eac3",
}  # fmt: skip


class ElementHead(NamedTuple):
    """The head of an element: id, size of its payload (-1: unknown), bytes of the head itself."""

    id: int
    size: int
    length: int


class MatroskaReader:
    """One recording after the other. `held` bytes wait for the rest of their element."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        """Bytes before those."""
        self._want = 2
        """Bytes without which nothing can go on."""
        self._skip = 0
        self._ends: list[int] = []
        """Where segment and cluster end, as far as they are open; -1 if that is not known."""
        self._scale = 1_000_000
        self._base = 0
        self._tracks: dict[int, RecordedTrack] = {}

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    @property
    def position(self) -> int:
        """Where what is looked at begins, bytes from the beginning."""
        return self._at

    def feed(self, octets: bytes) -> list[RecordedItem]:
        """What is whole now. Raises MediaError, LargeElement."""
        self._buffer += octets
        found: list[RecordedItem] = []
        for _ in range(PIECES_LIMIT):
            if self._skip:
                gone = min(self._skip, len(self._buffer))
                self._skip -= gone
                self._drop(gone)
            if len(self._buffer) < self._want or self._skip:
                return found
            head = _head(self._buffer, 0)
            if head is None:
                self._want = len(self._buffer) + 1
                return found
            if not self._step(head, found):
                return found
        raise MediaError(f"more than {PIECES_LIMIT} elements in one read")

    def _step(self, head: ElementHead, found: list[RecordedItem]) -> bool:
        """Takes an element, enters it, or skips it; False if the rest of it has yet to come."""
        self._leave(head.id)
        end = _UNKNOWN if head.size == _UNKNOWN else self._at + head.length + head.size
        outer = self._ends[-1] if self._ends else _UNKNOWN
        if outer != _UNKNOWN and end > outer:
            raise MediaError("an element that goes beyond the one it is in")
        place = _PLACES.get(head.id)
        if place is not None and place != len(self._ends):
            raise MediaError(f"element {head.id:X} where none may be")
        if head.id in (_SEGMENT, _CLUSTER):
            if head.id == _CLUSTER and not self._tracks:
                raise MediaError("media before the tracks")
            self._drop(head.length)
            self._ends.append(end)
            self._base = 0
            return True
        if head.size == _UNKNOWN:
            raise MediaError(f"element {head.id:X} of unknown size")
        limit = _WHOLE.get(head.id)
        if limit is None:
            if not self._ends:
                raise MediaError("not Matroska")
            self._drop(head.length)
            self._skip = head.size
            return True
        if head.size > limit:
            raise LargeElement(f"an element of {head.size} bytes where {limit} are taken")
        whole = head.length + head.size
        if len(self._buffer) < whole:
            self._want = whole
            return False
        body = bytes(self._buffer[head.length : whole])
        self._take(head.id, body, found)
        self._drop(whole)
        return True

    def _leave(self, coming: int) -> None:
        """Closes what has ended by its size, or, where that is not known, by what comes next (RFC 8794 §6.2)."""
        while self._ends:
            end = self._ends[-1]
            if end == _UNKNOWN:
                if coming not in _TOP and (len(self._ends) == 1 or coming not in _OF_SEGMENT):
                    return
            elif self._at < end:
                return
            self._ends.pop()

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._at += size
        self._want = 2

    def _take(self, ident: int, body: bytes, found: list[RecordedItem]) -> None:
        if ident == _SIMPLE_BLOCK:
            self._take_block(body, found, key=None)
        elif ident == _BLOCK_GROUP:
            parts = dict(_children(body, 2))
            if _BLOCK in parts:
                self._take_block(parts[_BLOCK], found, key=_REFERENCE not in parts)
        elif ident == _TIMESTAMP:
            self._base = int.from_bytes(body, "big")
        elif ident == _TRACKS:
            self._tracks = dict(_tracks(body))
            found.append(RecordedTracks(check_tracks(list(self._tracks.values()))))
        elif ident == _INFO:
            scale = int.from_bytes(dict(_children(body, 1)).get(_SCALE, b"\x0f\x42\x40"), "big")
            if not 0 < scale <= _SCALE_LIMIT:
                raise MediaError("a scale of times that is none")
            self._scale = scale
        elif dict(_children(body, 0)).get(_DOC_TYPE, b"matroska").rstrip(b"\0") not in (b"matroska", b"webm"):
            raise MediaError("EBML that is no Matroska")
        else:  # another recording
            self._tracks = {}
            self._scale = 1_000_000

    def _take_block(self, body: bytes, found: list[RecordedItem], *, key: bool | None) -> None:
        """A block (RFC 9559 §10): the number of its track, a time of 16 bits relative to the cluster's, flags."""
        read = _vint(body, 0)
        if read is None or len(body) < read[1] + 3:
            raise MediaError("a block that is cut short")
        number, at = read
        relative = int.from_bytes(body[at : at + 2], "big", signed=True)
        flags = body[at + 2]
        if flags & 6:
            raise MediaError("a block with lacing")
        track = self._tracks.get(number)
        if track is None:
            return
        time = (self._base + relative) * self._scale // 1000
        is_key = bool(flags & 0x80) if key is None else key
        found.append(RecordedPiece(track, time, 0, is_key, body[at + 3 :]))


def _vint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """A number of variable length without its marker, and where it ends; None if some of it is missing.

    Raises MediaError if it is longer than eight bytes.
    """
    if at >= len(data):
        return None
    first = data[at]
    size = 9 - first.bit_length()
    if size > 8:
        raise MediaError("not EBML: a number of more than eight bytes")
    if at + size > len(data):
        return None
    return int.from_bytes(data[at : at + size], "big") & ((1 << 7 * size) - 1), at + size


def _head(data: bytes | bytearray, at: int) -> ElementHead | None:
    """The head of the element at `at`; None if some of it is missing. Raises MediaError."""
    if at >= len(data):
        return None
    length = 9 - data[at].bit_length()
    if length > 4:
        raise MediaError("not EBML: an id of more than four bytes")
    read = _vint(data, at + length)
    if read is None:
        return None
    size, end = read
    if size == (1 << 7 * (end - at - length)) - 1:
        size = _UNKNOWN
    return ElementHead(int.from_bytes(data[at : at + length], "big"), size, end - at)


def _children(body: bytes, depth: int) -> Iterator[tuple[int, bytes]]:
    """The elements in one, at most `HEADER_LIMIT / 16` of them. Raises MediaError."""
    if depth >= DEPTH:
        raise MediaError("elements too deep in one another")
    at = 0
    for _ in range(HEADER_LIMIT // 16):
        if at >= len(body):
            return
        head = _head(body, at)
        if head is None or head.size == _UNKNOWN or at + head.length + head.size > len(body):
            raise MediaError("an element that goes beyond the one it is in")
        at += head.length
        yield head.id, body[at : at + head.size]
        at += head.size
    raise MediaError("an element of too many parts")


def _tracks(body: bytes) -> Iterator[tuple[int, RecordedTrack]]:
    """By number, those that are pictures or sound."""
    seen: set[int] = set()
    for ident, entry in _children(body, 1):
        if ident != _ENTRY:
            continue
        parts = dict(_children(entry, 2))
        number, kind = (int.from_bytes(parts.get(what, b""), "big") for what in (_NUMBER, _TYPE))
        if kind not in (1, 2):
            continue
        if _ENCODINGS in parts:
            raise MediaError("a track that is compressed or encrypted")
        if number in seen:
            raise MediaError("two tracks of one number")
        seen.add(number)
        yield number, _track(kind, parts)


def _track(kind: int, parts: dict[int, bytes]) -> RecordedTrack:
    codec = parts.get(_CODEC, b"").rstrip(b"\0")
    private = parts.get(_PRIVATE, b"")
    name = _NAMES.get(codec) or printable(codec.decode("ascii", "replace"))
    if kind == 1:
        return RecordedTrack(Kind.VIDEO, name, _PICTURES.get(codec), private, convertible=_CONVERTIBLE.get(codec))
    told = dict(_children(parts.get(_AUDIO, b""), 3))
    rate, channels, depth = _float(told.get(_RATE, b"")), *(
        int.from_bytes(told.get(what, b""), "big") for what in (_CHANNELS, _DEPTH)
    )  # fmt: skip
    # A number may have thousands of digits here; only codecs that do not say their channels themselves go by it.
    form = SoundFormat(_sound(codec, depth), private, rate, channels if 1 <= channels <= 255 else 1)
    return RecordedTrack(Kind.AUDIO, name, form=form if form.codec else None)


def _sound(codec: bytes, depth: int) -> str:
    """What decodes it; "" if nothing does."""
    if codec == b"A_PCM/INT/LIT":
        return {8: "pcm_u8", 16: "pcm_s16le"}.get(depth, "")
    if codec == b"A_PCM/FLOAT/IEEE":
        return "pcm_f32le" if depth == 32 else ""
    return _SOUNDS.get(codec, "")


def _float(octets: bytes) -> int:
    """A floating point number (RFC 8794 §7.3), as hertz; 8000 where there is none, or none that is any."""
    if len(octets) not in (4, 8):
        return 8_000
    (value,) = struct.unpack(">f" if len(octets) == 4 else ">d", octets)
    return round(value) if 1_000 <= value <= 384_000 else 8_000
