"""Understands H.265 as far as a server must: parameter sets, decoder configuration records, IRAP pictures.

Law: the record that goes out is a record for `hvc1` (HE02): VPS, SPS and PPS complete in it, 4-byte lengths; what a
track says of itself comes from its sequence parameter set. Sources: ITU-T H.265 §7.3.2.2, §7.3.3, §7.4.2.2, Annex E;
ISO/IEC 14496-15 §8.3.3 for the record (`hvcC`) and Annex E for the codec string (HE04).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media import nal
from hlsd.media.bits import BitReader, unescape
from hlsd.media.h264 import read_colour
from hlsd.media.nal import BLA, CLEAN, KEY, PARAMETERS, PICTURE, RASL, STRIP
from hlsd.media.unit import Colour, VideoTrack

VPS = 32
SPS = 33
PPS = 34
_SEI = (39, 40)
RECOVERY_POINT = 6

# Table 7-1. 0..9 trailing and leading pictures, 16..18 BLA (only 16 may have RASL pictures), 19 and 20 IDR, 21 CRA,
# 35 delimiter, 36 and 37 ends, 38 filler. A CRA's RASL pictures need the past: key, but not clean (HE03).
_TYPES = {
    **dict.fromkeys(range(10), PICTURE),
    8: PICTURE | RASL,
    9: PICTURE | RASL,
    16: PICTURE | KEY | BLA,
    17: PICTURE | KEY | CLEAN | BLA,
    18: PICTURE | KEY | CLEAN | BLA,
    19: PICTURE | KEY | CLEAN,
    20: PICTURE | KEY | CLEAN,
    21: PICTURE | KEY,
    VPS: STRIP | PARAMETERS,
    SPS: STRIP | PARAMETERS,
    PPS: STRIP | PARAMETERS,
    35: STRIP,
    36: STRIP,
    37: STRIP,
    38: STRIP,
}
_CLASSES = bytes(_TYPES.get((header >> 1) & 0x3F, 0) for header in range(256))
ORDINARY = bytes((header >> 1) & 0x3F < 8 for header in range(256)), 6
"""As in H.264: slices that neither IRAP nor RASL pictures have."""

_SIZE_LIMIT = 16_384
_LAST_PLAIN_PROFILE = 3
"""Main, Main 10 and Main Still Picture have no extension behind the VUI (§A.3)."""


class H265Parameters(NamedTuple):
    """What a sequence parameter set says. Pixels are the cropped picture; `frame_rate` is per second, or None.

    `profile_tier_level` are the 12 bytes of the general profile, tier and level (§7.3.3), as `hvcC` wants them.
    """

    profile_tier_level: bytes
    sub_layers: int
    nested: bool
    chroma_format: int
    luma_depth: int
    chroma_depth: int
    width: int
    height: int
    frame_rate: Fraction | None
    core: int = 0
    """The bits before the VUI, behind a 1; all bits of a profile that may say more of decoding behind it."""
    colour: Colour = Colour()

    @property
    def codec_string(self) -> str:
        """`hvc1.` and profile, compatibility, tier and level, constraints as 14496-15 Annex E.3 spells them (HE04)."""
        head = self.profile_tier_level
        space = ("", "A", "B", "C")[head[0] >> 6]
        tier = "H" if head[0] & 0x20 else "L"
        compatibility = int(f"{int.from_bytes(head[1:5], 'big'):032b}"[::-1], 2)
        constraints = "".join(f".{octet:X}" for octet in head[5:11].rstrip(b"\x00"))
        return f"hvc1.{space}{head[0] & 0x1F}.{compatibility:X}.{tier}{head[11]}{constraints}"


def unit_type(unit: bytes) -> int:
    """The type of a NAL unit (§7.3.1.2)."""
    return (unit[0] >> 1) & 0x3F


def parse_sps(unit: bytes) -> H265Parameters:
    """Reads a sequence parameter set NAL unit (§7.3.2.2.1). Raises MediaError."""
    if len(unit) < 15 or unit_type(unit) != SPS:
        raise MediaError("not a sequence parameter set")
    rbsp = unescape(unit[2:])
    bits = BitReader(rbsp)
    bits.skip(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3) + 1
    nested = bits.flag()
    _skip_profile_tier_level(bits, sub_layers)
    _identifier(bits, 15)
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise MediaError(f"chroma_format_idc {chroma_format} does not exist")
    separate_planes = bits.flag() if chroma_format == 3 else False
    width = bits.ue()
    height = bits.ue()
    if bits.flag():
        # §7.4.3.2.1: the conformance window is counted in SubWidthC and SubHeightC.
        array_type = 0 if separate_planes else chroma_format
        width -= (2 if array_type in (1, 2) else 1) * (bits.ue() + bits.ue())
        height -= (2 if array_type == 1 else 1) * (bits.ue() + bits.ue())
    if not (0 < width <= _SIZE_LIMIT and 0 < height <= _SIZE_LIMIT):
        raise MediaError(f"picture size {width}x{height} is out of bounds")
    luma_depth = bits.ue() + 8
    chroma_depth = bits.ue() + 8
    if luma_depth > 15 or chroma_depth > 15:
        raise MediaError("bit depth beyond 15")
    frame_rate, colour = None, Colour()
    core = int.from_bytes(b"\x01" + rbsp, "big")
    try:
        _skip_to_vui(bits, sub_layers)
        if rbsp[1] & 0x1F <= _LAST_PLAIN_PROFILE:
            core = bits.passed()
        if bits.flag():
            colour = _colour(bits)
            frame_rate = _timing(bits)
    except MediaError:
        pass  # the timing is a hint; the picture size stands
    return H265Parameters(
        rbsp[1:13], sub_layers, nested, chroma_format, luma_depth, chroma_depth, width, height, frame_rate, core, colour
    )


def reordering(unit: bytes) -> int:
    """How many pictures at most are shown later than one that follows them: `sps_max_num_reorder_pics` (§7.4.3.2.1).

    Raises MediaError.
    """
    bits = BitReader(unescape(unit[2:]))
    bits.skip(4)
    sub_layers = bits.u(3) + 1
    bits.skip(1)
    _skip_profile_tier_level(bits, sub_layers)
    bits.ue()
    if bits.ue() == 3:
        bits.skip(1)
    bits.ue()
    bits.ue()
    if bits.flag():
        for _ in range(4):
            bits.ue()
    for _ in range(3):
        bits.ue()  # bit depths, log2_max_pic_order_cnt_lsb_minus4
    found = 0
    for _ in range(sub_layers if bits.flag() else 1):
        bits.ue()
        found = bits.ue()
        bits.ue()
    return found


def _identifier(bits: BitReader, highest: int) -> int:
    identifier = bits.ue()
    if identifier > highest:
        raise MediaError(f"parameter set id {identifier} is beyond {highest}")
    return identifier


def _skip_profile_tier_level(bits: BitReader, sub_layers: int) -> None:
    bits.skip(96)
    if sub_layers == 1:
        return
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers - 1)]
    bits.skip(2 * (9 - sub_layers))  # reserved_zero_2bits up to eight layers
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)


def _skip_to_vui(bits: BitReader, sub_layers: int) -> None:
    """Reads on to the VUI (§7.3.2.2.1)."""
    order_bits = bits.ue() + 4
    for _ in range(sub_layers if bits.flag() else 1):
        bits.ue()
        bits.ue()
        bits.ue()
    for _ in range(6):
        bits.ue()  # block sizes and transform depths
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.skip(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():
        bits.skip(8)
        bits.ue()
        bits.ue()
        bits.skip(1)
    _skip_reference_sets(bits)
    if bits.flag():
        for _ in range(_bounded(bits.ue(), 32)):
            bits.skip(order_bits + 1)
    bits.skip(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag


def _colour(bits: BitReader) -> Colour:
    """The first part of the VUI (§E.2.1)."""
    if bits.flag() and bits.u(8) == 255:
        bits.skip(32)  # sar_width, sar_height
    if bits.flag():
        bits.skip(1)  # overscan_appropriate_flag
    return read_colour(bits)


def _timing(bits: BitReader) -> Fraction | None:
    """The frame rate, from what follows in the VUI: a frame lasts vui_num_units_in_tick / vui_time_scale seconds."""
    if bits.flag():
        bits.ue()
        bits.ue()
    bits.skip(3)  # neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag():
        for _ in range(4):
            bits.ue()  # default display window
    if not bits.flag():
        return None
    units = bits.u(32)
    scale = bits.u(32)
    return Fraction(scale, units) if units and scale else None


def _bounded(count: int, highest: int) -> int:
    if count > highest:
        raise MediaError(f"a count of {count} is beyond {highest}")
    return count


def _skip_scaling_lists(bits: BitReader) -> None:
    """Passes over scaling_list_data (§7.3.4)."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()  # scaling_list_pred_matrix_id_delta
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.se()


