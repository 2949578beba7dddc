"""The gate that hangs up when an RTSP server sends its client elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.relay.rtsp_gate import RtspWatch

BODY = b"v=0\r\nRTSP/1.0 301 in a body is no answer\r\n"
GOOD = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n"
    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
    + b"$\x00\x00\x0aRTSP/1.0 3RTSP/1.0 401 Unauthorized\r\nCSeq: 3\r\n\r\n"
)
MOVED = b"RTSP/1.0 302 Found\r\nLocation: rtsp://evil/\r\n\r\n"


def fed(wire: bytes, sizes: list[int]) -> bool:
    watch, at = RtspWatch(), 0
    for size in [*sizes, len(wire)]:
        if not watch.feed(wire[at : at + size]):
            return False
        at += size
    return True


@given(sizes=st.lists(st.integers(1, 30), max_size=100))
def test_answers_bodies_and_media_pass_however_they_are_cut(sizes: list[int]) -> None:
    assert fed(GOOD, sizes)


@given(sizes=st.lists(st.integers(1, 30), max_size=100))
def test_a_redirection_does_not_wherever_it_stands(sizes: list[int]) -> None:
    """Libav would follow it to any address."""
    assert not fed(GOOD + MOVED, sizes)


@pytest.mark.parametrize("wire", [b"REDIRECT rtsp://h/x RTSP/1.0\r\nLocation: rtsp://evil/\r\n\r\n", b"x" * 70_000])
def test_a_server_that_asks_for_it_or_talks_no_rtsp_is_hung_up_on(wire: bytes) -> None:
    assert not fed(wire, [])
