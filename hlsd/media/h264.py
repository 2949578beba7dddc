"""Understands H.264 as far as a server must: parameter sets, decoder configuration records, IDR pictures.

Law: what a track says of itself comes from its sequence parameter set (MV03, MV05, MV15), never from metadata.
Sources: ITU-T H.264 §7.3.2.1, §7.4.1, Annex E; ISO/IEC 14496-15 §5.3.3 for the record (`avcC`); RFC 6381 §3.3 for
the codec string. Knows nothing of FLV, and of slices their NAL unit type and which is a picture's first.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media import nal
from hlsd.media.bits import BitReader, unescape
from hlsd.media.nal import CLEAN, KEY, PARAMETERS, PICTURE, STRIP
from hlsd.media.unit import Colour, VideoTrack

SEI = 6
SPS = 7
PPS = 8
RECOVERY_POINT = 6

# Table 7-1. 1..4 slices and data partitions, 5 IDR, 7 SPS, 8 PPS, 9 delimiter, 10 and 11 ends, 12 filler,
# 13 and 15 the parameter sets of extensions, which `avc1` keeps out of the sample too.
_TYPES = {
    1: PICTURE,
    2: PICTURE,
    3: PICTURE,
    4: PICTURE,
    5: PICTURE | KEY | CLEAN,
    SPS: STRIP | PARAMETERS,
    PPS: STRIP | PARAMETERS,
    9: STRIP,
    10: STRIP,
    11: STRIP,
    12: STRIP,
    13: STRIP,
    15: STRIP,
}
_CLASSES = bytes(_TYPES.get(header & 0x1F, 0) for header in range(256))
ORDINARY = bytes(header & 0x1F == 1 for header in range(256)), 5
"""Which first bytes of a NAL unit are of a slice of no IDR picture; and, in a sample that begins with one, the place of
the byte whose highest bit says that the picture does too (`begins_picture`)."""

# §7.3.2.1.1: the profiles whose SPS says more of chroma and scaling.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))

_WHOLE_SLICES = (1, 5)

_SIZE_LIMIT = 16_384

MERGED_SPS, MERGED_PPS = 8, 32
"""Sets that came in-band and are kept, newest first; `avcC` has room for 31 and 255, and a picture refers to one."""


class H264Parameters(NamedTuple):
    """What a sequence parameter set says. Pixels are the cropped picture; `frame_rate` is per second, or None."""

    profile: int
    constraints: int
    level: int
    identifier: int
    chroma_format: int
    luma_depth: int
    chroma_depth: int
    width: int
    height: int
    frame_rate: Fraction | None
    core: int = 0
    """The bits before the VUI, behind a 1: all of it that decoding depends on."""
    colour: Colour = Colour()

    @property
    def codec_string(self) -> str:
        """`avc1.` with profile, constraint and level bytes as six lower-case hex digits (MV15)."""
        return f"avc1.{self.profile:02x}{self.constraints:02x}{self.level:02x}"


def parse_sps(unit: bytes) -> H264Parameters:
    """Reads a sequence parameter set NAL unit (§7.3.2.1.1). Raises MediaError."""
    if len(unit) < 4 or unit[0] & 0x1F != SPS:
        raise MediaError("not a sequence parameter set")
    bits = BitReader(unescape(unit[1:]))
    profile = bits.u(8)
    constraints = bits.u(8)
    level = bits.u(8)
    identifier = _identifier(bits, 31)
    chroma_format, luma_depth, chroma_depth = 1, 8, 8
    separate_planes = False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.ue()
        if chroma_format > 3:
            raise MediaError(f"chroma_format_idc {chroma_format} does not exist")
        if chroma_format == 3:
            separate_planes = bits.flag()
        luma_depth = bits.ue() + 8
        chroma_depth = bits.ue() + 8
        if luma_depth > 14 or chroma_depth > 14:
            raise MediaError("bit depth beyond 14")
        bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.flag():
            _skip_scaling_matrix(bits, 12 if chroma_format == 3 else 8)
    bits.ue()  # log2_max_frame_num_minus4
    _skip_picture_order(bits)
    bits.ue()  # max_num_ref_frames
    bits.skip(1)  # gaps_in_frame_num_value_allowed_flag
    width = (bits.ue() + 1) * 16
    map_units = bits.ue() + 1
    frames_only = bits.flag()
    height = map_units * 16 * (1 if frames_only else 2)
    if not frames_only:
        bits.skip(1)  # mb_adaptive_frame_field_flag
    bits.skip(1)  # direct_8x8_inference_flag
    if bits.flag():
        # §7.4.2.1.1: CropUnitX = SubWidthC, CropUnitY = SubHeightC * (2 - frame_mbs_only_flag).
        array_type = 0 if separate_planes else chroma_format
        unit_x = 2 if array_type in (1, 2) else 1
        unit_y = (2 if array_type == 1 else 1) * (1 if frames_only else 2)
        width -= unit_x * (bits.ue() + bits.ue())
        height -= unit_y * (bits.ue() + bits.ue())
    if not (0 < width <= _SIZE_LIMIT and 0 < height <= _SIZE_LIMIT):
        raise MediaError(f"picture size {width}x{height} is out of bounds")
    core = bits.passed()
    frame_rate, colour = _timing_and_colour(bits)
    return H264Parameters(
        profile,
        constraints,
        level,
        identifier,
        chroma_format,
        luma_depth,
        chroma_depth,
        width,
        height,
        frame_rate,
        core,
        colour,
    )


def _identifier(bits: BitReader, highest: int) -> int:
    identifier = bits.ue()
    if identifier > highest:
        raise MediaError(f"parameter set id {identifier} is beyond {highest}")
    return identifier


def _skip_scaling_matrix(bits: BitReader, lists: int) -> None:
    for index in range(lists):
        if not bits.flag():
            continue
        last = next_scale = 8
        for _ in range(16 if index < 6 else 64):
            if next_scale:
                next_scale = (last + bits.se()) % 256
            last = next_scale or last


def _skip_picture_order(bits: BitReader) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        bits.skip(1)
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise MediaError("num_ref_frames_in_pic_order_cnt_cycle beyond 255")
        for _ in range(cycle):
            bits.se()


def skip_timing_and_colour(bits: BitReader) -> None:
    """Reads on from `vui_parameters_present_flag` to what follows the timing (§E.1.1). Raises MediaError."""
    if bits.flag() and bits.u(8) == 255:
        bits.skip(32)
    if bits.flag():
        bits.skip(1)
    read_colour(bits)
    if bits.flag():
        bits.ue()
        bits.ue()
    if bits.flag():
        bits.skip(65)


def _timing_and_colour(bits: BitReader) -> tuple[Fraction | None, Colour]:
    """What the VUI says of both (§E.1.1): a frame lasts two ticks of num_units_in_tick / time_scale seconds."""
    colour = Colour()
    try:
        if not bits.flag():
            return None, colour
        if bits.flag() and bits.u(8) == 255:
            bits.skip(32)  # sar_width, sar_height
        if bits.flag():
            bits.skip(1)  # overscan_appropriate_flag
        colour = read_colour(bits)
        if bits.flag():
            bits.ue()
            bits.ue()
        if not bits.flag():
            return None, colour
        units = bits.u(32)
        scale = bits.u(32)
    except MediaError:
        return None, colour  # cameras cut the VUI short; the picture size stands
    return (Fraction(scale, 2 * units) if units and scale else None), colour


def read_colour(bits: BitReader) -> Colour:
    """The colour description of a VUI from its video_signal_type_present_flag on; H.265 writes it alike (§E.2.1)."""
    if not bits.flag():
        return Colour()
    bits.skip(3)  # video_format
    full_range = bits.flag()
    return Colour(bits.u(8), bits.u(8), bits.u(8), full_range) if bits.flag() else Colour(full_range=full_range)


def read_record(record: bytes) -> tuple[VideoTrack, int]:
    """The track of an AVCDecoderConfigurationRecord and the size of its NAL lengths (1, 2 or 4). Raises MediaError."""
    if len(record) < 7 or record[0] != 1:
        raise MediaError("not an AVCDecoderConfigurationRecord")
    length_size = (record[4] & 3) + 1
    if length_size == 3:
        raise MediaError("lengthSizeMinusOne 2 is reserved")
    sps, position = _sets(record, 5, record[5] & 0x1F, SPS)
    if position >= len(record):
        raise MediaError("the decoder configuration record ends before its picture parameter sets")
    pps, _ = _sets(record, position, record[position], PPS)
    return make_track((*sps, *pps)), length_size


def _sets(record: bytes, position: int, count: int, unit_type: int) -> tuple[list[bytes], int]:
    """`count` parameter sets behind 16-bit lengths, the first length one byte after `position`."""
    position += 1
    units: list[bytes] = []
    for _ in range(count):
        start = position + 2
        position = start + int.from_bytes(record[position:start], "big")
        if position > len(record):
            raise MediaError("the decoder configuration record ends inside a parameter set")
        unit = record[start:position].rstrip(b"\x00")  # §7.4.1: a NAL unit never ends in a zero byte
        if unit and unit[0] & 0x1F == unit_type:
            units.append(unit)
    return units, position


def make_track(units: tuple[bytes, ...]) -> VideoTrack:
    """The track that these parameter sets, in any order, describe. Raises MediaError."""
    nal.check_sets(units)
    sps = [unit for unit in units if unit[0] & 0x1F == SPS]
    pps = [unit for unit in units if unit[0] & 0x1F == PPS]
    if not sps or not pps:
        raise MediaError("a sequence and a picture parameter set are needed")
    parameters = parse_sps(sps[0])
    return VideoTrack(
        codec="h264",
        record=_build_record(parameters, sps, pps),
        parameter_sets=(*sps, *pps),
        width=parameters.width,
        height=parameters.height,
        codec_string=parameters.codec_string,
        frame_rate=parameters.frame_rate,
        colour=parameters.colour,
    )


def _build_record(parameters: H264Parameters, sps: list[bytes], pps: list[bytes]) -> bytes:
    """The AVCDecoderConfigurationRecord with 4-byte lengths (14496-15 §5.3.3.1.2)."""
    if len(sps) > 31 or len(pps) > 255 or any(len(unit) > 0xFFFF for unit in (*sps, *pps)):
        raise MediaError("too many or too large parameter sets")
    record = bytearray((1, parameters.profile, parameters.constraints, parameters.level, 0xFF, 0xE0 | len(sps)))
    for unit in sps:
        record += len(unit).to_bytes(2, "big") + unit
    record.append(len(pps))
    for unit in pps:
        record += len(unit).to_bytes(2, "big") + unit
    if parameters.profile not in (66, 77, 88):
        record += bytes(
            (
                0xFC | parameters.chroma_format,
                0xF8 | (parameters.luma_depth - 8),
                0xF8 | (parameters.chroma_depth - 8),
                0,  # numOfSequenceParameterSetExt
            )
        )
    return bytes(record)


def merge(current: tuple[bytes, ...], found: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The parameter sets in force once `found` came in-band: each replaces the one of its type and id (§7.4.1.2.1).

    The newest stand first, for they are what the picture they came with refers to; the oldest go where an encoder
    numbers them anew at each IDR picture, or they would fill the record.
    """
    merged = nal.merge(current, found, slot, {SPS: MERGED_SPS, PPS: MERGED_PPS})
    sequences = {slot(unit)[1] for unit in merged if unit[0] & 0x1F == SPS}
    return tuple(unit for unit in merged if unit[0] & 0x1F != PPS or _sequence_of(unit) in sequences)