def _skip_reference_sets(bits: BitReader) -> None:
    """Passes over the short-term reference picture sets (§7.3.7)."""
    pictures = 0
    for index in range(_bounded(bits.ue(), 64)):
        if index and bits.flag():
            bits.skip(1)  # delta_rps_sign
            bits.ue()
            kept = 0
            for _ in range(pictures + 1):
                # used_by_curr_pic_flag, or else use_delta_flag, keeps the picture in the set.
                kept += bits.flag() or bits.flag()
            pictures = kept
        else:
            negative = _bounded(bits.ue(), 16)
            positive = _bounded(bits.ue(), 16)
            pictures = negative + positive
            for _ in range(pictures):
                bits.ue()
                bits.skip(1)


def read_record(record: bytes) -> tuple[VideoTrack, int]:
    """The track of an HEVCDecoderConfigurationRecord and the size of its NAL lengths (1, 2 or 4). Raises MediaError."""
    # Version 0 was written before the standard was out; the layout is the same.
    if len(record) < 23 or record[0] > 1:
        raise MediaError("not an HEVCDecoderConfigurationRecord")
    length_size = (record[21] & 3) + 1
    if length_size == 3:
        raise MediaError("lengthSizeMinusOne 2 is reserved")
    units: list[bytes] = []
    position = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        if count > nal.NAL_LIMIT:
            raise MediaError("too many parameter sets")
        for _ in range(count):
            start = position + 2
            position = start + int.from_bytes(record[position:start], "big")
            if position > len(record):
                raise MediaError("the decoder configuration record ends inside a parameter set")
            unit = record[start:position].rstrip(b"\x00")  # §7.4.2.1: a NAL unit never ends in a zero byte
            # The encoder's own signature (user data, §D.2.7) is of no use in every initialisation section.
            if len(unit) > 2 and not (unit_type(unit) in _SEI and unit[2] == 5):
                units.append(unit)
    return make_track(tuple(units)), length_size


