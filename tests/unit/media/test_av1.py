"""AV1 as far as a server must know it: sequence headers, records, where decoding may start.

Bare sections are of the AV1 Bitstream & Decoding Process; those of its ISO binding (AV1 in ISO files) say so.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from hlsd.base.errors import MediaError
from hlsd.media import av1, nal
from hlsd.media.unit import Aside, Colour

SVT = bytes.fromhex("0a0b0200000521e7f66257c802")
"""320x180 by SVT-AV1, as it stands in a key picture."""
AOM = bytes.fromhex("0a0b000000043cfeccdaf90040")
"""The same size by libaom."""
DELIMITER = bytes.fromhex("1200")
KEY = bytes.fromhex("32 03 10 aa bb")
"""A frame that says: not shown before, a key frame, shown."""
INTER = bytes.fromhex("32 03 30 aa bb")


def obu(kind: int, payload: bytes, *, extension: bool = False, sized: bool = True) -> bytes:
    """An OBU as §5.3 has it; its payload is less than 16 KiB."""
    size = bytes((len(payload),)) if len(payload) < 128 else bytes((len(payload) & 127 | 128, len(payload) >> 7))
    head = bytes((kind << 3 | extension << 2 | sized << 1,))
    return head + (b"\x08" if extension else b"") + (size if sized else b"") + payload


class Header:
    """Writes a sequence header bit by bit, in the order of §5.5.1."""

    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, width: int = 1) -> Header:
        self.bits += f"{value:0{width}b}"
        return self

    def unit(self) -> bytes:
        bits = self.bits + "1"  # trailing bits
        bits += "0" * (-len(bits) % 8)
        return obu(1, int(bits, 2).to_bytes(len(bits) // 8, "big"))


def header(
    profile: int = 0,
    *,
    level: int = 8,
    tier: int = 0,
    points: int = 1,
    timing: tuple[int, int, int] | None = None,
    model: bool = False,
    size: tuple[int, int] = (1920, 1080),
    colour: str = "0 0 0 0 00",
) -> bytes:
    """A sequence header; `colour` are the bits of color_config (§5.5.2), blanks for reading."""
    out = Header().put(profile, 3).put(0).put(0).put(timing is not None)
    if timing is not None:
        tick, scale, ticks = timing
        out.put(tick, 32).put(scale, 32).put(1)
        code = f"{ticks:b}"  # uvlc: as many zeros as digits behind the first
        out.bits += "0" * (len(code) - 1) + code
        out.put(model)
        if model:
            out.put(9, 5).put(1, 32).put(3, 5).put(5, 5)
    out.put(1).put(points - 1, 5)
    for point in range(points):
        out.put(0, 12).put(level - point, 5)
        if level - point > 7:
            out.put(tier)
        if model:
            out.put(1).put(0, 10).put(0, 10).put(0)
        out.put(1).put(7, 4)
    out.put(13, 4).put(12, 4).put(size[0] - 1, 14).put(size[1] - 1, 13)
    out.put(1).put(3, 4).put(2, 3)  # frame ids
    out.put(0, 3).put(0, 4)
    out.put(1).put(0, 2).put(0).put(1).put(0).put(1).put(6, 3)
    out.put(0, 3)
    out.bits += colour.replace(" ", "")
    return out.put(0).unit()


def test_headers_of_encoders_are_read() -> None:
    """Golden bytes of SVT-AV1 4.2 and libaom by way of ffmpeg 9."""
    for unit, delayed in ((SVT, bytes.fromhex("81000c00")), (AOM, bytes.fromhex("81000c00"))):
        track, size = av1.read_record(delayed + unit)
        assert (track.width, track.height, track.codec_string, size) == (320, 180, "av01.0.00M.08", 4)
        assert track.record == delayed + unit
        assert track.parameter_sets == (unit,)
        assert track.video_range == "SDR"


@pytest.mark.parametrize(
    ("unit", "codec", "head"),
    [
        # the first three bytes of av1C behind the marker: profile and level, tier and depth and sampling, nothing
        (header(), "av01.0.08M.08", "08 0c 00"),
        (header(level=13, tier=1), "av01.0.13H.08", "0d 8c 00"),
        (header(level=9, points=3), "av01.0.09M.08", "09 0c 00"),
        (header(colour="1 0 0 0 10"), "av01.0.08M.10", "08 4e 00"),
        (header(colour="0 1 0 0"), "av01.0.08M.08", "08 1c 00"),
        (header(1, colour="0 0 0"), "av01.1.08M.08", "28 00 00"),
        (header(2, colour="1 0 0 0 0"), "av01.2.08M.10", "48 48 00"),
        (header(2, colour="1 1 0 0 0 1 1 01"), "av01.2.08M.12", "48 6d 00"),
        (header(timing=(1, 60, 2), model=True, level=7), "av01.0.07M.08", "07 0c 00"),
    ],
)
def test_profile_level_depth_and_sampling_are_told(unit: bytes, codec: str, head: str) -> None:
    """ISO binding §2.3.3 and §5; where operating points and models stand in the way they are passed over."""
    track = av1.make_track((unit,))
    assert (track.codec_string, track.record[1:4]) == (codec, bytes.fromhex(head))
    assert (track.width, track.height) == (1920, 1080)
    assert av1.read_record(track.record) == (track, 4)


def test_frame_rate_and_colour_come_from_the_header() -> None:
    """§6.4.3: a picture lasts num_units_in_display_tick * (num_ticks_per_picture_minus_1 + 1) of time_scale."""
    track = av1.make_track((header(timing=(1001, 60_000, 2)),))
    assert track.frame_rate == Fraction(30_000, 1001)
    pq = av1.make_track((header(colour="1 0 1 00001001 00010000 00001001 0 00"),))
    assert (pq.colour, pq.video_range) == (Colour(9, 16, 9), "PQ")
    rgb = av1.make_track((header(1, colour="0 1 00000001 00001101 00000000"),))
    assert rgb.colour == Colour(1, 13, 0, full_range=True)
    assert rgb.record[2] == 0


def test_other_depth_is_another_track_and_other_tools_are_another_record() -> None:
    """A decoder must be told of either; a player need not make a new one for the second."""
    eight, ten = av1.make_track((header(),)), av1.make_track((header(colour="1 0 0 0 00"),))
    assert not eight.decodes_as(ten)
    svt = av1.make_track((SVT,))
    assert svt.decodes_as(av1.make_track((AOM,)))
    assert svt != av1.make_track((AOM,))


@pytest.mark.parametrize(
    ("unit", "flags"),
    [
        (DELIMITER + SVT + KEY, nal.PICTURE | nal.KEY | nal.CLEAN),
        (obu(5, b"\x01\x03\xe8\x01\x90\x80") + SVT + KEY, nal.PICTURE | nal.KEY | nal.CLEAN),
        (KEY, nal.PICTURE),  # "contained in a temporal unit that also contains a sequence header OBU"
        (KEY + SVT, nal.PICTURE),  # "before the first Frame Header OBU"
        (DELIMITER + INTER, nal.PICTURE),
        (SVT + INTER, nal.PICTURE),
        (SVT + obu(6, b"\x00"), nal.PICTURE),  # a key frame that is not shown
        (SVT + obu(3, b"\x90"), nal.PICTURE),  # a frame that is shown again
        (SVT + INTER + KEY, nal.PICTURE),  # "Its first frame is a Key Frame"
        (DELIMITER + SVT, 0),
    ],
)
def test_a_key_picture_is_a_shown_key_frame_behind_a_sequence_header(unit: bytes, flags: int) -> None:
    """§7.6.2 and ISO binding §2.4."""
    sample, seen, found = av1.normalise(unit, 4)
    assert seen == flags
    assert sample == (unit.removeprefix(DELIMITER) if flags else b"")
    assert found == ((SVT,) if SVT in unit else None)


def test_a_key_frame_without_a_sequence_header_is_completed_and_nothing_else() -> None:
    """What an encoder has said once is in force until it says something else (§7.5)."""
    assert av1.completed(KEY, (SVT,)) == SVT + KEY
    metadata = obu(5, b"\x01\x03\xe8\x01\x90\x80")
    assert av1.completed(metadata + KEY, (SVT,)) == SVT + metadata + KEY
    for sample in (INTER, obu(6, b"\x00"), obu(3, b"\x90"), INTER + KEY, AOM + KEY, metadata, obu(6, b"")):
        assert av1.completed(sample, (SVT,)) == b""


def test_a_still_picture_is_a_key_picture() -> None:
    """§5.9.2: with reduced_still_picture_header nothing stands before the frame's size."""
    reduced = Header().put(0, 3).put(1).put(1).put(4, 5).put(7, 4).put(7, 4).put(63, 8).put(47, 8).put(0, 3)
    reduced.put(0, 3).put(0, 4).put(0, 2).put(0)
    unit = reduced.unit()
    assert av1.normalise(unit + obu(6, b"\x80\x00"), 4)[1] & nal.KEY
    track = av1.make_track((unit,))
    assert (track.width, track.height, track.codec_string) == (64, 48, "av01.0.04M.08")