def _sequence_of(unit: bytes) -> int:
    """The id of the SPS that a PPS refers to (§7.3.2.2)."""
    bits = BitReader(unescape(unit[1:64]))
    _identifier(bits, 255)
    return _identifier(bits, 31)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two parameter sets of one type and id mean the same to a decoder: they differ in the VUI at most (§E.1).

    Raises MediaError.
    """
    if one == other:
        return True
    if one[0] & 0x1F != SPS:
        return False
    return parse_sps(one)._replace(frame_rate=None) == parse_sps(other)._replace(frame_rate=None)


def slot(unit: bytes) -> tuple[int, int]:
    """Its type and id: one of each is in force at a time. Raises MediaError."""
    unit_type = unit[0] & 0x1F
    bits = BitReader(unescape(unit[1:64]))
    if unit_type == SPS:
        bits.skip(24)
        return unit_type, _identifier(bits, 31)
    return unit_type, _identifier(bits, 255)


def normalise(body: bytes, length_size: int) -> tuple[bytes, int, tuple[bytes, ...] | None]:
    """`nal.normalise` for H.264: the sample, the classes seen (`nal.KEY`: IDR), in-band parameter sets or None."""
    return nal.normalise(body, length_size, _CLASSES)


def has_recovery_point(sample: bytes) -> bool:
    """Whether a sample without IDR says that decoding may start here all the same (recovery point SEI, §D.1.8)."""
    return RECOVERY_POINT in nal.messages(sample, _CLASSES, 0x1F, SEI, 1)


def begins_picture(sample: bytes) -> bool:
    """Whether the first slice in a sample is the first one of its picture: first_mb_in_slice 0, ue(v) "1" (§7.3.3).

    Data partitions B and C (§7.3.2.9) always go on with one.
    """
    if sample[4] & 0x1F in _WHOLE_SLICES and len(sample) > 5:  # as most samples begin: this is asked for every picture
        return sample[5] >= 0x80
    at = nal.first_slice(sample, _CLASSES)
    return sample[at] & 0x1F not in (3, 4) and (at + 1 >= len(sample) or sample[at + 1] >= 0x80)


def loose(body: bytes, length_size: int) -> bytes:
    """What of a body without a picture goes before the picture that follows."""
    return nal.join(nal.loose(body, length_size, _CLASSES))