def make_track(units: tuple[bytes, ...]) -> VideoTrack:
    """The track that these parameter sets (and declarative SEI messages), in any order, describe. Raises MediaError."""
    nal.check_sets(units)
    by_type = {kind: [unit for unit in units if unit_type(unit) == kind] for kind in (VPS, SPS, PPS, *_SEI)}
    if not by_type[VPS] or not by_type[SPS] or not by_type[PPS]:
        raise MediaError("a video, a sequence and a picture parameter set are needed")
    parameters = parse_sps(by_type[SPS][0])
    return VideoTrack(
        codec="h265",
        record=_build_record(parameters, by_type),
        parameter_sets=(*by_type[VPS], *by_type[SPS], *by_type[PPS]),
        width=parameters.width,
        height=parameters.height,
        codec_string=parameters.codec_string,
        frame_rate=parameters.frame_rate,
        colour=parameters.colour,
    )


def _build_record(parameters: H265Parameters, by_type: dict[int, list[bytes]]) -> bytes:
    """The HEVCDecoderConfigurationRecord of `hvc1`: complete arrays, 4-byte lengths (14496-15 §8.3.3.1.2)."""
    record = bytearray((1,))
    record += parameters.profile_tier_level
    record += bytes(
        (
            0xF0,
            0x00,  # min_spatial_segmentation_idc: not said
            0xFC,  # parallelismType: not said
            0xFC | parameters.chroma_format,
            0xF8 | (parameters.luma_depth - 8),
            0xF8 | (parameters.chroma_depth - 8),
            0,
            0,  # avgFrameRate: not said
            parameters.sub_layers << 3 | parameters.nested << 2 | 3,
        )
    )
    arrays = {kind: units for kind, units in by_type.items() if units}
    record.append(len(arrays))
    for kind, units in arrays.items():
        # array_completeness: all parameter sets are here and none in the stream; SEI messages may come again.
        record.append((0 if kind in _SEI else 0x80) | kind)
        record += len(units).to_bytes(2, "big")
        for unit in units:
            if len(unit) > 0xFFFF:
                raise MediaError("a parameter set is larger than its record allows")
            record += len(unit).to_bytes(2, "big") + unit
    return bytes(record)