def test_what_has_no_place_in_a_sample_is_taken_out() -> None:
    """ISO binding §2.4: delimiters, padding, repeated frame headers, tile lists; all else stays as it came."""
    frame = obu(3, b"\x10\x00") + obu(4, b"tiles")
    body = DELIMITER + SVT + obu(15, bytes(300)) + frame + obu(7, b"\x10\x00") + obu(4, b"more") + obu(8, b"list")
    sample, seen, _ = av1.normalise(body, 4)
    assert sample == SVT + frame + obu(4, b"more")
    assert seen == nal.PICTURE | nal.KEY | nal.CLEAN
    whole = SVT + frame
    assert av1.normalise(whole, 4)[0] is whole
    extended = obu(1, SVT[2:], extension=True) + obu(6, b"\x10aa", extension=True, sized=False)
    sample, seen, found = av1.normalise(extended, 4)
    assert (sample, seen & nal.KEY, found) == (extended, nal.KEY, (SVT,))  # the same header in other bytes
    assert av1.loose(DELIMITER + SVT + obu(5, b"\x01abcd"), 4) == obu(5, b"\x01abcd")
    assert av1.loose(DELIMITER + obu(5, b"\x01abcd", sized=False), 4) == b""  # it would take the frame for its own


@pytest.mark.parametrize(
    "body",
    [
        b"\xb2\x01\x10",  # forbidden bit
        b"\x32\x05\x10",  # longer than the message
        b"\x32",
        b"\x32" + b"\x80" * 8 + b"\x00",  # a size of nine bytes
        b"\x32\xff\xff\xff\xff\x7f\x10",  # beyond 32 bits
        b"\x36",
        obu(1, bytes(av1.SEQUENCE_LIMIT + 1)) + KEY,
        SVT * 17 + KEY,
        obu(5, b"") * (av1.OBU_LIMIT + 1),
    ],
)
def test_damaged_and_endless_units_are_media_errors(body: bytes) -> None:
    """A bad picture costs a picture, and megabytes of nothing are not walked."""
    with pytest.raises(MediaError):
        av1.normalise(body, 4)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x81\x00\x0c",
        b"\x01\x00\x0c\x00" + SVT,
        b"\x81\x00\x0c\x00",  # lawful, but nothing is known by it: what is in the stream counts
        b"\x81\x00\x0c\x00" + SVT[:6],
        b"\x81\x00\x0c\x00" + obu(1, b"\x60" + bytes(20)),  # a profile that does not exist
        b"\x81\x00\x0c\x00" + header(size=(16_384, 8192))[:-3],
    ],
)
def test_records_that_say_nothing_are_media_errors(record: bytes) -> None:
    """It is left to the sequence header of the first key picture."""
    with pytest.raises(MediaError):
        av1.read_record(record)


def test_metadata_becomes_what_mp4_calls_it() -> None:
    """§6.7.3, §6.7.4: other order, other fixed point than `mdcv` and `clli`; P3 with D65, 1000 and 0.005 cd/m²."""
    places = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
    body = b"".join(round(place * 65_536).to_bytes(2, "big") for place in places)
    body += (1000 << 8).to_bytes(4, "big") + round(0.005 * 16_384).to_bytes(4, "big")
    sample = SVT + obu(5, b"\x02" + body + b"\x80") + obu(5, b"\x01\x03\xe8\x01\x90\x80") + obu(5, b"\x04t35") + KEY
    found = av1.from_metadata(sample, Aside(transfer=9))
    assert found.light == bytes.fromhex("03e80190")
    assert found.transfer == 9
    numbers = [int.from_bytes(found.mastering[at : at + 2], "big") for at in range(0, 16, 2)]
    wanted = [13_250, 34_500, 7_500, 3_000, 34_000, 16_000, 15_635, 16_450]  # green, blue, red, white
    assert all(abs(one - other) <= 1 for one, other in zip(numbers, wanted, strict=True))
    assert found.mastering[16:] == (10_000_000).to_bytes(4, "big") + (50).to_bytes(4, "big")
