"""Understands AAC as far as a server must: AudioSpecificConfig and ADTS headers, never the audio itself.

Law: rate, channels and object type come from the AudioSpecificConfig; the bits of the FLV tag lie (they always say
44.1 kHz stereo). Sources: ISO/IEC 14496-3 §1.6.2.1, §1.6.5, §4.4.1; ISO/IEC 13818-7 §6.2 for ADTS; RFC 6381 §3.3 for
the codec string.
"""

from __future__ import annotations

from hlsd.errors import MediaError, UnsupportedCodec
from hlsd.media.bits import BitReader
from hlsd.media.unit import AudioTrack

SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Hertz by samplingFrequencyIndex (14496-3 Table 1.18)."""

_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0)  # by channelConfiguration (Table 1.19)
_RECORD_LIMIT = 1024
_LC, _SBR, _PS = 2, 5, 29
_CORES = (1, 2, 3, 4)  # Main, LC, SSR, LTP: what ADTS can name


def _object_type(bits: BitReader) -> int:
    kind = bits.u(5)
    return 32 + bits.u(6) if kind == 31 else kind


def _sample_rate(bits: BitReader) -> int:
    index = bits.u(4)
    if index == 15:
        rate = bits.u(24)
        if not 4_000 <= rate <= 192_000:
            raise MediaError(f"sample rate {rate} is out of bounds")
        return rate
    if index >= len(SAMPLE_RATES):
        raise MediaError(f"samplingFrequencyIndex {index} is reserved")
    return SAMPLE_RATES[index]


def read_record(record: bytes) -> AudioTrack:
    """The track of an AudioSpecificConfig.

    Raises MediaError, and UnsupportedCodec for object types beyond plain AAC and HE-AAC.
    """
    if not 2 <= len(record) <= _RECORD_LIMIT:
        raise MediaError("not an AudioSpecificConfig")
    bits = BitReader(record)
    kind = core = _object_type(bits)
    rate = _sample_rate(bits)
    layout = bits.u(4)
    if kind in (_SBR, _PS):
        _sample_rate(bits)  # that of the extension; the frames' clock is the core's
        core = _object_type(bits)
    if core not in _CORES:
        raise UnsupportedCodec(f"AAC object type {core}")
    short = bits.flag()
    if bits.flag():
        bits.skip(14)  # coreCoderDelay
    bits.skip(1)  # extensionFlag
    channels = _program_channels(bits) if layout == 0 else _CHANNELS[layout]
    if not channels:
        raise MediaError(f"channelConfiguration {layout} is not usable")
    if kind == core:
        kind = _late_extension(bits, core)
    return AudioTrack(
        codec="aac",
        record=record,
        sample_rate=rate,
        channels=channels,
        object_type=kind,
        codec_string=f"mp4a.40.{kind}",
        frame_samples=960 if short else 1024,
    )


def _program_channels(bits: BitReader) -> int:
    """Counts the loudspeakers of a program_config_element (§4.4.1.1)."""
    bits.skip(4 + 2 + 4)  # element_instance_tag, object_type, sampling_frequency_index
    elements = [bits.u(4), bits.u(4), bits.u(4)]
    low, associated, coupled = bits.u(2), bits.u(3), bits.u(4)
    for width in (4, 4, 3):  # mono, stereo and matrix mix-down
        if bits.flag():
            bits.skip(width)
    channels = 0
    for _ in range(sum(elements)):
        channels += 2 if bits.flag() else 1
        bits.skip(4)
    bits.skip(4 * low + 4 * associated + 5 * coupled)
    bits.skip(bits.left % 8)
    comment = bits.u(8)
    bits.skip(8 * comment)
    return channels + low


def _late_extension(bits: BitReader, core: int) -> int:
    """The object type under the backward compatible signalling of SBR and PS (§1.6.5: 0x2B7, 0x548)."""
    try:
        if bits.u(11) != 0x2B7 or _object_type(bits) != _SBR or not bits.flag():
            return core
        _sample_rate(bits)
        if bits.left >= 12 and bits.u(11) == 0x548 and bits.flag():
            return _PS
    except MediaError:
        return core
    return _SBR


def adts_prefix(track: AudioTrack) -> bytes:
    """The 7-byte ADTS header of a track with frame length 0: what `adts_header` completes for each frame.

    SBR and PS are not named in ADTS: their frames go out under the core's type (AAC LC), rate and layout.
    """
    core = track.object_type if track.object_type in _CORES else _LC
    if track.sample_rate not in SAMPLE_RATES:
        raise MediaError(f"ADTS cannot name {track.sample_rate} Hz")
    rate = SAMPLE_RATES.index(track.sample_rate)
    layout = 7 if track.channels == 8 else track.channels
    if layout > 7:
        raise MediaError(f"ADTS cannot name {track.channels} loudspeakers")
    # syncword FFF, MPEG-4, layer 0, no CRC; profile, rate, private 0, layout; fullness 7FF (variable), one raw block.
    return bytes((0xFF, 0xF1, (core - 1) << 6 | rate << 2 | layout >> 2, (layout & 3) << 6, 0x00, 0x1F, 0xFC))


def adts_header(prefix: bytes, size: int) -> bytes:
    """The ADTS header of a raw frame of `size` bytes (13818-7 §6.2.1: frame_length counts the header)."""
    length = size + 7
    if length > 0x1FFF:
        raise MediaError("an AAC frame larger than ADTS can carry")
    return bytes(
        (prefix[0], prefix[1], prefix[2], prefix[3] | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC)
    )


def split_adts(frame: bytes) -> tuple[bytes, bytes] | None:
    """The AudioSpecificConfig and the raw frame of an ADTS frame, or None when it is not one.

    No raw frame starts with the twelve set bits of a syncword: they would say ID_END and nothing before it.
    """
    if len(frame) < 8 or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
        return None
    core = (frame[2] >> 6) + 1
    rate = frame[2] >> 2 & 15
    layout = (frame[2] & 1) << 2 | frame[3] >> 6
    header = 7 if frame[1] & 1 else 9
    length = (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
    if length > len(frame) or length <= header or rate >= len(SAMPLE_RATES) or not layout:
        return None
    return (core << 11 | rate << 7 | layout << 3).to_bytes(2, "big"), frame[header:length]
