"""Reads the chunks of WebCodecs: sixteen bytes of head, and what they say (docs/browser-websocket.md).

Law: a chunk is taken as a whole; one of a kind whose configuration has not come is refused. Where the bytes are cut
means nothing.
"""

from __future__ import annotations

import base64
import json
from struct import Struct
from typing import TYPE_CHECKING, Final

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
    printable,
)
from hlsd.media.sounds import SoundFormat
from hlsd.media.unit import Kind
from hlsd.ports.converted_pictures import CONVERTIBLE

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec
    from hlsd.ports.converted_pictures import Convertible

_HEAD: Final = Struct(">BBHqI")
_PICTURE, _SOUND, _PICTURE_CONFIG, _SOUND_CONFIG = 1, 2, 3, 4
_LIMITS: Final = {
    _PICTURE: ELEMENT_LIMIT, _SOUND: HEADER_LIMIT, _PICTURE_CONFIG: HEADER_LIMIT, _SOUND_CONFIG: HEADER_LIMIT,
}  # fmt: skip
_PICTURES: Final[dict[str, VideoCodec]] = {
    "avc1": "h264", "avc3": "h264", "hvc1": "h265", "hev1": "h265", "av01": "av1",
}  # fmt: skip
_SOUNDS: Final = {"opus": "opus", "mp4a": "aac", "mp3": "mp3", "flac": "flac", "alaw": "pcm_alaw", "ulaw": "pcm_mulaw"}
_CONVERTIBLE: Final[dict[str, Convertible]] = {"vp8": "vp8", "vp08": "vp8", "vp9": "vp9", "vp09": "vp9"}


class ChunkReader:
    """One recording. `held` bytes wait for the rest of their chunk."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.position = 0
        """Where what is looked at begins, bytes from the beginning."""
        self._tracks: dict[int, RecordedTrack] = {}

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[RecordedItem]:
        """What is whole now. Raises MediaError, LargeElement."""
        buffer = self._buffer
        buffer += octets
        found: list[RecordedItem] = []
        while len(buffer) >= _HEAD.size:
            kind, key, _, time, size = _HEAD.unpack_from(buffer)
            limit = _LIMITS.get(kind)
            if limit is None or key > 1:
                raise MediaError("not a chunk")
            if size > limit:
                raise LargeElement(f"a chunk of {size} bytes where {limit} are taken")
            end = _HEAD.size + size
            if len(buffer) < end:
                break
            found.append(self._take(kind, time, key == 1, bytes(buffer[_HEAD.size : end])))
            del buffer[:end]
            self.position += end
            if len(found) > PIECES_LIMIT:
                raise MediaError(f"more than {PIECES_LIMIT} chunks in one read")
        return found

    def _take(self, kind: int, time: int, key: bool, body: bytes) -> RecordedItem:
        if kind in (_PICTURE_CONFIG, _SOUND_CONFIG):
            self._tracks[kind] = configured(Kind.VIDEO if kind == _PICTURE_CONFIG else Kind.AUDIO, body)
            return RecordedTracks(tuple(self._tracks.values()), anew=False)
        track = self._tracks.get(kind + 2)
        if track is None:
            raise MediaError("a chunk before its configuration")
        return RecordedPiece(track, time, 0, key, body)


def named(codec: str) -> str:
    """What a codec is called to people."""
    found = convertible_codec(codec)
    return CONVERTIBLE[found] if found is not None else printable(codec)


def picture_codec(codec: str) -> VideoCodec | None:
    """Of a codec string; None if it is not carried."""
    return _PICTURES.get(codec.partition(".")[0].lower())


def convertible_codec(codec: str) -> Convertible | None:
    """Of a codec string of a picture that is not carried and may be converted."""
    return _CONVERTIBLE.get(codec.partition(".")[0].lower())


def sound_codec(codec: str) -> str:
    """What decodes a codec string; "" if nothing does."""
    return _SOUNDS.get(codec.partition(".")[0].lower(), "")


def configured(kind: Kind, body: bytes) -> RecordedTrack:
    """The track of a `decoderConfig`. Raises MediaError."""
    try:
        told = json.loads(body)
        description = base64.b64decode(told.get("description") or "", validate=True)
        codec, rate, channels = (told.get(what) or 0 for what in ("codec", "sampleRate", "numberOfChannels"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MediaError("a configuration that is none") from error
    if not isinstance(codec, str) or not isinstance(rate, int) or not isinstance(channels, int):
        raise MediaError("a configuration that is none")
    if kind is Kind.VIDEO:
        found = convertible_codec(codec)
        return RecordedTrack(kind, named(codec), picture_codec(codec), description, convertible=found)
    if not (1 <= channels <= 255 and 1_000 <= rate <= 384_000):
        rate, channels = 48_000, 2
    decoder = sound_codec(codec)
    form = SoundFormat(decoder, description, rate, channels) if decoder else None
    return RecordedTrack(kind, named(codec), form=form)
