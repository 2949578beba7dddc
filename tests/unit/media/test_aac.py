"""AudioSpecificConfig and ADTS."""

from __future__ import annotations

import io

import av
import pytest

from hlsd.base.errors import MediaError, UnsupportedCodec
from hlsd.media import aac, flv
from tests.support.flvmedia import flv_tags, make_flv


@pytest.mark.parametrize(
    ("record", "rate", "channels", "object_type", "samples"),
    [
        ("1190", 48_000, 2, 2, 1024),
        ("1210", 44_100, 2, 2, 1024),
        ("1208", 44_100, 1, 2, 1024),
        ("119056e500", 48_000, 2, 2, 1024),  # backward compatible signalling that says: no SBR
        ("11b0", 48_000, 6, 2, 1024),
        ("11b8", 48_000, 8, 2, 1024),
        ("1194", 48_000, 2, 2, 960),
        ("0a10", 44_100, 2, 1, 1024),
        ("2b118800", 24_000, 2, 5, 1024),  # explicit SBR: HE-AAC
        ("eb098800", 24_000, 1, 29, 1024),  # explicit PS: HE-AAC v2
        ("131056e598", 24_000, 2, 5, 1024),  # backward compatible SBR
        ("130856e59d4880", 24_000, 1, 29, 1024),  # and PS
        ("17805dbf90", 47_999, 2, 2, 1024),  # rate index 15
    ],
)
def test_golden_records(record: str, rate: int, channels: int, object_type: int, samples: int) -> None:
    """14496-3 §1.6.2.1; the clock of the frames is the core's."""
    track = aac.read_record(bytes.fromhex(record))
    assert (track.sample_rate, track.channels, track.object_type) == (rate, channels, object_type)
    assert track.frame_samples == samples
    assert track.codec_string == f"mp4a.40.{object_type}"
    assert track.record == bytes.fromhex(record)


