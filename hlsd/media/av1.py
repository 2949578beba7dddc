"""Understands AV1 as far as a server must: sequence headers, configuration records, where decoding can begin.

Law: a sample is the OBUs of a temporal unit without delimiters, padding and repeated frame headers, and every sequence
header stays in it; what a track says of itself comes from its sequence header. Every read has a bound. Sources: the
AV1 Bitstream & Decoding Process (§5.3 to §5.5, §5.9.2, §7.6.2, §6.7), AV1 Codec ISO Media File Format Binding (§2.3 for
`av1C`, §2.4 for samples, §5 for the codec string). All fields are big endian, as the headers of H.264 are.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from hlsd.base.errors import MediaError
from hlsd.media.bits import BitReader
from hlsd.media.nal import CLEAN, KEY, PICTURE
from hlsd.media.unit import Aside, Colour, VideoTrack

_SEQUENCE_HEADER, _DELIMITER, _FRAME_HEADER, _METADATA, _FRAME, _REPEATED_HEADER, _TILE_LIST, _PADDING = (
    1, 2, 3, 5, 6, 7, 8, 15
)  # fmt: skip
_STRIPPED: Final = frozenset((_DELIMITER, _REPEATED_HEADER, _TILE_LIST, _PADDING))
"""ISO binding §2.4: what should not, and of tile lists what shall not, be in a sample."""

OBU_LIMIT: Final = 4_096
"""OBUs in a temporal unit: a tile group each at worst, and level 6.3 has 128 tiles in a picture."""
SEQUENCE_LIMIT: Final = 512
"""Bytes of a sequence header: with 32 operating points, each with its parameters, it has 400."""
_SEQUENCES: Final = 16
_METADATA_LIMIT: Final = 64
"""Metadata OBUs of a key picture that are looked at."""
_SIZE_LIMIT: Final = 16_384

ORDINARY: Final = bytes(256), 0
"""No picture is told to be ordinary by three bytes: all are looked at."""


class Av1Parameters(NamedTuple):
    """What a sequence header says. Pixels are the largest picture; `frame_rate` is per second, or None.

    `head` are the three bytes that stand for it in `av1C`: profile and level, tier, depth, sampling.
    """

    head: bytes
    depth: int
    width: int
    height: int
    frame_rate: Fraction | None
    colour: Colour

    @property
    def codec_string(self) -> str:
        """`av01.P.LLT.DD`: the rest may be left out together (ISO binding §5), and Firefoxes refused it."""
        profile, level = self.head[0] >> 5, self.head[0] & 31
        return f"av01.{profile}.{level:02}{'H' if self.head[1] & 0x80 else 'M'}.{self.depth:02}"


def _obus(body: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, beginning, beginning of the payload and end of each OBU (§5.3). Raises MediaError.

    The last one may be without a size: it ends where the body does.
    """
    at, end = 0, len(body)
    for _ in range(OBU_LIMIT):
        if at >= end:
            return
        begin, header = at, body[at]
        if header & 0x80:
            raise MediaError("an OBU with its forbidden bit set")
        at += 2 if header & 4 else 1  # obu_extension_flag
        if header & 2:
            size, at = _leb128(body, at)
            stop = at + size
        else:
            stop = end
        if stop > end or at > end:
            raise MediaError("an OBU that goes beyond its temporal unit")
        yield header >> 3, begin, at, stop
        at = stop
    if at < end:
        raise MediaError(f"more than {OBU_LIMIT} OBUs in a temporal unit")


