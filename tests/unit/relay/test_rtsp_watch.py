"""What an RTSP server says is passed to libav only where both would read it alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.relay.rtsp_watch import RtspRefused, RtspWatch

BODY = b"v=0\r\nRTSP/1.0 301 in a body is no answer\r\n"
GOOD = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n"
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
    + b"$\x00\x00\x0aRTSP/1.0 3RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\n\r\n"
    b"OPTIONS rtsp://h/x RTSP/1.0\r\nCSeq: 9\r\n\r\nRTSP/1.0 200\r\nCSeq: 4\r\n\r\n"
)
TAIL = b" Found\r\nCSeq: 5\r\nLocation: rtsp://evil/\r\n\r\n"
MOVED = b"RTSP/1.0 302" + TAIL


def fed(wire: bytes, sizes: list[int]) -> bytes:
    watch, at, passed = RtspWatch(), 0, b""
    for size in [*sizes, len(wire)]:
        passed += watch.feed(wire[at : at + size])
        at += size
    return passed


def libav_goes_to(wire: bytes) -> list[bytes]:
    """Where libav would go, as `ff_rtsp_read_reply` reads: by line, without CR, `$` at a line's begin is a frame."""
    places: list[bytes] = []
    at = 0
    while at < len(wire):
        lines: list[bytes] = []
        line = b""
        while at < len(wire):
            octet = wire[at : at + 1]
            at += 1
            if octet == b"\n":
                if not line:
                    break
                lines.append(line)
                line = b""
            elif octet == b"$" and not line:
                at += 3 + int.from_bytes(wire[at + 1 : at + 3], "big")
            elif octet != b"\r":
                line += octet
        words = lines[0].split() if lines else []
        status = re.match(rb"\s*[+-]?[0-9]+", words[1]) if len(words) > 1 and words[0].startswith(b"RTSP/") else None
        location, length = b"", 0
        for each in lines[1:]:
            name, _, value = each.partition(b":")
            if name.lower() == b"location":
                location = value.strip()
            if name.lower() == b"content-length" and (number := re.match(rb"\s*[+-]?[0-9]+", value)):
                length = int(number[0])
        at += max(0, length)
        if status is not None and 300 <= int(status[0]) < 400:
            places.append(location)
    return places


@given(sizes=st.lists(st.integers(1, 30), max_size=100))
def test_answers_bodies_and_media_pass_however_they_are_cut(sizes: list[int]) -> None:
    assert fed(GOOD, sizes) == GOOD


@given(sizes=st.lists(st.integers(1, 30), max_size=100))
def test_a_redirection_does_not_wherever_it_stands(sizes: list[int]) -> None:
    """Libav would follow it to any address."""
    with pytest.raises(RtspRefused, match="redirect"):
        fed(GOOD + MOVED, sizes)


SPELLINGS = {
    "two blanks": b"RTSP/1.0  302" + TAIL,
    "tab": b"RTSP/1.0\t302" + TAIL,
    "a blank before": b" RTSP/1.0 302" + TAIL,
    "plus": b"RTSP/1.0 +302" + TAIL,
    "zero": b"RTSP/1.0 0302" + TAIL,
    "letters behind": b"RTSP/1.0 302x" + TAIL,
    "a point behind": b"RTSP/1.0 302.9" + TAIL,
    "LF alone": MOVED.replace(b"\r", b""),
    "CR within": b"RT\rSP/1.0 302" + TAIL,
    "CR behind CR": b"RTSP/1.0 302 Found\r\r\nLocation: rtsp://evil/\r\r\n\r\n",
    "other version": b"RTSP/2.0 302" + TAIL,
    "no version": b"RTSP/ 302" + TAIL,
    "NUL": b"RTSP/1.0 302\x00" + TAIL,
    "NUL before": b"\x00RTSP/1.0 302" + TAIL,
    "vertical tab": b"RTSP/1.0 \x0b302" + TAIL,
    "no reason": b"RTSP/1.0 302\r\nLocation: rtsp://evil/\r\n\r\n",
    "lower case": b"rtsp/1.0 302" + TAIL,
    "empty line first": b"\r\n" + MOVED,
    "LF first": b"\n" + MOVED,
    "HTTP": b"HTTP/1.0 302" + TAIL,
    "by request": b"REDIRECT rtsp://h/x RTSP/1.0\r\nLocation: rtsp://evil/\r\n\r\n",
    "head without an end": b"RTSP/1.0 200 OK\r\n" + b"X-Y: z\r\n" * 40_000,
    "line without an end": b"x" * 70_000,
    "negative length": b"RTSP/1.0 200 OK\r\nContent-Length: -9\r\n\r\n",
    "two lengths": b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\nContent-Length: 40\r\n\r\nabc" + MOVED,
    "a length in hexadecimal": b"RTSP/1.0 200 OK\r\nContent-Length: 0x20\r\n\r\n" + MOVED,
    "a long length": b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n",
    "a long line": b"RTSP/1.0 200 OK\r\nContent-Length: " + b" " * 5000 + b"9\r\n\r\n" + MOVED,
}


