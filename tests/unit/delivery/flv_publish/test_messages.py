"""What a client sends by WebSocket is one file, however it is cut; and no more of it is held than a head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.base.errors import MediaError, ProtocolError
from hlsd.delivery.flv.websocket import BINARY, CLOSE, PING, TEXT
from hlsd.delivery.flv_publish.messages import MAX_FRAME, MAX_FRAMES, PIECE, ClientMessages, unmask

MASK = b"\x37\xfa\x21\x3d"


def framed(opcode: int, payload: bytes, *, mask: bytes = MASK, fin: bool = True, wide: int = 0) -> bytes:
    """A client's frame (RFC 6455 §5.2); `wide` forces a longer form of its length."""
    size = len(payload)
    wide = wide or (0 if size < 126 else 2 if size < 65_536 else 8)
    length = bytes((0x80 | {0: size, 2: 126, 8: 127}[wide],)) + (size.to_bytes(wide, "big") if wide else b"")
    return bytes((fin << 7 | opcode,)) + length + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


def all_of(octets: bytes, cuts: list[int]) -> tuple[bytes, list[tuple[int, bytes]]]:
    """What a reader makes of `octets` in pieces of these sizes, over and over."""
    reader = ClientMessages()
    file, said, at, turn = b"", list[tuple[int, bytes]](), 0, 0
    while at < len(octets):
        size = cuts[turn % len(cuts)]
        part, controls = reader.feed(octets[at : at + size])
        file += part
        said += controls
        at += size
        turn += 1
        assert len(reader._head) < 14 + 125
    return file, said


@pytest.mark.thorough
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.booleans(), st.sampled_from([0, 2, 8])
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
)
def test_cuts_mean_nothing(frames: list[tuple[bytes, bytes, bool, int]], cuts: list[int]) -> None:
    # Messages of one frame or of many, with pings between them, read in pieces of any size.
    octets, file, inside = b"", b"", False
    for payload, mask, fin, wide in frames:
        octets += framed(0 if inside else BINARY, payload, mask=mask, fin=fin, wide=0 if len(payload) > 125 else wide)
        octets += framed(PING, payload[:9], mask=mask)
        inside = not fin
        file += payload
    got, said = all_of(octets, cuts)
    assert got == file
    assert said == [(PING, payload[:9]) for payload, _, _, _ in frames]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1000])
def test_a_mask_is_taken_off_all_at_once(size: int) -> None:
    payload = bytes(range(256)) * 4
    assert unmask(payload[:size], MASK) == bytes(b ^ MASK[i & 3] for i, b in enumerate(payload[:size]))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x82\x05hello", "without a mask"),
        (framed(BINARY | 0x40, b"x"), "not allowed"),  # a reserved bit
        (framed(PING, b"x", fin=False), "not allowed"),
        (framed(PING, b"x" * 126), "not allowed"),
        (framed(0, b"x"), "does not come now"),  # continues nothing
        (framed(BINARY, b"x", fin=False) + framed(BINARY, b"y"), "does not come now"),
        (framed(3, b"x"), "does not come now"),
        (b"\x82\xff" + (MAX_FRAME + 1).to_bytes(8, "big") + MASK, "more than"),
        (b"\x82\xff" + b"\xff" * 8 + MASK, "more than"),
        (framed(BINARY, b"") * (MAX_FRAMES + 1), "frames in"),
    ],
)
def test_what_breaks_the_rules_is_refused(octets: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        ClientMessages().feed(octets)


def test_text_is_no_flv() -> None:
    with pytest.raises(MediaError, match="binary"):
        ClientMessages().feed(framed(TEXT, b"hello"))


def test_a_closing_frame_is_told_and_small_tags_are_no_crumbs() -> None:
    # 20 bytes of sound with 15 of its tag: the least that a publisher sends.
    assert ClientMessages().feed(framed(CLOSE, b"\x03\xe8")) == (b"", [(CLOSE, b"\x03\xe8")])
    least = framed(BINARY, bytes(35))
    octets = (least * 1000)[:PIECE]
    ClientMessages().feed(octets)