def _leb128(body: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends (§4.10.5): eight bytes at most, less than 2^32."""
    value = 0
    for shift in range(0, 56, 7):
        if at >= len(body):
            break
        octet = body[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            if value >> 32:
                break
            return value, at
    raise MediaError("the size of an OBU cannot be read")


def _sized(payload: bytes) -> bytes:
    """A sequence header OBU of one form, whatever form it came in: with its size, without an extension."""
    size = len(payload)
    length = bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))
    return b"\x0a" + length + payload


def normalise(body: bytes, length_size: int) -> tuple[bytes, int, tuple[bytes, ...] | None]:
    """A temporal unit as a sample, what it is (`nal.PICTURE`, `KEY`, `CLEAN`), and its sequence headers or None.

    The sample is empty when there is no frame in it. Decoding may start at a frame "with frame_type equal to KEY_FRAME,
    with show_frame equal to 1, that is contained in a temporal unit that also contains a sequence header OBU" (§7.6.2),
    which of a sample must be the first; nothing behind it needs what was before. `length_size` is for the others.
    Raises MediaError.
    """
    del length_size
    seen = kept = 0
    pieces: list[bytes] = []
    found: list[bytes] = []
    for kind, begin, payload, end in _obus(body):
        if kind in _STRIPPED:
            if kept < begin:
                pieces.append(body[kept:begin])
            kept = end
        elif kind == _SEQUENCE_HEADER:
            found.append(_taken(body, payload, end, len(found)))
        elif kind in (_FRAME, _FRAME_HEADER):
            if not seen and found and payload < end and _begins_anew(found[0], body[payload]):
                seen = KEY | CLEAN
            seen |= PICTURE
    if kept == 0:
        sample = body
    else:
        pieces.append(body[kept:])
        sample = b"".join(pieces) if len(pieces) > 1 else pieces[0]
    return (sample if seen else b""), seen, tuple(found) if found else None


def completed(sample: bytes, sets: tuple[bytes, ...]) -> bytes:
    """A sample that begins with a shown key frame and has no sequence header, behind the one in force; else empty.

    Encoders may say it once, in the record or in the first picture; decoding can start where it is said again.
    """
    for kind, _, payload, end in _obus(sample):
        if kind == _SEQUENCE_HEADER:
            break
        if kind in (_FRAME, _FRAME_HEADER):
            return sets[0] + sample if payload < end and _begins_anew(sets[0], sample[payload]) else b""
    return b""


def _taken(body: bytes, payload: int, end: int, before: int) -> bytes:
    if end - payload > SEQUENCE_LIMIT:
        raise MediaError(f"a sequence header of more than {SEQUENCE_LIMIT} bytes")
    if before >= _SEQUENCES:
        raise MediaError(f"more than {_SEQUENCES} sequence headers in a temporal unit")
    return _sized(body[payload:end])


def _begins_anew(sequence: bytes, frame: int) -> bool:
    """Whether a frame header that begins with this byte is a key frame's that is shown (§5.9.2)."""
    first = sequence[3 if sequence[1] & 0x80 else 2 :][:1]
    if first and first[0] & 8:  # reduced_still_picture_header: "show_existing_frame = 0, frame_type = KEY_FRAME"
        return True
    return frame & 0xF0 == 0x10  # show_existing_frame 0, frame_type 0, show_frame 1


def begins_picture(sample: bytes) -> bool:  # noqa: ARG001 - as of the others
    """Always: "one or more OBUs representing a single temporal unit" are in a message (Enhanced RTMP v2)."""
    return True


def has_recovery_point(sample: bytes) -> bool:  # noqa: ARG001 - as of the others
    """Never: no message says that decoding may start at other than a key frame."""
    return False


def loose(body: bytes, length_size: int) -> bytes:
    """What of a temporal unit without a frame goes before the frame that follows: metadata that says how long it is."""
    del length_size
    return b"".join([body[begin:end] for kind, begin, _, end in _obus(body) if kind == _METADATA and body[begin] & 2])


def read_record(record: bytes) -> tuple[VideoTrack, int]:
    """The track of an AV1CodecConfigurationRecord, and 4, which means nothing here. Raises MediaError.

    It "may" hold the sequence header: without one there is nothing to learn from it, and what is in the stream counts.
    """
    if len(record) < 4 or record[0] != 0x81:  # marker and version
        raise MediaError("not an AV1CodecConfigurationRecord")
    body = record[4:]
    found = [_taken(body, payload, end, 0) for kind, _, payload, end in _obus(body) if kind == _SEQUENCE_HEADER]
    if not found:
        raise MediaError("an AV1CodecConfigurationRecord without a sequence header")
    return make_track((found[0],)), 4


def make_track(units: tuple[bytes, ...]) -> VideoTrack:
    """The track that the first of these sequence header OBUs describes. Raises MediaError."""
    if not units:
        raise MediaError("a sequence header is needed")
    parameters = parse_sequence_header(units[0])
    return VideoTrack(
        codec="av1",
        # initial_presentation_delay_present 0; configOBUs: "the Sequence Header OBU … first"
        record=b"\x81" + parameters.head + units[0],
        parameter_sets=units[:1],
        width=parameters.width,
        height=parameters.height,
        codec_string=parameters.codec_string,
        frame_rate=parameters.frame_rate,
        colour=parameters.colour,
    )


def merge(current: tuple[bytes, ...], found: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The sequence header in force: the newest."""
    return found[:1] or current


def slot(unit: bytes) -> tuple[int, int]:  # noqa: ARG001 - as of the others
    """There is one of them at a time."""
    return _SEQUENCE_HEADER, 0


def alike(one: bytes, other: bytes) -> bool:
    """Whether two sequence headers mean the same: it is all decoding that is in them."""
    return one == other


def parse_sequence_header(unit: bytes) -> Av1Parameters:
    """Reads a sequence header OBU with a size field (§5.5.1). Raises MediaError."""
    kind, _, payload, end = next(_obus(unit), (0, 0, 0, 0))
    if kind != _SEQUENCE_HEADER or end - payload > SEQUENCE_LIMIT:
        raise MediaError("not a sequence header")
    bits = BitReader(unit[payload:end])
    profile = bits.u(3)
    if profile > 2:
        raise MediaError(f"seq_profile {profile} is reserved")
    bits.skip(1)  # still_picture
    reduced = bits.flag()
    frame_rate: Fraction | None = None
    if reduced:
        level, tier = bits.u(5), 0
    else:
        level, tier, frame_rate = _operation(bits)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width, height = bits.u(width_bits) + 1, bits.u(height_bits) + 1
    if width > _SIZE_LIMIT or height > _SIZE_LIMIT:
        raise MediaError(f"picture size {width}x{height} is out of bounds")
    if not reduced and bits.flag():
        bits.skip(7)  # delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
    bits.skip(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not reduced:
        _skip_tools(bits)
    bits.skip(3)  # enable_superres, enable_cdef, enable_restoration
    depth, sampling, colour = _colour_config(bits, profile)
    return Av1Parameters(
        bytes((profile << 5 | level, tier << 7 | sampling, 0)), depth, width, height, frame_rate, colour
    )


def _operation(bits: BitReader) -> tuple[int, int, Fraction | None]:
    """Level and tier of the first operating point, and the frame rate, of what stands before the size."""
    frame_rate: Fraction | None = None
    delay_bits = 0
    if bits.flag():  # timing_info_present_flag
        tick, scale = bits.u(32), bits.u(32)
        if bits.flag():  # equal_picture_interval
            ticks = bits.ue() + 1  # uvlc() is ue(v) (§4.10.3)
            frame_rate = Fraction(scale, tick * ticks) if tick and scale else None
        if bits.flag():  # decoder_model_info_present_flag
            delay_bits = bits.u(5) + 1
            bits.skip(42)  # num_units_in_decoding_tick, buffer_removal_time_…, frame_presentation_time_…
    delayed = bits.flag()  # initial_display_delay_present_flag
    level = tier = 0
    for point in range(bits.u(5) + 1):
        bits.skip(12)  # operating_point_idc
        its_level = bits.u(5)
        its_tier = bits.u(1) if its_level > 7 else 0
        if not point:
            level, tier = its_level, its_tier
        if delay_bits and bits.flag():
            bits.skip(2 * delay_bits + 1)
        if delayed and bits.flag():
            bits.skip(4)
    return level, tier, frame_rate


def _skip_tools(bits: BitReader) -> None:
    """Passes over the switches of coding tools that a reduced header has not."""
    bits.skip(4)  # enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
    ordered = bits.flag()  # enable_order_hint
    if ordered:
        bits.skip(2)
    chosen = bits.flag()  # seq_choose_screen_content_tools: SELECT_SCREEN_CONTENT_TOOLS is above 0
    if (chosen or bits.flag()) and not bits.flag():  # seq_choose_integer_mv
        bits.skip(1)
    if ordered:
        bits.skip(3)


def _colour_config(bits: BitReader, profile: int) -> tuple[int, int, Colour]:
    """Bit depth, the bits of depth and sampling as `av1C` has them behind the tier, and the colour (§5.5.2)."""
    high = bits.flag()
    twelve = profile == 2 and high and bits.flag()
    depth = 12 if twelve else 10 if high else 8
    grey = profile != 1 and bits.flag()
    points = (bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else (2, 2, 2)
    place = 0
    if grey:
        full, across, down = bits.flag(), 1, 1
    elif points == (1, 13, 0):  # sRGB
        full, across, down = True, 0, 0
    else:
        full = bits.flag()
        across, down = (1, 1) if profile == 0 else (0, 0) if profile == 1 else (1, 0)
        if depth == 12:
            across = bits.u(1)
            down = bits.u(1) if across else 0
        if across and down:
            place = bits.u(2)
    sampling = high << 6 | twelve << 5 | grey << 4 | across << 3 | down << 2 | place
    return depth, sampling, Colour(*points, full)


def from_metadata(sample: bytes, aside: Aside) -> Aside:
    """`aside` with what the metadata OBUs of a picture say of mastering display and light level (§6.7.3, §6.7.4)."""
    looked = 0
    for kind, _, payload, end in _obus(sample):
        if kind != _METADATA:
            continue
        looked += 1
        if looked > _METADATA_LIMIT:
            break
        data = sample[payload + 1 : min(end, payload + 25)]
        if sample[payload : payload + 1] == b"\x01" and len(data) >= 4:
            aside = aside._replace(light=data[:4])
        elif sample[payload : payload + 1] == b"\x02" and len(data) == 24:
            aside = aside._replace(mastering=_mastering(data))
    return aside


def _mastering(data: bytes) -> bytes:
    """As `mdcv` has it: green, blue, red, white in steps of 0.00002, light in steps of 0.0001 cd/m².

    Here they stand as red, green, blue, white in 0.16 fixed point, the most light in 24.8 and the least in 18.14.
    """
    places = [int.from_bytes(data[at : at + 2], "big") for at in range(0, 16, 2)]
    steps = [(place * 50_000 + 0x8000 >> 16).to_bytes(2, "big") for place in (*places[2:6], *places[:2], *places[6:])]
    most, least = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:], "big")
    light = (most * 10_000 + 0x80 >> 8, least * 10_000 + 0x2000 >> 14)
    return b"".join(steps) + b"".join(min(level, 0xFFFFFFFF).to_bytes(4, "big") for level in light)
