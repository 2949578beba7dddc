"""Paths are read behind what is the same in all of a session's, coded or spelt out, and only if they are paths."""

from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.delivery.http2 import coded_path
from hlsd.delivery.http2.coded_path import MAX_CODED, MAX_RESTS, CodedPrefix

_ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_ID = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=48)
_REST = st.text([chr(code) for code in range(0x21, 0x7F) if chr(code) != "#"], min_size=1, max_size=60)


def coded(text: bytes) -> bytes:
    """By the other implementation."""
    found: bytes = _ENCODER.encode(text)
    return found


@pytest.mark.thorough
@given(_ID, _REST, _REST)
@settings(max_examples=300, deadline=None)
def test_what_follows_a_prefix_is_read_alike(sid: str, first: str, other: str) -> None:
    """Wherever in an octet the prefix ends, and whichever rests were read before in the same state."""
    prefix = f"/live/cam/~{sid}/".encode()
    for code in (coded, bytes):
        one = CodedPrefix(prefix, code(prefix + first.encode()), coded=code is coded)
        for rest in (first, other, first):
            octets = code(prefix + rest.encode())
            assert octets.startswith(one.octets)
            assert one.rest(octets[one.size :]) == rest.encode()


@pytest.mark.thorough
@given(_ID, _REST, st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_other_octets_are_no_path_of_the_session(sid: str, rest: str, bit: int) -> None:
    """Where a bit of the octet in which the prefix ends is another one, it is another path, or none."""
    prefix = f"/live/cam/~{sid}/".encode()
    octets = coded(prefix + rest.encode())
    one = CodedPrefix(prefix, octets, coded=True)
    key = bytearray(octets[one.size :])
    key[0] ^= 1 << bit
    found = one.rest(bytes(key))
    assert found is None or coded(prefix + found) == one.octets + bytes(key)


@pytest.mark.parametrize("rest", [b"a b", b"a#b", b"\x00", b"a\r\nb", b"\x7f"])
def test_what_no_path_may_have_is_not_read(rest: bytes) -> None:
    """The rules say what becomes of it."""
    prefix = b"/live/cam/~abc/"
    assert CodedPrefix(prefix, coded(prefix + rest), coded=True).rest(coded(prefix + rest)[-1:]) is None
    one = CodedPrefix(prefix, coded(prefix + rest), coded=True)
    assert one.rest(coded(prefix + rest)[one.size :]) is None
    assert CodedPrefix(prefix, prefix + rest, coded=False).rest(rest) is None


def test_a_code_that_is_cut_short_or_padded_wrongly_is_none() -> None:
    """RFC 7541 §5.2: padding of more than seven bits, or other than the beginning of EOS, is an error."""
    prefix = b"/live/cam/~abc/"
    octets = coded(prefix + b"main/index.m3u8")
    one = CodedPrefix(prefix, octets, coded=True)
    assert one.rest(octets[one.size :] + b"\xff\xff\xff\xff") is None
    assert one.rest(octets[one.size : -1] + bytes([octets[-1] & 0xFE])) != b"main/index.m3u8"


def test_what_is_remembered_is_bounded() -> None:
    """Other rests for ever, and long ones, which are not remembered at all."""
    prefix = b"/live/cam/~bounded/"
    for number in range(3 * MAX_RESTS):
        octets = coded(prefix + b"%d.ts" % number)
        one = CodedPrefix(prefix, octets, coded=True)
        assert one.rest(octets[one.size :]) == b"%d.ts" % number
    assert max(len(rests) for rests in coded_path._rests.values()) <= MAX_RESTS
    assert CodedPrefix(prefix, prefix + b"x", coded=False).rest(b"x" * (MAX_CODED + 1)) is None
