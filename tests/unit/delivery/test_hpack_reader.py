"""The decoder of header blocks reads what another implementation writes, and nothing costs it more than its length."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.http2.hpack_reader import MAX_FIELDS, HpackReader, TooMuchHeader, UnreadableHeader

NAMES = st.sampled_from([":path", ":method", "accept", "cookie", "x-own", "user-agent"]) | st.text("abc-", max_size=40)
VALUES = st.sampled_from(["GET", "/", "*/*", "gzip, deflate"]) | st.text(st.characters(codec="latin-1"), max_size=200)
BLOCKS = st.lists(
    st.tuples(
        st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=20),
        st.booleans(),
        st.none() | st.sampled_from([0, 64, 500, 4096]),
    ),
    max_size=12,
)


@pytest.mark.thorough
@given(blocks=BLOCKS)
def test_what_another_implementation_writes_is_read(
    blocks: list[tuple[list[tuple[str, str, bool]], bool, int | None]],
) -> None:
    """Whatever stands in the table, is kept out of it, or falls out of it when it shrinks."""
    encoder, reader = Encoder(), HpackReader(1 << 20)
    for lines, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        sent = [(name.encode("latin-1"), value.encode("latin-1"), secret) for name, value, secret in lines]
        block = encoder.encode(sent, huffman=huffman)
        assert reader.read(block) == [(name, value) for name, value, _ in sent]


@given(blocks=st.lists(st.binary(max_size=60), max_size=6))
def test_any_octets_are_read_as_by_the_other_decoder(blocks: list[bytes]) -> None:
    """Or refused by both; ours refuses table sizes beyond two and integers beyond 28 bits, too."""
    reader, other = HpackReader(32 * 1024), Decoder(32 * 1024)
    other.max_allowed_table_size = 4096
    for block in blocks:
        try:
            lines = reader.read(block)
        except (UnreadableHeader, TooMuchHeader):
            return
        assert lines == [tuple(line) for line in other.decode(block, raw=True)]


@given(octets=st.binary(max_size=400))
def test_what_the_other_decoder_refuses_is_refused(octets: bytes) -> None:
    """Nothing else is raised either."""
    try:
        Decoder(32 * 1024).decode(octets, raw=True)
    except (HPACKError, IndexError):
        with pytest.raises((UnreadableHeader, TooMuchHeader)):
            HpackReader(32 * 1024).read(octets)


@pytest.mark.parametrize(
    "block",
    [
        b"\x20\x20\x20\x82",  # three sizes; two are what an encoder may have to say (RFC 7541 §4.2)
        b"\x20" * 16_000,
        b"\x82\x20",  # behind a line
        b"\x3f\xe2\x1f",  # 4097
        b"\x3f" + b"\x80" * 16_000 + b"\x00",  # zeros that "waste octets" (§5.1)
        b"\x7f" + b"\xff" * 16_000,
        b"\xff\x80\x80\x80\x80\x00",
        b"\x80",
        b"\xbe",
        b"\x40\x05abc",
        b"\x40",
        b"\x00\x81\x00\x00",  # Huffman padding that is not the end-of-string's
    ],
)
def test_what_is_no_header_block_is_refused(block: bytes) -> None:
    """At once, however long it goes on."""
    with pytest.raises(UnreadableHeader):
        HpackReader(32 * 1024).read(block)


def test_the_table_shrinks_and_grows_as_it_is_told() -> None:
    """§4.3: entries fall out from the oldest on; the size holds for later blocks."""
    reader = HpackReader(32 * 1024)
    assert reader.read(b"\x40\x01a\x01b" + b"\x40\x01c\x01d") == [(b"a", b"b"), (b"c", b"d")]
    assert reader.read(b"\x3f\x09\xbe") == [(b"c", b"d")]  # 40 octets: one entry of 34
    with pytest.raises(UnreadableHeader):
        reader.read(b"\xbf")
    reader = HpackReader(32 * 1024)
    assert reader.read(b"\x20\x3f\xe1\x1f\x40\x01a\x01b\xbe") == [(b"a", b"b")] * 2
    assert reader.read(b"\x40\x01a\x7f\xa1\x1f" + bytes(4000 + 128)) != []  # larger than the table: it empties it
    with pytest.raises(UnreadableHeader):
        reader.read(b"\xbe")


def test_a_list_has_a_number_of_lines() -> None:
    """A line of the static table is one octet on the wire and twenty times as much work as an octet."""
    reader = HpackReader(1 << 20)
    assert len(reader.read(b"\x90" * MAX_FIELDS)) == MAX_FIELDS
    with pytest.raises(TooMuchHeader):
        reader.read(b"\x90" * (MAX_FIELDS + 1))
