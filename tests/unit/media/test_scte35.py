"""What is read of splice_info_sections, by the examples of ANSI/SCTE 35 §14, and of what is none."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.base.errors import MediaError
from hlsd.media.crc32 import crc32_mpeg2
from hlsd.media.scte35 import LARGEST, read_splice
from tests.support.splices import INSERT_OUT, SIGNAL_START, insert, section


def test_a_splice_insert_of_the_standard_says_that_programme_is_left() -> None:
    """ANSI/SCTE 35 §14.2: splice_insert, 60.3 s."""
    found = read_splice(base64.b64decode(INSERT_OUT))
    assert (found.direction, found.event, found.cancelled) == ("out", 0x4800008F, False)
    assert found.duration == pytest.approx(60.2936, abs=0.001)


def test_a_time_signal_of_the_standard_says_it_by_its_descriptor() -> None:
    """ANSI/SCTE 35 §14.1: a placement opportunity of the provider begins, 307 s."""
    found = read_splice(base64.b64decode(SIGNAL_START))
    assert (found.direction, found.event) == ("out", 0x4800008E)
    assert found.duration == pytest.approx(307.0)


def test_in_cancelled_and_immediate_splices_are_told_apart() -> None:
    assert read_splice(insert(7, out=False)).direction == "in"
    assert read_splice(insert(7, out=True)).duration is None
    assert read_splice(insert(7, out=True, cancel=True)).cancelled
    assert read_splice(section(0x00, b"")) == ("cmd", None, None, False)


def test_an_encrypted_section_is_a_command_and_nothing_more() -> None:
    octets = bytearray(insert(7, out=True))
    octets[4] |= 0x80
    octets[-4:] = crc32_mpeg2(bytes(octets[:-4])).to_bytes(4, "big")
    assert read_splice(bytes(octets)) == ("cmd", None, None, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda good: b"\xfb" + good[1:], "begins with FC"),
        (lambda good: good[:-1], "section_length"),
        (lambda good: good + b"\0", "section_length"),
        (lambda good: good[:20] + bytes((good[20] ^ 1,)) + good[21:], "CRC"),
        (lambda _: b"", "bytes, not 0"),
        (lambda _: bytes(LARGEST + 1), f"not {LARGEST + 1}"),
        (lambda _: section(0x05, b"\0\0\0\1"), "ends early"),
        (lambda _: section(0x06, b"\x7f", b"\x02\xff"), "ends early"),
        (lambda _: section(0x06, b"\x7f", b"\x02\x03CUE"), None),
    ],
)
def test_what_is_no_section_is_refused_in_words(change: object, words: str | None) -> None:
    octets = change(insert(7, out=True))  # type: ignore[operator]
    if words is None:
        assert read_splice(octets).direction == "cmd"
        return
    with pytest.raises(MediaError, match=words):
        read_splice(octets)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([0, 4, 5, 6, 7, 255]), command=st.binary(max_size=60), behind=st.binary(max_size=60))
def test_nothing_within_a_right_crc_raises_anything_else(kind: int, command: bytes, behind: bytes) -> None:
    try:
        found = read_splice(section(kind, command, behind))
    except MediaError:
        return
    assert found.direction in {"out", "in", "cmd"}
