"""ID3 tags byte for byte, by the ID3 2.4.0 documents; what must not stand in one."""

from __future__ import annotations

import pytest

from hlsd.media import id3


def test_a_user_text_frame_is_byte_for_byte_what_the_standard_says() -> None:
    """ID3 2.4.0 §3.1, §4, §4.2.6."""
    assert id3.tag(id3.user_text("onCuePoint", '{"a":1}')) == bytes.fromhex(
        "49443304000000 00001d".replace(" ", "")  # ID3, 4.0, no flags, 29 bytes follow
        + "54585858 00000013 0000".replace(" ", "")  # TXXX, 19 bytes, no flags
        + "03 6f6e437565506f696e74 00 7b2261223a317d".replace(" ", "")  # UTF-8, the description, the value
    )


def test_text_and_private_frames_are_byte_for_byte_what_the_standard_says() -> None:
    """ID3 2.4.0 §4.2, §4.27."""
    assert id3.text("TIT2", "ü") == b"TIT2\0\0\0\x03\0\0\x03\xc3\xbc"
    assert id3.private("org.example", b"\0\xff") == b"PRIV\0\0\0\x0e\0\0org.example\0\0\xff"


def test_sizes_have_seven_bits_in_a_byte() -> None:
    """ID3 2.4.0 §6.2: 257 is 00 00 02 01."""
    whole = id3.tag(id3.user_text("x", "y" * 300))
    assert whole[6:10] == bytes((0, 0, 2, 0x39))  # 313
    assert whole[14:18] == bytes((0, 0, 2, 0x2F))  # 303


@pytest.mark.parametrize("name", ["", "ö", "a\nb", "x" * 257, "a\0b"])
def test_a_description_is_printable_ascii(name: str) -> None:
    """Else hls.js, which counts characters, would cut the value."""
    with pytest.raises(ValueError, match="ASCII"):
        id3.user_text(name, "value")


@pytest.mark.parametrize("name", ["TXXX", "tit2", "TIT", "TITLE", "PRIV"])
def test_text_frames_are_told_from_others(name: str) -> None:
    with pytest.raises(ValueError, match="text frames"):
        id3.text(name, "value")


def test_no_zero_ends_a_value_early() -> None:
    assert id3.user_text("x", "a\0b").endswith(b"x\0ab")