def merge(current: tuple[bytes, ...], found: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The parameter sets in force once `found` came in-band: each replaces the one of its type and id (§7.4.2.4.2).

    The newest stand first, for they are what the picture they came with refers to; `hvcC` has room for every id.
    """
    return nal.merge(current, found, slot, {})


def alike(one: bytes, other: bytes) -> bool:
    """Whether two parameter sets of one type and id mean the same to a decoder: they differ in the VUI at most (§E.2).

    Raises MediaError.
    """
    if one == other:
        return True
    if unit_type(one) != SPS:
        return False
    return parse_sps(one)._replace(frame_rate=None) == parse_sps(other)._replace(frame_rate=None)


def slot(unit: bytes) -> tuple[int, int]:
    """Its type and id: one of each is in force at a time. Raises MediaError."""
    kind = unit_type(unit)
    bits = BitReader(unescape(unit[2:128]))
    if kind == VPS:
        return kind, bits.u(4)
    if kind == SPS:
        bits.skip(4)
        sub_layers = bits.u(3) + 1
        bits.skip(1)
        _skip_profile_tier_level(bits, sub_layers)
        return kind, _identifier(bits, 15)
    return kind, _identifier(bits, 63)


def normalise(body: bytes, length_size: int) -> tuple[bytes, int, tuple[bytes, ...] | None]:
    """`nal.normalise` for H.265: the sample, the classes seen (`nal.KEY`: IRAP), in-band parameter sets or None."""
    return nal.normalise(body, length_size, _CLASSES)


def has_recovery_point(sample: bytes) -> bool:
    """Whether a sample without IRAP picture says that decoding may start here all the same (§D.3.8)."""
    return RECOVERY_POINT in nal.messages(sample, _CLASSES, 0x7E, _SEI[0] << 1, 2)


def begins_picture(sample: bytes) -> bool:
    """Whether the first slice in a sample is its picture's first: first_slice_segment_in_pic_flag (§7.3.6.1)."""
    at = nal.first_slice(sample, _CLASSES)
    return at + 2 >= len(sample) or sample[at + 2] >= 0x80


def loose(body: bytes, length_size: int) -> bytes:
    """What of a body without a picture goes before the picture that follows; suffix SEI is of the one before."""
    return nal.join([unit for unit in nal.loose(body, length_size, _CLASSES) if unit_type(unit) != _SEI[1]])
