"""Takes FLV tag bodies, the media messages of RTMP, apart and puts them together; frames FLV files.

Law: a tag yields coded media in H.264, H.265, AV1 or AAC, or None for what carries no media for us (commands,
tracks other than the default), or it raises: UnsupportedCodec when it is well formed in a codec hlsd does not
carry, MediaError when it is malformed. Times are milliseconds as on the wire.
Sources: Adobe FLV 10.1 Annex E; Enhanced RTMP v2.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media import enhanced
from hlsd.media.codecs import FLV_AUDIO_NAMES, FLV_VIDEO, FLV_VIDEO_NAMES, FOURCC_NAMES, FOURCC_VIDEO, VideoCodec

if TYPE_CHECKING:
    from collections.abc import Mapping

AUDIO: Final = 8
"""Tag type, and RTMP message type, of audio."""
VIDEO: Final = 9
"""Tag type, and RTMP message type, of video."""
SCRIPT: Final = 18
"""Tag type, and RTMP message type, of AMF0 data (onMetaData)."""

CONFIG: Final = 0
"""The packet is a decoder configuration record."""
FRAMES: Final = 1
"""The packet is an access unit."""
END: Final = 2
"""The sequence has ended; the body is empty."""
METADATA: Final = 3
"""The packet says something of the picture in AMF0 (Enhanced RTMP: colorInfo)."""

_HEADER = b"FLV\x01"
_TAG_LIMIT = 8 << 20
_METADATA_LIMIT = 64 << 10
"""Bytes of onMetaData that are looked at."""

# Enhanced RTMP v2, VideoPacketType and AudioPacketType
_X_SEQUENCE_START, _X_CODED_FRAMES, _X_SEQUENCE_END, _X_CODED_FRAMES_X, _X_METADATA = 0, 1, 2, 3, 4


class VideoPacket(NamedTuple):
    """What a video tag carries.

    `packet` is CONFIG, FRAMES, END or METADATA; `key` is what the tag claims, not what the picture is; `cts` is the
    composition offset in ms (PTS = DTS + cts, may be negative); `body` a decoder configuration record, NAL units, or of
    AV1 a temporal unit.
    """

    codec: VideoCodec
    packet: int
    key: bool
    cts: int
    body: bytes


class AudioPacket(NamedTuple):
    """What an audio tag carries, AAC always.

    `packet` is CONFIG, FRAMES or END; `body` an AudioSpecificConfig or a raw frame.
    """

    packet: int
    body: bytes


def decode_video(tag: bytes) -> VideoPacket | None:
    """The packet in a video tag body, None if it has none for us. Raises MediaError, UnsupportedCodec."""
    if len(tag) < 2:
        raise MediaError("a video tag of one byte")
    first = tag[0]
    if first & 0x80:
        return _decode_enhanced_video(tag)
    if first >> 4 == 5:
        return None  # E.4.3.1: frame type 5 is a command (seek), without a picture
    codec = FLV_VIDEO.get(first & 15)
    if codec is None:
        name = FLV_VIDEO_NAMES.get(first & 15)
        raise UnsupportedCodec(name) if name else MediaError(f"video codec id {first & 15} does not exist")
    packet = tag[1]
    if packet > END or len(tag) < 5:
        # ffmpeg and others end a sequence with the two first bytes alone
        if packet == END:
            return VideoPacket(codec, END, False, 0, b"")
        raise MediaError("a video tag that is neither configuration nor picture")
    # E.4.3.2: CompositionTime is SI24
    cts = ((tag[2] << 16 | tag[3] << 8 | tag[4]) ^ 0x800000) - 0x800000
    return VideoPacket(codec, packet, first >> 4 in (1, 4), cts, tag[5:])


def _decode_enhanced_video(tag: bytes) -> VideoPacket | None:
    frame_type = tag[0] >> 4 & 7
    packet = tag[0] & 15
    position = 1
    if packet == enhanced.MOD_EX:
        packet, position = enhanced.skip_modifiers(tag)
    # The packet type goes before the frame type: ffmpeg sends its colour metadata with frame type 5 (byte D4).
    if frame_type == 5 and packet != _X_METADATA:
        return None
    if packet == enhanced.VIDEO_MULTITRACK:
        chosen = enhanced.default_track(tag, position)
        if chosen is None:
            return None
        packet, fourcc, body = chosen
    else:
        fourcc, body = tag[position : position + 4], tag[position + 4 :]
    codec = FOURCC_VIDEO.get(fourcc)
    if codec is None:
        raise _refusal(fourcc)
    return _enhanced_packet(codec, packet, frame_type in (1, 4), body)


def _enhanced_packet(codec: VideoCodec, packet: int, key: bool, body: bytes) -> VideoPacket | None:
    if packet == _X_CODED_FRAMES and codec != "av1":  # of AV1 "body contains one or more OBUs", and no offset
        if len(body) < 3:
            raise MediaError("a video tag that ends before its composition offset")
        cts = ((body[0] << 16 | body[1] << 8 | body[2]) ^ 0x800000) - 0x800000
        return VideoPacket(codec, FRAMES, key, cts, body[3:])
    if packet in (_X_CODED_FRAMES, _X_CODED_FRAMES_X):
        return VideoPacket(codec, FRAMES, key, 0, body)
    if packet == _X_SEQUENCE_START:
        if not body:
            return None  # ffmpeg sends one where its encoder (libaom) has yet to say what it makes
        return VideoPacket(codec, CONFIG, key, 0, body)
    if packet == _X_SEQUENCE_END:
        return VideoPacket(codec, END, key, 0, b"")
    if packet == _X_METADATA:
        return VideoPacket(codec, METADATA, False, 0, body)
    return None  # MPEG2TSSequenceStart (5, AV1 alone) and what is still to come


def decode_audio(tag: bytes) -> AudioPacket | None:
    """The packet in an audio tag body, None if it has none for us. Raises MediaError, UnsupportedCodec."""
    if len(tag) < 2:
        raise MediaError("an audio tag of one byte")
    sound = tag[0] >> 4
    if sound == 10:
        if tag[1] > FRAMES:
            raise MediaError(f"AACPacketType {tag[1]} does not exist")
        return AudioPacket(tag[1], tag[2:])
    if sound != 9:
        name = FLV_AUDIO_NAMES.get(sound)
        raise UnsupportedCodec(name) if name else MediaError(f"sound format {sound} does not exist")
    found = enhanced_audio(tag)
    if found is None:
        return None
    packet, fourcc, body = found
    if fourcc != b"mp4a":
        raise _refusal(fourcc)
    return AudioPacket(packet, body) if packet <= END else None  # 4 is MultichannelConfig: the record has it too


def enhanced_audio(tag: bytes) -> tuple[int, bytes, bytes] | None:
    """AudioPacketType, FourCC and body of an audio tag of Enhanced RTMP; None if it is of other tracks than track 0.

    Raises MediaError.
    """
    packet = tag[0] & 15
    position = 1
    if packet == enhanced.MOD_EX:
        packet, position = enhanced.skip_modifiers(tag)
    if packet == enhanced.AUDIO_MULTITRACK:
        return enhanced.default_track(tag, position)
    return packet, tag[position : position + 4], tag[position + 4 :]


def _refusal(fourcc: bytes) -> MediaError:
    name = FOURCC_NAMES.get(fourcc)
    return UnsupportedCodec(name) if name else MediaError(f"FourCC {fourcc!r} is not known")


def video_config(codec: VideoCodec, record: bytes, *, legacy: bool = False) -> bytes:
    """The tag body of a decoder configuration record: AVC as in FLV 10.1, else by FourCC; `legacy`: H.265 by id 12."""
    if codec == "h264":
        return b"\x17\x00\x00\x00\x00" + record
    if codec == "av1":
        return b"\x90av01" + record
    return (b"\x1c\x00\x00\x00\x00" if legacy else b"\x90hvc1") + record


def video_head(codec: VideoCodec, key: bool, cts: int, *, legacy: bool = False) -> bytes:
    """What stands in a tag body before an access unit with 4-byte NAL lengths, or of AV1 its OBUs; `cts` in ms."""
    if codec == "av1":
        return b"\x91av01" if key else b"\xa1av01"
    offset = (cts & 0xFFFFFF).to_bytes(3, "big")
    if codec == "h264":
        return (b"\x17\x01" if key else b"\x27\x01") + offset
    if legacy:
        return (b"\x1c\x01" if key else b"\x2c\x01") + offset
    return (b"\x91hvc1" if key else b"\xa1hvc1") + offset


def video_frame(codec: VideoCodec, key: bool, cts: int, sample: bytes) -> bytes:
    """The tag body of an access unit, as `video_head` begins it; `cts` in ms."""
    return video_head(codec, key, cts) + sample


def audio_config(record: bytes) -> bytes:
    """The tag body of an AudioSpecificConfig."""
    return b"\xaf\x00" + record  # E.4.2.1: AAC always says 44 kHz, 16 bit, stereo


AUDIO_HEAD: Final = b"\xaf\x01"
"""What stands in a tag body before a raw AAC frame."""


def audio_frame(frame: bytes) -> bytes:
    """The tag body of a raw AAC frame."""
    return AUDIO_HEAD + frame


def names_codec(script: bytes, name: bytes) -> bool:
    """Whether onMetaData gives a codec under `name`; 0, an empty string and null are none."""
    key = bytes((0, len(name))) + name
    at = script.find(key, 0, _METADATA_LIMIT)
    if at < 0:
        return False
    at += len(key)
    match script[at : at + 1]:
        case b"\x00":  # number
            return any(script[at + 1 : at + 9])
        case b"\x02":  # string
            return any(script[at + 1 : at + 3])
        case marker:
            return marker not in (b"", b"\x05", b"\x06")


def metadata(values: Mapping[str, float | bool | str]) -> bytes:
    """The script tag body of onMetaData: an AMF0 string and an ECMA array (AMF0 §2.10)."""
    parts = [b"\x02\x00\x0aonMetaData\x08", len(values).to_bytes(4, "big")]
    for name, value in values.items():
        parts.append(_short_string(name))
        if isinstance(value, bool):
            parts.append(b"\x01\x01" if value else b"\x01\x00")
        elif isinstance(value, str):
            parts.append(b"\x02" + _short_string(value))
        else:
            parts.append(b"\x00" + struct.pack(">d", value))
    parts.append(b"\x00\x00\x09")
    return b"".join(parts)


def _short_string(text: str) -> bytes:
    octets = text.encode()[:0xFFFF]
    return len(octets).to_bytes(2, "big") + octets


def file_header(*, video: bool, audio: bool) -> bytes:
    """What an FLV file or HTTP-FLV answer begins with: the header and the size 0 of no previous tag (§E.2)."""
    return _HEADER + bytes((4 * audio | video,)) + b"\x00\x00\x00\x09\x00\x00\x00\x00"


def file_tag(tag_type: int, timestamp: int, body: bytes) -> bytes:
    """A tag and its PreviousTagSize (§E.4.1); `timestamp` in ms, its upper byte in TimestampExtended."""
    size = len(body)
    head = struct.pack(">II", tag_type << 24 | size, (timestamp & 0xFFFFFF) << 8 | (timestamp >> 24 & 0xFF))
    return b"".join((head, b"\x00\x00\x00", body, (size + 11).to_bytes(4, "big")))


class OutTag(NamedTuple):
    """A tag on its way out: type, time in ms modulo 2^32, and its body in two pieces, so that no frame is copied."""

    type: int
    time: int
    head: bytes
    payload: bytes


class FileTag(NamedTuple):
    """A tag of an FLV file: its type, its time in ms modulo 2^32, its body."""

    type: int
    timestamp: int
    body: bytes


class LargeTag(MediaError):
    """A tag of a file is larger than any that is read."""


class FileReader:
    """Reads an FLV file or HTTP-FLV stream as it comes; holds no more than one tag. Raises MediaError."""

    __slots__ = ("_buffer", "started")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.started = False
        """Whether the file's header has come: it is one of FLV."""

    @property
    def held(self) -> int:
        """Bytes of a tag that is not whole yet."""
        return len(self._buffer)

    def feed(self, octets: bytes) -> list[FileTag]:
        """The tags that `octets` complete, in order."""
        buffer = self._buffer
        buffer += octets
        position = 0
        if not self.started:
            if not _HEADER.startswith(buffer[:4]) and buffer[:4] != _HEADER:
                raise MediaError("not an FLV stream")
            if len(buffer) < 9:
                return []
            offset = int.from_bytes(buffer[5:9], "big")
            if not 9 <= offset <= 64:
                raise MediaError("an FLV header of impossible length")
            if len(buffer) < offset + 4:
                return []
            self.started = True
            position = offset + 4
        tags: list[FileTag] = []
        end = len(buffer)
        while end - position >= 11:
            size = buffer[position + 1] << 16 | buffer[position + 2] << 8 | buffer[position + 3]
            if size > _TAG_LIMIT:
                raise LargeTag(f"an FLV tag larger than {_TAG_LIMIT} bytes")
            if end - position < size + 15:
                break
            time = int.from_bytes(buffer[position + 4 : position + 7], "big") | buffer[position + 7] << 24
            body = bytes(buffer[position + 11 : position + 11 + size])
            tags.append(FileTag(buffer[position] & 0x1F, time, body))
            position += size + 15
        del buffer[:position]
        return tags
