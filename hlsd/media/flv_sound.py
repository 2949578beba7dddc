"""Takes FLV audio tags in any codec apart that `hlsd.media.sounds` names: what is no AAC becomes AAC elsewhere.

Law: as `hlsd.media.flv`. The rate and channel bits of a tag are believed where nothing better says them and senders are
known to set them right: Nellymoser, ADPCM, PCM. Of G.711 they say 44.1 kHz whatever it is.
Sources: Adobe FLV 10.1 §E.4.2.1; Enhanced RTMP v2, AudioPacketType; RFC 7845 §5.1 for OpusHead.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media import flv
from hlsd.media.sounds import SoundFormat

_RATES: Final = (5_512, 11_025, 22_050, 44_100)  # SoundRate
_NELLYMOSER_16, _NELLYMOSER_8, _NELLYMOSER = 4, 5, 6
_SPEEX: Final = SoundFormat("speex", b"", 16_000, 1)  # "Speex: 16 kHz mono, whatever the bits say"
_IDS: Final = {2: "mp3", 7: "pcm_alaw", 8: "pcm_mulaw", 13: "opus", 14: "mp3"}
_FOURCCS: Final = {
    b"Opus": "opus",
    b"fLaC": "flac",
    b"ac-3": "ac3",
    b"ec-3": "eac3",
    b".mp3": "mp3",
}
_OPUS_HEAD: Final = b"OpusHead"
CONFIG_LIMIT: Final = 1 << 10
"""Bytes of a configuration: an OpusHead of 255 channels has 276."""
_METADATA_LIMIT: Final = 64 << 10


class SoundPacket(NamedTuple):
    """What an audio tag carries that is no AAC. `packet`: CONFIG, FRAMES, or what is of no interest."""

    form: SoundFormat
    packet: int
    body: bytes


class SoundTold(NamedTuple):
    """What onMetaData says of the sound; 0: nothing."""

    codec: int = 0
    """The sound format, or a FourCC as a number."""
    rate: int = 0
    channels: int = 0

    @property
    def is_aac(self) -> bool:
        """Whether nothing will have to be converted, as far as is known."""
        return self.codec in (0, 10, 0x6D703461)


def decode(tag: bytes, told: SoundTold) -> SoundPacket | None:
    """The packet in an audio tag body; None if it has none for us, or is AAC, or of a codec that is not decoded.

    Raises MediaError.
    """
    if len(tag) < 2:
        return None
    sound = tag[0] >> 4
    if sound == 9:
        return _enhanced(tag)
    body = tag[1:]
    if sound == 13 and body[:8] == _OPUS_HEAD and len(body) <= CONFIG_LIMIT:
        return SoundPacket(SoundFormat("opus"), flv.CONFIG, body)
    form = _form(sound, tag[0], told)
    return SoundPacket(form, flv.FRAMES, body) if form is not None else None


def _form(sound: int, bits: int, told: SoundTold) -> SoundFormat | None:
    rate, channels = _RATES[bits >> 2 & 3], 1 + (bits & 1)
    if sound == 11:
        return _SPEEX
    if sound in (_NELLYMOSER_16, _NELLYMOSER_8, _NELLYMOSER):
        rate = {_NELLYMOSER_16: 16_000, _NELLYMOSER_8: 8_000}.get(sound, rate)
        return SoundFormat("nellymoser", b"", rate, 1)
    if sound == 1:
        return SoundFormat("adpcm_swf", b"", rate, channels)
    if sound in (0, 3):  # 0 is "platform endian", which is little where anybody has met it
        return SoundFormat("pcm_s16le" if bits & 2 else "pcm_u8", b"", told.rate or rate, told.channels or channels)
    codec = _IDS.get(sound)
    if codec is None:
        return None
    if codec in ("pcm_alaw", "pcm_mulaw"):
        return SoundFormat(codec, b"", told.rate, told.channels)
    return SoundFormat(codec)


def _enhanced(tag: bytes) -> SoundPacket | None:
    found = flv.enhanced_audio(tag)
    if found is None:
        return None
    packet, fourcc, body = found
    codec = _FOURCCS.get(fourcc)
    if codec is None:
        return None
    if packet == flv.CONFIG and len(body) > CONFIG_LIMIT:
        raise MediaError(f"a configuration of {codec} larger than {CONFIG_LIMIT} bytes")
    return SoundPacket(SoundFormat(codec), packet, body)  # 4 is MultichannelConfig: decoders know it from the packets


def told_by(script: bytes) -> SoundTold:
    """What onMetaData says of the sound."""
    rate, stereo = _number(script, b"audiosamplerate"), _value(script, b"stereo")
    channels = _number(script, b"audiochannels")
    if not channels and stereo[:1] == b"\x01":
        channels = 2 if stereo[1:2] == b"\x01" else 1
    codec = _number(script, b"audiocodecid")
    if not codec and (text := _value(script, b"audiocodecid"))[:1] == b"\x02":
        codec = int.from_bytes(text[3:7], "big")
    usable = 4_000 <= rate <= 192_000
    return SoundTold(codec, rate if usable else 0, channels if channels in (1, 2) else 0)


def _value(script: bytes, name: bytes) -> bytes:
    """What stands in AMF0 behind `name`, from its marker on: at most nine bytes."""
    key = bytes((0, len(name))) + name
    at = script.find(key, 0, _METADATA_LIMIT)
    return script[at + len(key) : at + len(key) + 9] if at >= 0 else b""


def _number(script: bytes, name: bytes) -> int:
    """A whole number of AMF0; 0 where there is none."""
    value = _value(script, name)
    if len(value) < 9 or value[0] != 0:
        return 0
    number = struct.unpack_from(">d", value, 1)[0]
    return int(number) if 0 <= number < 1 << 32 else 0
