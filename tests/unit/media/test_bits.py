"""Bits and Exp-Golomb codes, as H.264 §9.1 tabulates them."""

from __future__ import annotations

import pytest

from hlsd.base.errors import MediaError
from hlsd.media.bits import BitReader, unescape


def test_exp_golomb_codes_are_those_of_table_9_2() -> None:
    """1, 010, 011, 00100, 00101 are 0, 1, 2, 3, 4."""
    bits = BitReader(int("101001100100001010000000", 2).to_bytes(3, "big"))
    assert [bits.ue() for _ in range(5)] == [0, 1, 2, 3, 4]


def test_signed_exp_golomb_codes_alternate() -> None:
    """§9.1.1: codes 0 to 4 are 0, 1, -1, 2, -2."""
    bits = BitReader(int("101001100100001010000000", 2).to_bytes(3, "big"))
    assert [bits.se() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_reading_beyond_the_end_is_a_media_error() -> None:
    """A cut parameter set must not become an IndexError."""
    for read in (BitReader(b"").flag, BitReader(b"\x00").ue, BitReader(bytes(9)).ue):
        with pytest.raises(MediaError):
            read()
    with pytest.raises(MediaError):
        BitReader(b"\xff").skip(9)


def test_emulation_prevention_bytes_go() -> None:
    """00 00 03 hides a start code; only the 03 is not content."""
    assert unescape(bytes.fromhex("0000030000030103")) == bytes.fromhex("000000000103")


def test_the_longest_codes_have_32_zeros() -> None:
    """§9.1: codeNum up to 2^32 - 2 is what the standards use; one zero more is no code, and bits must be there."""
    longest = "0" * 32 + "1" + "1" * 32
    assert BitReader(int(longest + "0" * 7, 2).to_bytes(9, "big")).ue() == 2**33 - 2
    with pytest.raises(MediaError, match="longer"):
        BitReader(bytes(4) + b"\x7f" + b"\xff" * 5).ue()
    with pytest.raises(MediaError, match="end"):
        BitReader(b"\x00\x00").ue()
    with pytest.raises(MediaError, match="end"):
        BitReader(b"\x04").ue()