@pytest.mark.parametrize("wire", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_no_odd_spelling_passes_what_libav_would_take_for_a_redirection(wire: bytes) -> None:
    """Each of these is read as 302, or as something else than we would read, by a lenient reader."""
    with pytest.raises(RtspRefused):
        fed(GOOD + wire, [])


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        (b"Location: rtsp://evil/", False),
        (b"Content-Base: rtsp://h/x/", True),
        (b"RealChallenge1: 1", False),
        (b"Server: WMServer/9", False),
        (b" Transport: folded", False),
        (b"Transport : RTP/AVP/TCP", False),
        (b"$\x00\x00\x20x", False),
        (b"X\x00: y", False),
        (b"CSeq: 1\nLocation: rtsp://evil/", False),
        (b"CSeq: 1\rLocation: rtsp://evil/", False),
        (b"content-LENGTH: 0", True),
    ],
)
def test_of_the_headers_only_those_go_on_that_are_needed_and_plain(line: bytes, goes_on: bool) -> None:
    passed = fed(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n" + line + b"\r\n\r\n", [])
    assert passed == b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n" + (line + b"\r\n" if goes_on else b"") + b"\r\n"


def test_frames_that_libav_would_leave_half_read_are_dropped() -> None:
    """It looks for a message in what is left of them: here `RTSP/$ 302 …`."""
    hidden = b"$\x00\x00\x05RTSP/$\x20302 Moved\r\nLocation: rtsp://evil/\r\n\r\n"
    assert b"RTSP/$" not in fed(hidden, [])
    assert fed(b"$\x01\x00\x0812345678$\x01\x00\x00", []) == b"$\x01\x00\x0812345678"


def test_nothing_goes_on_before_it_was_read_to_its_end() -> None:
    """Half a head that was sent along could be ended by something that we do not take for an end."""
    watch = RtspWatch()
    for octet in MOVED[:-1]:
        try:
            assert watch.feed(bytes((octet,))) == b""
        except RtspRefused:
            return
    raise AssertionError("a redirection was waited for to its end")


PIECES = [
    b"RTSP/1.0", b"RTSP/", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\x00", b"302", b"+302", b"0302", b"200", b"$",
    b"$\x00\x00\x05", b"$\x00\x00\x10", b"\x20\x33", b"Location: rtsp://evil/", b"Content-Length: 20",
    b"Content-Length: 0", b"200 OK", b"content-length:5", b"CSeq: 1", b"OPTIONS x RTSP/1.0", b"\r\n\r\n", MOVED,
    GOOD, b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join), st.integers(1, 64))
def test_whatever_passes_sends_libav_nowhere(wire: bytes, step: int) -> None:
    """By libav's own way of reading, whatever a server makes up of the pieces that matter."""
    watch, passed = RtspWatch(), b""
    try:
        for at in range(0, len(wire), step):
            passed += watch.feed(wire[at : at + step])
    except RtspRefused:
        pass
    assert libav_goes_to(passed) == []


def test_that_reader_would_see_a_redirection() -> None:
    """Or the test above proves nothing."""
    assert libav_goes_to(GOOD + MOVED) == [b"rtsp://evil/"]
    for name in ("two blanks", "tab", "a blank before", "plus", "zero", "LF alone", "CR within", "letters behind"):
        assert libav_goes_to(SPELLINGS[name]) == [b"rtsp://evil/"], name
