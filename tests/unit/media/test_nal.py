"""Samples out of whatever encoders put into their tags."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.media import h264, h265, nal

IDR, SLICE, SEI, SPS, PPS, AUD, FILLER, END = (
    bytes.fromhex(text) for text in ("65aa01", "41bb02", "0605ff80", "6742c00d80", "68ce80", "09f0", "0cff80", "0a")
)


def test_clean_access_unit_comes_back_as_the_same_object() -> None:
    """This runs for every picture: no copy when there is nothing to take out."""
    body = nal.join([SEI, SLICE, SLICE])
    payload, flags, found = h264.normalise(body, 4)
    assert payload is body
    assert not flags & nal.KEY
    assert found is None


def test_idr_is_told_by_its_nal_units() -> None:
    """FLV's frame type lies; segments must start with real IDR pictures."""
    assert h264.normalise(nal.join([IDR]), 4)[1] & nal.KEY
    assert h264.normalise(nal.join([IDR]), 4)[1] & nal.CLEAN


def test_delimiters_parameter_sets_filler_and_ends_are_taken_out() -> None:
    """FM13: none of them belongs into a sample of avc1."""
    body = nal.join([AUD, SPS, PPS, SEI, IDR, FILLER, END])
    payload, flags, found = h264.normalise(body, 4)
    assert payload == nal.join([SEI, IDR])
    assert flags & nal.KEY
    assert found == (SPS, PPS)


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_every_length_size_becomes_four(length_size: int) -> None:
    """14496-15 allows lengths of 1, 2 and 4 bytes; outputs know only 4."""
    body = b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in (SEI, IDR))
    assert h264.normalise(body, length_size)[0] == nal.join([SEI, IDR])


@pytest.mark.parametrize("code", [b"\x00\x00\x01", b"\x00\x00\x00\x01"])
def test_byte_stream_format_is_recognised(code: bytes) -> None:
    """Some cameras put Annex B into their tags."""
    body = b"".join(code + unit for unit in (AUD, SPS, PPS, IDR)) + b"\x00\x00"
    assert h264.normalise(body, 4) == (nal.join([IDR]), h264.normalise(body, 4)[1], (SPS, PPS))


def test_parameter_sets_alone_are_no_picture() -> None:
    """A sample without a picture would be a frame that never was."""
    assert h264.normalise(nal.join([SPS, PPS]), 4)[0] == b""
    assert h264.normalise(nal.join([SEI]), 4)[0] == b""
    assert h264.normalise(b"", 4)[0] == b""


def test_empty_nal_units_and_zero_padding_are_left_out() -> None:
    """Zero bytes at the end and lengths of 0 occur; neither is worth a frame."""
    assert h264.normalise(b"\x00\x00\x00\x00" + nal.join([IDR]), 4)[0] == nal.join([IDR])
    assert h264.normalise(nal.join([IDR]) + b"\x00\x00", 4)[0] == nal.join([IDR])


@pytest.mark.parametrize(
    "body",
    [
        nal.join([IDR])[:-1],
        nal.join([IDR]) + b"\x00\x00\x00\x09\x41",
        b"\xff\xff\xff\xff\x65",
        b"\x12\x34",
        nal.join([SLICE] * (nal.NAL_LIMIT + 1)),
        b"\x00\x00\x01\x65" * (nal.NAL_LIMIT + 2),
        bytes(4 * (nal.NAL_LIMIT + 1)) + b"\x01",
    ],
)
def test_damage_is_a_media_error(body: bytes) -> None:
    """And costs a bounded amount of work: at most so many NAL units are looked at."""
    with pytest.raises(MediaError):
        h264.normalise(body, 4)


def _hevc(kind: int) -> bytes:
    return bytes((kind << 1, 1, 0xAF, 0x80))


@pytest.mark.parametrize(
    ("kind", "key", "clean", "rasl"),
    [
        (1, False, False, False),
        (6, False, False, False),
        (8, False, False, True),
        (9, False, False, True),
        (16, True, False, False),
        (17, True, True, False),
        (18, True, True, False),
        (19, True, True, False),
        (20, True, True, False),
        (21, True, False, False),
    ],
)
def test_hevc_picture_types_say_where_decoding_may_start(kind: int, key: bool, clean: bool, rasl: bool) -> None:
    """HE03: IDR is clean, CRA only key, RASL pictures need the past."""
    payload, flags, _ = h265.normalise(nal.join([_hevc(kind)]), 4)
    assert payload
    assert (flags & nal.KEY != 0, flags & nal.CLEAN != 0, flags & nal.RASL != 0) == (key, clean, rasl)


def test_hevc_parameter_sets_are_taken_out_and_handed_over() -> None:
    """HE02: hvc1 has them in the record only."""
    sets = tuple(_hevc(kind) for kind in (32, 33, 34))
    body = nal.join([_hevc(35), *sets, _hevc(39), _hevc(19), _hevc(38), _hevc(36)])
    payload, _, found = h265.normalise(body, 4)
    assert payload == nal.join([_hevc(39), _hevc(19)])
    assert found == sets


def test_recovery_point_is_seen() -> None:
    """Encoders without IDR pictures say there where decoding may start."""
    assert h264.has_recovery_point(nal.join([bytes.fromhex("06060180"), SLICE]))
    assert not h264.has_recovery_point(nal.join([SEI, SLICE]))


def test_only_so_much_of_all_sei_messages_is_read() -> None:
    """Four million messages of two bytes in a picture of 8 MB would hold everybody up for seconds."""
    recovery = bytes((6, 6, 1, 0x80, 0x80))
    crumbs = bytes((6,)) + b"\x01\x00" * 30_000
    assert h264.has_recovery_point(nal.join([crumbs, recovery, SLICE]))
    many = nal.join([crumbs] * 100 + [SLICE])
    assert len(nal.messages(many, h264._CLASSES, 0x1F, 6, 1)) <= 32 << 10


@pytest.mark.parametrize(
    "sets",
    [
        [PPS] * (nal.SETS_LIMIT + 1),
        [PPS + b"\x01" * nal.SETS_BYTES],
        [SPS + b"\x01" * (nal.SETS_BYTES // 4)] * 4,
    ],
)
def test_parameter_sets_are_bounded_in_number_and_size(sets: list[bytes]) -> None:
    """Each is read bit by bit and compared with those in force; in MPEG-TS all stand before each key picture."""
    with pytest.raises(MediaError, match="parameter sets"):
        h264.normalise(nal.join([*sets, IDR]), 4)
