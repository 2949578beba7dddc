"""Understands AAC as far as a server must: AudioSpecificConfig and ADTS headers, never the audio itself.

Law: rate, channels and object type come from the AudioSpecificConfig; the bits of the FLV tag lie (they always say
44.1 kHz stereo). Sources: ISO/IEC 14496-3 §1.6.2.1, §1.6.5, §4.4.1; ISO/IEC 13818-7 §6.2 for ADTS; RFC 6381 §3.3 for
the codec string.
"""

from __future__ import annotations

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media.bits import BitReader
from hlsd.media.unit import AudioTrack

SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Hertz by samplingFrequencyIndex (14496-3 Table 1.18)."""

_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0)  # by channelConfiguration (Table 1.19)
_RECORD_LIMIT = 1024
_LC, _SBR, _PS = 2, 5, 29
_CORES = (1, 2, 3, 4)  # Main, LC, SSR, LTP: what ADTS can name
_NAMED = 7
"""The highest channelConfiguration that fits into ADTS."""
LARGEST_FRAME = 0x1FFF - 7
"""Bytes of a raw frame at most: what frame_length of ADTS can count with its header (13818-7 §6.2.1). Chromium puts
frames of fMP4 into ADTS too, and ends at one that does not fit. Eight loudspeakers take 6,144 at most (14496-3
§4.5.3.2)."""

# The channelConfiguration (Table 1.19) by its elements in front, beside or behind (S single, P pair), and LFE.
_STANDARD = {
    ("S", "", 0): 1,
    ("P", "", 0): 2,
    ("SP", "", 0): 3,
    ("SP", "S", 0): 4,
    ("SP", "P", 0): 5,
    ("SP", "P", 1): 6,
    ("SPP", "P", 1): 7,
}


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

    Its record is written anew where it spells out what has a short name, a standard rate in 24 bits or a standard
    layout as a program_config_element: decoders read either alike, but Chromium refuses both. Raises MediaError, and
    UnsupportedCodec for object types beyond plain AAC and HE-AAC.
    """
    if not 2 <= len(record) <= _RECORD_LIMIT:
        raise MediaError("not an AudioSpecificConfig")
    bits = BitReader(record)
    kind = core = _object_type(bits)
    start = bits.left
    rate = _sample_rate(bits)
    standard = rate in SAMPLE_RATES
    spelt = standard and start - bits.left > 4
    layout = bits.u(4)
    extended = 0
    if kind in (_SBR, _PS):
        extended = _sample_rate(bits)  # that of the extension; the frames' clock is the core's
        core = _object_type(bits)
    if core not in _CORES:
        raise UnsupportedCodec(f"AAC object type {core}")
    short = bits.flag()
    if bits.flag():
        bits.skip(14)  # coreCoderDelay
    bits.skip(1)  # extensionFlag
    channels, program = _CHANNELS[layout], 0
    if not layout:
        layout, channels, program = _program(bits, record)
        spelt |= layout > 0
    if not channels:
        raise MediaError(f"channelConfiguration {layout} is not usable")
    if spelt and layout:
        head = f"{kind:05b}{_rate_bits(rate)}{layout:04b}"
        if kind != core:
            head += f"{_rate_bits(extended)}{core:05b}"
        record = _octets(f"{head}{short:b}00" + (f"{_tail(record, bits.left):0{bits.left}b}" if bits.left else ""))
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
        layout=layout or program,
        ordinary=standard and not short and 0 < layout <= _NAMED,
    )


def _rate_bits(rate: int) -> str:
    return f"{SAMPLE_RATES.index(rate):04b}" if rate in SAMPLE_RATES else f"1111{rate:024b}"


def _octets(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _tail(record: bytes, left: int) -> int:
    """The last `left` bits."""
    return int.from_bytes(record, "big") & (1 << left) - 1


def _program(bits: BitReader, record: bytes) -> tuple[int, int, int]:
    """Reads a program_config_element (§4.4.1.1).

    Returns the channelConfiguration whose loudspeakers and elements are these, or 0; how many loudspeakers there are;
    and the element's bits up to its comment.
    """
    start = bits.left
    bits.skip(4 + 2 + 4)  # element_instance_tag, object_type, sampling_frequency_index
    front, side, back = bits.u(4), bits.u(4), bits.u(4)
    low, associated, coupled = bits.u(2), bits.u(3), bits.u(4)
    for width in (4, 4, 3):  # mono, stereo and matrix mix-down
        if bits.flag():
            bits.skip(width)
    elements = ""
    for _ in range(front + side + back):
        elements += "P" if bits.flag() else "S"
        bits.skip(4)
    bits.skip(4 * low + 4 * associated + 5 * coupled)
    said = _tail(record, start) >> bits.left
    bits.skip(bits.left % 8)
    bits.skip(8 * bits.u(8))  # the comment
    layout = _STANDARD.get((elements[:front], elements[front:], low), 0) if not associated + coupled else 0
    return layout, len(elements) + elements.count("P") + low, said


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


def oddity(track: AudioTrack) -> str:
    """What makes a track that is not `ordinary` so, in words."""
    if track.sample_rate not in SAMPLE_RATES:
        return f"{track.sample_rate} Hz"
    if track.frame_samples == 960:
        return "frames of 960 samples"
    return f"this layout of {track.channels} loudspeakers"


def adts_prefix(track: AudioTrack) -> bytes:
    """The 7-byte ADTS header of a track with frame length 0: what `adts_header` completes for each frame.

    SBR and PS are not named in ADTS: their frames go out under the core's type (AAC LC), rate and layout.
    """
    core = track.object_type if track.object_type in _CORES else _LC
    if not track.ordinary or track.sample_rate not in SAMPLE_RATES:
        raise MediaError(f"ADTS cannot name {oddity(track)}")
    rate = SAMPLE_RATES.index(track.sample_rate)
    layout = _NAMED if track.channels == 8 else track.channels
    # syncword FFF, MPEG-4, layer 0, no CRC; profile, rate, private 0, layout; fullness 7FF (variable), one raw block.
    return bytes((0xFF, 0xF1, (core - 1) << 6 | rate << 2 | layout >> 2, (layout & 3) << 6, 0x00, 0x1F, 0xFC))


def adts_header(prefix: bytes, size: int) -> bytes:
    """The ADTS header of a raw frame of `size` bytes (13818-7 §6.2.1: frame_length counts the header)."""
    length = size + 7
    if size > LARGEST_FRAME:
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
