"""AMF0 is read in full, within limits, and written so that it reads back."""

from __future__ import annotations

import math
import struct
import sys
from types import FrameType

import pytest

from hlsd.ingest.rtmp.amf0 import (
    MAX_VALUES,
    UNDEFINED,
    Amf3Value,
    AmfError,
    Date,
    EcmaArray,
    Reference,
    TypedObject,
    Value,
    Xml,
    decode,
    encode,
)

GOLDEN: list[tuple[str, Value]] = [
    ("00 4045000000000000", 42.0),
    ("0101", True),
    ("0100", False),
    ("02 0004 6c697665", "live"),
    ("02 0000", ""),
    ("03 0003 617070 02 0004 6c697665 000009", {"app": "live"}),
    ("03 000009", {}),
    ("05", None),
    ("06", UNDEFINED),
    ("07 0002", Reference(2)),
    ("08 00000001 0001 77 00 4094000000000000 000009", EcmaArray(w=1280.0)),
    ("0a 00000002 05 0101", [None, True]),
    ("0b 427602f4ca400000 0000", Date(struct.unpack(">d", bytes.fromhex("427602f4ca400000"))[0], 0)),
    ("0f 00000004 3c612f3e", Xml("<a/>")),
    ("10 0001 50 0001 78 05 000009", TypedObject("P", {"x": None})),
]


@pytest.mark.parametrize(("octets", "value"), GOLDEN, ids=lambda v: v if isinstance(v, str) else "")
def test_golden_bytes_read_and_write(octets: str, value: Value) -> None:
    """The bytes of the AMF0 specification, both ways."""
    assert decode(bytes.fromhex(octets)) == [value]
    assert type(decode(bytes.fromhex(octets))[0]) is type(value)
    assert encode(value) == bytes.fromhex(octets)


def test_connect_of_ffmpeg_is_read() -> None:
    octets = bytes.fromhex(
        "02 0007 636f6e6e656374 00 3ff0000000000000"
        "03 0003 617070 02 0004 6c697665 0004 74797065 02 000a 6e6f6e70726976617465 000009"
    )
    assert decode(octets) == ["connect", 1.0, {"app": "live", "type": "nonprivate"}]


def test_ecma_count_is_a_hint() -> None:
    """Encoders write 0, or one too few, or anything."""
    for count in ("00000000", "00000001", "ffffffff"):
        octets = bytes.fromhex(f"08 {count} 0001 61 05 0001 62 05 000009")
        assert decode(octets) == [EcmaArray(a=None, b=None)]


def test_empty_key_is_a_key_unless_the_end_follows() -> None:
    assert decode(bytes.fromhex("03 0000 0101 0001 61 05 000009")) == [{"": True, "a": None}]


def test_long_strings_travel_as_long_strings() -> None:
    text = "x" * 70_000
    assert encode(text)[:5].hex() == "0c00011170"
    assert decode(encode(text)) == [text]


def test_text_that_is_no_utf_8_is_replaced() -> None:
    """A camera's Latin-1 title must not cost the stream."""
    assert decode(bytes.fromhex("02 0003 61ff62")) == ["a\N{REPLACEMENT CHARACTER}b"]


def test_odd_numbers_are_numbers() -> None:
    assert decode(encode(math.inf)) == [math.inf]
    (nan,) = decode(encode(math.nan))
    assert isinstance(nan, float)
    assert math.isnan(nan)


def test_amf3_is_told_from_nonsense() -> None:
    """One costs the message, the other in the long run the connection."""
    with pytest.raises(Amf3Value):
        decode(bytes.fromhex("02 0001 61 11 0a0b01"))
    with pytest.raises(AmfError, match="marker 0x04"):
        decode(b"\x04")


@pytest.mark.parametrize("value", [value for _, value in GOLDEN])
def test_every_cut_is_an_error_and_nothing_else(value: Value) -> None:
    """Truncated AMF ended whole servers."""
    octets = encode(value)
    for size in range(1, len(octets)):
        with pytest.raises(AmfError):
            decode(octets[:size])


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x0a\x00\x00\x00\x01" * 10_000,
        b"\x03\x00\x01a" * 15_000,
        b"\x08\x00\x00\x00\x00\x00\x01a" * 8000,
        b"\x0a\xff\xff\xff\xff" + bytes(60_000),
        b"\x0a\x00\x00\x10\x01" + b"\x05" * 60_000,
        b"\x05" * 60_000,
        b"\x0c\xff\xff\xff\xff" + bytes(60_000),
        (b"\x0a\x00\x00\x0f\x00" + b"\x05" * 0xEFF) * 16,
    ],
    ids=["nested arrays", "nested objects", "nested ecma", "huge count", "many", "flat", "long string", "spread"],
)
def test_bomb_is_refused_at_once(bomb: bytes) -> None:
    """64 KiB from a stranger must cost next to nothing: calls are counted, since seconds say more of the machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        with pytest.raises(AmfError):
            decode(bomb)
    finally:
        sys.setprofile(None)
    assert calls < 4 * MAX_VALUES


def test_depth_limit_leaves_room_for_honest_objects() -> None:
    value: Value = None
    for _ in range(32):
        value = [value]
    assert decode(encode(value)) == [value]
    with pytest.raises(AmfError, match="deep"):
        decode(encode([value]))
