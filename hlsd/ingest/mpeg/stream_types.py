"""Says what an elementary stream is: by its stream_type, and by the descriptors of those that have none of their own.

Sources: ISO/IEC 13818-1 Table 2-34, ETSI EN 300 468 Annex D for AC-3 of DVB, ATSC A/53 for 81 and 87, the Opus draft of
ETSI TS 103 491; ISO/IEC 13818-1 §2.6.8 for registrations; GB/T 28181-2022 Annex C for 90 and 91.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hlsd.media.codecs import VideoCodec

PICTURES: Final[dict[int, VideoCodec]] = {0x1B: "h264", 0x24: "h265"}
SOUNDS: Final = {
    0x03: "mpa",
    0x04: "mpa",
    0x0F: "adts",
    0x11: "latm",
    0x81: "ac3",
    0x87: "ac3",
    0x90: "pcm_alaw",
    0x91: "pcm_mulaw",
}
"""The framing of sound by its stream_type."""
FOREIGN_PICTURES: Final = {
    0x01: "MPEG-1 video",
    0x02: "MPEG-2 video",
    0x10: "MPEG-4 Visual",
    0x21: "JPEG 2000",
    0x33: "H.266",
    0x42: "AVS",
    0x80: "SVAC",
    0xD2: "AVS2",
    0xEA: "VC-1",
}
FOREIGN_SOUNDS: Final = {
    0x1C: "MPEG-4 audio without framing",
    0x82: "DTS",
    0x83: "TrueHD",
    0x92: "G.722.1",
    0x93: "G.723.1",
    0x99: "G.729",
    0x9B: "SVAC audio",
    0xA1: "E-AC-3 (secondary)",
}
_PRIVATE: Final = 0x06
_METADATA: Final = 0x15
_REGISTERED: Final = {
    b"Opus": "opus",
    b"AC-3": "ac3",
    b"EAC3": "ac3",
}
_FOREIGN_NAMES: Final = {b"AV01": "AV1 in MPEG-TS", b"VVC ": "H.266", b"BSSD": "SMPTE 302M", b"DTS1": "DTS"}
_DVB: Final = {0x6A: "ac3", 0x7A: "ac3", 0x7C: "adts"}
"""Descriptors of DVB by their tag: AC-3, enhanced AC-3, AAC."""
_REGISTRATION, _EXTENSION, _METADATA_ID = 0x05, 0x7F, 0x26
_OPUS_CONFIG: Final = 0x80
SPLICES: Final = 0x86


class StreamKind(NamedTuple):
    """What a stream is: one of the first three, or `foreign` names it.

    `picture`: its codec. `sound`: its framing. `tags`: it is timed ID3. `what`: "picture", "sound" or "" of a foreign
    one. `channels`: of Opus, by the code of its descriptor.
    """

    picture: VideoCodec | None = None
    sound: str = ""
    tags: bool = False
    foreign: str = ""
    what: str = ""
    channels: int = 0


NAMES: Final = {
    "h264": "H.264", "h265": "H.265", "mpa": "MPEG audio", "adts": "AAC", "latm": "AAC", "ac3": "AC-3",
    "opus": "Opus", "pcm_alaw": "G.711 A-law", "pcm_mulaw": "G.711 mu-law",
}  # fmt: skip
"""What they are called."""


def kind_of(stream_type: int, about: bytes) -> StreamKind:
    """What a stream is by its stream_type and descriptors."""
    if (codec := PICTURES.get(stream_type)) is not None:
        return StreamKind(codec)
    if (framing := SOUNDS.get(stream_type)) is not None:
        return StreamKind(sound=framing)
    if stream_type == _PRIVATE:
        return _private(about)
    if stream_type == _METADATA:
        return StreamKind(tags=any(b"ID3 " in body for tag, body in descriptors(about) if tag == _METADATA_ID))
    if (name := FOREIGN_PICTURES.get(stream_type)) is not None:
        return StreamKind(foreign=name, what="picture")
    return StreamKind(foreign=FOREIGN_SOUNDS.get(stream_type, ""), what="sound")


def _private(about: bytes) -> StreamKind:
    """PES packets with private data: what it is only descriptors say."""
    sound, foreign, channels = "", "", 2
    for tag, body in descriptors(about):
        if tag == _REGISTRATION:
            if body[:4] == b"HEVC":
                return StreamKind("h265")
            sound = _REGISTERED.get(body[:4], sound)
            foreign = _FOREIGN_NAMES.get(body[:4], foreign)
        elif tag == _EXTENSION and len(body) > 1 and body[0] == _OPUS_CONFIG:
            channels = body[1]
        else:
            sound = _DVB.get(tag, sound)
    if sound:
        return StreamKind(sound=sound, channels=channels)
    return StreamKind(foreign=foreign, what="picture" if foreign in ("AV1 in MPEG-TS", "H.266") else "sound")


def descriptors(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each (§2.6.1)."""
    at, end = 0, len(octets)
    while at + 2 <= end:
        body = at + 2 + octets[at + 1]
        yield octets[at], octets[at + 2 : body]
        at = body