def test_program_config_element_names_the_loudspeakers() -> None:
    """With channelConfiguration 0 the layout is spelt out (here front centre, front pair, back pair, LFE)."""
    bits = "0001000110000000"  # LC, 48 kHz, layout 0, GASpecificConfig
    bits += "0000010011001000000001010000000000"
    bits += "0000010000100010000"
    bits += "0" * (-len(bits) % 8) + "00000000"
    assert aac.read_record(int(bits, 2).to_bytes(len(bits) // 8, "big")).channels == 6


def spelt(front: str, side: str = "", back: str = "", low: int = 0, *, coupled: int = 0) -> str:
    """A program_config_element of single (S) and paired (P) elements, bit by bit."""
    bits = f"{0:04b}{1:02b}{3:04b}{len(front):04b}{len(side):04b}{len(back):04b}{low:02b}{0:03b}{coupled:04b}000"
    bits += "".join(f"{kind == 'P':b}{number:04b}" for number, kind in enumerate(front + side + back))
    return bits + "".join(f"{number:04b}" for number in range(low)) + "00000" * coupled


def octets(bits: str) -> bytes:
    """Bits as bytes, filled up with zeros."""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(
    ("program", "layout", "channels"),
    [
        (spelt("S"), 1, 1),
        (spelt("P"), 2, 2),
        (spelt("SP"), 3, 3),
        (spelt("SP", "", "S"), 4, 4),
        (spelt("SP", "", "P"), 5, 5),
        (spelt("SP", "P", ""), 5, 5),
        (spelt("SP", "", "P", 1), 6, 6),
        (spelt("SPP", "", "P", 1), 7, 8),
    ],
)
def test_a_standard_layout_that_is_spelt_out_gets_its_number(program: str, layout: int, channels: int) -> None:
    """Table 1.19 has the same elements in the same order, and no browser reads a program_config_element."""
    late = f"{0x2B7:011b}{5:05b}0"  # syncExtensionType, SBR, and that there is none
    record = octets(f"{2:05b}{3:04b}{0:04b}000" + program)
    record += b"\x04four" + octets(late)
    track = aac.read_record(record)
    assert (track.channels, track.layout, track.ordinary) == (channels, layout, True)
    assert track.record == octets(f"000100011{layout:04b}000" + late + "0" * 7)
    assert aac.read_record(track.record) == track


@pytest.mark.parametrize(
    ("program", "channels"),
    [
        (spelt("PS"), 3),  # the frames have the pair first
        (spelt("P", "", "P"), 4),
        (spelt("SS"), 2),  # two languages, not left and right
        (spelt("P", low=1), 3),
        (spelt("SP", "P", "P", 1), 8),
        (spelt("P", coupled=1), 2),
    ],
)
def test_any_other_layout_keeps_its_element(program: str, channels: int) -> None:
    """The numbers that ADTS has would set the frames' elements on the wrong loudspeakers, or none."""
    record = octets("0001000110000000" + program) + b"\x00"
    track = aac.read_record(record)
    assert (track.channels, track.ordinary, track.record) == (channels, False, record)
    assert track.layout > 15


def test_layouts_of_as_many_loudspeakers_are_not_one() -> None:
    """A change from one to the other is a change of track."""
    back, side = (
        aac.read_record(octets("0001000110000000" + program) + b"\x00")
        for program in (spelt("P", "", "P"), spelt("P", "P", ""))
    )
    assert back.channels == side.channels
    assert back.layout != side.layout


@pytest.mark.parametrize(("record", "short"), [("17805dc010", "1190"), ("17805dc01056e500", "119056e500")])
def test_a_standard_rate_in_24_bits_is_written_short(record: str, short: str) -> None:
    """Chromium and ffmpeg refuse samplingFrequencyIndex 15."""
    track = aac.read_record(bytes.fromhex(record))
    assert track.ordinary
    assert track.record.hex().startswith(short)
    assert aac.read_record(bytes.fromhex(short)) == aac.read_record(track.record[: len(short) // 2])


def test_explicit_sbr_keeps_its_rate_and_core_when_written_anew() -> None:
    """§1.6.2.1: rate, layout, extension's rate, core's object type."""
    long = octets("00101" + "1111" + f"{24_000:024b}" + "0010" + "1111" + f"{48_000:024b}" + "00010" + "000")
    track = aac.read_record(long)
    assert track.record == octets("0010101100010001100010000")
    assert (track.sample_rate, track.object_type, track.ordinary) == (24_000, 5, True)


@pytest.mark.parametrize("record", ["1188", "1194", "17805dbf90", "11d8", "11e0"])
def test_what_adts_cannot_name_is_not_ordinary(record: str) -> None:
    """One loudspeaker of layout 1 can; 960 samples, a rate off the list and layouts beyond 7 cannot."""
    track = aac.read_record(bytes.fromhex(record))
    assert track.ordinary == (record == "1188")
    if not track.ordinary:
        with pytest.raises(MediaError):
            aac.adts_prefix(track)


@pytest.mark.parametrize("record", ["", "11", "1680", "1780", "f880", "1198" + "00" * 2000, "11f8"])
def test_damaged_records_are_media_errors(record: str) -> None:
    """Short, reserved rate, absurd rate, too long, reserved layout."""
    with pytest.raises(MediaError):
        aac.read_record(bytes.fromhex(record))


@pytest.mark.parametrize(("record", "name"), [("f8e85000", "39"), ("b98c8000", "23")])
def test_other_object_types_are_refused_by_name(record: str, name: str) -> None:
    """A refusal must say what was sent (AAC-ELD, AAC-LD)."""
    with pytest.raises(UnsupportedCodec, match=f"AAC object type {name}"):
        aac.read_record(bytes.fromhex(record))


@pytest.mark.parametrize(
    ("record", "size", "header"),
    [
        ("1190", 371, "fff14c802f5ffc"),
        ("1210", 8184, "fff15083fffffc"),
        ("1208", 1, "fff15040011ffc"),
        ("2b118800", 100, "fff158800d7ffc"),
        ("11b0", 0, "fff14d8000fffc"),
    ],
)
def test_golden_adts_headers(record: str, size: int, header: str) -> None:
    """13818-7 §6.2.1, worked out by hand."""
    prefix = aac.adts_prefix(aac.read_record(bytes.fromhex(record)))
    assert aac.adts_header(prefix, size).hex() == header


def test_frame_too_large_for_adts_is_a_media_error() -> None:
    """frame_length has 13 bits."""
    with pytest.raises(MediaError):
        aac.adts_header(aac.adts_prefix(aac.read_record(b"\x11\x90")), 8185)


def test_frames_with_our_headers_decode() -> None:
    """The proof is in the decoder: every frame, none damaged."""
    frames = []
    prefix = b""
    for kind, _, body in flv_tags(make_flv(None, seconds=0.5)):
        packet = flv.decode_audio(body) if kind == flv.AUDIO else None
        if packet is None or not packet.body:
            continue
        if packet.packet == flv.CONFIG:
            prefix = aac.adts_prefix(aac.read_record(packet.body))
        else:
            frames.append(aac.adts_header(prefix, len(packet.body)) + packet.body)
    with av.open(io.BytesIO(b"".join(frames)), "r", format="aac") as container:
        decoded = list(container.decode(audio=0))
    assert len(decoded) == len(frames)
    assert decoded[0].sample_rate == 48_000


def test_adts_inside_a_tag_is_taken_apart() -> None:
    """Cameras exist that wrap ADTS into FLV."""
    track = aac.read_record(b"\x11\x90")
    framed = aac.adts_header(aac.adts_prefix(track), 5) + b"frame"
    assert aac.split_adts(framed) == (b"\x11\x90", b"frame")
    assert aac.split_adts(b"\x21\x10\x04\x60\x8c\x1c\x00\x00\x00") is None
    assert aac.split_adts(framed[:-1]) is None
