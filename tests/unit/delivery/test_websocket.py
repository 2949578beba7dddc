"""RFC 6455 as far as a one-way stream needs it, by the RFC's own examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.errors import ProtocolError
from hlsd.delivery.flv.websocket import (
    BINARY,
    CLOSE,
    MAX_CONTROLS,
    MAX_FRAME,
    PING,
    ClientFrames,
    accept,
    close_frame,
    frame_head,
)


def said(opcode: int, payload: bytes, *, mask: bytes = b"\x37\xfa\x21\x3d", fin: bool = True) -> bytes:
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((fin << 7 | opcode,)) + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def test_the_handshake_of_the_rfc() -> None:
    # §1.3: browsers refuse any other answer.
    assert accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for bad in (b"", b"dGhl", b"!!!!", b"dGhlIHNhbXBsZSBub25jZQ"):
        assert accept(bad) is None


def test_heads_of_every_length() -> None:
    # §5.2 and the examples of §5.7.
    assert frame_head(BINARY, 5).hex() == "8205"
    assert frame_head(BINARY, 256).hex() == "827e0100"
    assert frame_head(BINARY, 65536).hex() == "827f0000000000010000"
    assert close_frame(1000, "x" * 200)[:4].hex() == "887d03e8"


def test_what_a_client_says_is_read_in_any_pieces() -> None:
    # §5.7: a masked "Hello" is data, and dropped; a ping and a close are told.
    wire = bytes.fromhex("818537fa213d7f9f4d5158") + said(PING, b"are you there") + said(1, b"x" * 300, fin=False)
    wire += said(CLOSE, b"\x03\xe8")
    for step in (1, 2, 3, 7, len(wire)):
        frames = ClientFrames()
        heard = [one for at in range(0, len(wire), step) for one in frames.feed(wire[at : at + step])]
        assert heard == [(PING, b"are you there"), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize(
    "wire",
    [b"\x89\x00", said(PING, b"x" * 126), said(PING, b"", fin=False), said(1, b"x" * (MAX_FRAME + 1)), b"\xf1\x80"],
)
def test_what_the_rfc_forbids_is_refused(wire: bytes) -> None:
    # Unmasked, long or fragmented control frames, frames without end, reserved bits.
    with pytest.raises(ProtocolError):
        ClientFrames().feed(wire + bytes(16))


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_dropped(rubbish: bytes) -> None:
    # A stranger's bytes raise one kind of error only, and are not kept for ever.
    frames = ClientFrames()
    try:
        for at in range(0, len(rubbish), 3):
            frames.feed(rubbish[at : at + 3])
    except ProtocolError:
        pass


def test_a_flood_of_pings_ends_the_connection() -> None:
    """A quarter of a megabyte of empty ones, as much as is read at once, takes a tenth of a second."""
    frames = ClientFrames()
    assert len(frames.feed(said(PING, b"") * MAX_CONTROLS)) == MAX_CONTROLS
    with pytest.raises(ProtocolError, match="control"):
        frames.feed(said(PING, b"") * (MAX_CONTROLS + 1))
