"""Chunks come apart and together as RTMP 1.0 §5.3 and the encoders in the field have it."""

from __future__ import annotations

import time

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp.chunk import Chunker, Dechunker, Message
from tests.support.rtmp_wire import basic, chunked, drain, header

BODY = bytes(range(256)) * 2


def _set_chunk_size(size: int, at: int = 128) -> bytes:
    return chunked(header(0, 2, 0, 4, 1), 2, size.to_bytes(4, "big"), at)


def test_message_in_one_chunk_is_read() -> None:
    """The golden bytes of §5.3.1.2.1: big endian all through, except the message stream id."""
    wire = bytes.fromhex("06 0003e8 000003 09 01000000") + b"abc"
    assert Dechunker().feed(wire) == [Message(6, 9, 1000, 1, b"abc")]


@pytest.mark.parametrize(
    ("octets", "csid"),
    [("c3", 3), ("ff", 63), ("c000", 64), ("c0ff", 319), ("c10000", 64), ("c10001", 320), ("c1ffff", 65599)],
)
def test_every_form_of_basic_header_is_read(octets: str, csid: int) -> None:
    """Csids above 63 derail other servers; the third byte counts 256s."""
    head = bytearray.fromhex(octets)
    head[0] &= 0x3F  # the same chunk stream, opening with type 0
    wire = bytes(head) + header(0, 3, 5, 1, 9, 1)[1:] + b"x"
    assert Dechunker().feed(wire) == [Message(csid, 9, 5, 1, b"x")]


def test_types_1_and_2_carry_deltas_and_inherit() -> None:
    """Audio and video run on deltas in almost every encoder."""
    wire = header(0, 4, 100, 2, 8, 1) + b"aa" + header(1, 4, 20, 1, 9) + b"b" + header(2, 4, 3) + b"c"
    assert Dechunker().feed(wire) == [
        Message(4, 8, 100, 1, b"aa"),
        Message(4, 9, 120, 1, b"b"),
        Message(4, 9, 123, 1, b"c"),
    ]


def test_type_3_opening_a_message_repeats_the_last_delta() -> None:
    """Done by ffmpeg at a constant frame rate."""
    wire = header(0, 4, 0, 1, 8, 1) + b"a" + header(2, 4, 23) + b"b" + header(3, 4) + b"c" + header(3, 4) + b"d"
    assert [m.timestamp for m in Dechunker().feed(wire)] == [0, 23, 46, 69]


def test_type_3_behind_a_type_0_adds_that_timestamp() -> None:
    """§5.3.1.2.4: "then the timestamp delta for this Type 3 chunk is the same as the timestamp of the Type 0 chunk"."""
    wire = header(0, 4, 40, 1, 8, 1) + b"a" + header(3, 4) + b"b"
    assert [m.timestamp for m in Dechunker().feed(wire)] == [40, 80]


def test_fresh_chunk_stream_may_open_with_type_1() -> None:
    """The ping of librtmp does."""
    wire = bytes.fromhex("42 000000 000006 04 0003 00000001")
    assert Dechunker().feed(wire) == [Message(2, 4, 0, 0, bytes.fromhex("000300000001"))]


@pytest.mark.parametrize("fmt", [2, 3])
def test_fresh_chunk_stream_may_not_open_without_a_length(fmt: int) -> None:
    with pytest.raises(ProtocolError, match=f"opens with a type {fmt}"):
        Dechunker().feed(header(fmt, 9) + bytes(20))


def test_header_inside_a_message_is_an_error() -> None:
    """Resizing a message under way is how other readers overflowed."""
    wire = header(0, 4, 0, 200, 8, 1) + bytes(128) + header(1, 4, 0, 9000, 8)
    with pytest.raises(ProtocolError, match="inside a message"):
        Dechunker().feed(wire)


@pytest.mark.parametrize("csid", [5, 70, 400])
@pytest.mark.parametrize("stamp", [0xFFFFFF, 0x01000000, 0xFFFFFFFF])
def test_extended_timestamp_is_repeated_in_continuations(csid: int, stamp: int) -> None:
    """Four hours 39 minutes into a stream every chunk looks like this."""
    repeated = stamp.to_bytes(4, "big")
    wire = chunked(header(0, csid, stamp, len(BODY), 9, 1), csid, BODY, 128, repeated)
    assert drain(Dechunker(), wire * 2) == [Message(csid, 9, stamp, 1, BODY)] * 2


def test_extended_timestamp_left_out_in_continuations_is_understood() -> None:
    """Old librtmp leaves it out; a reader that skips four bytes loses the stream."""
    stamp = 0x01020304
    wire = chunked(header(0, 5, stamp, len(BODY), 9, 1), 5, BODY)
    for size in (1, 7, 1000):
        dechunker = Dechunker()
        read = [m for at in range(0, len(wire), size) for m in dechunker.feed(wire[at : at + size])]
        assert read == [Message(5, 9, stamp, 1, BODY)]


def test_short_last_chunk_without_the_field_is_not_held_back() -> None:
    """Three bytes that already differ from the field need no fourth to be told from it."""
    body = bytes(128) + b"abc"
    wire = chunked(header(0, 5, 0x01020304, len(body), 9, 1), 5, body)
    assert Dechunker().feed(wire) == [Message(5, 9, 0x01020304, 1, body)]


@pytest.mark.parametrize("fmt", [1, 2])
def test_extended_field_of_types_1_and_2_is_a_delta(fmt: int) -> None:
    """Read as absolute it throws the clock off by hours."""
    wire = header(0, 5, 1000, 1, 9, 1) + b"a" + header(fmt, 5, 0x01000000, 1, 9) + b"b"
    assert [m.timestamp for m in Dechunker().feed(wire)] == [1000, 1000 + 0x01000000]


def test_timestamp_wraps_at_32_bits() -> None:
    wire = header(0, 5, 0xFFFFFFF0, 1, 9, 1) + b"a" + header(1, 5, 0x20, 1, 9) + b"b" + header(3, 5) + b"c"
    assert [m.timestamp for m in Dechunker().feed(wire)] == [0xFFFFFFF0, 0x10, 0x30]


def test_messages_interleave_per_chunk_stream() -> None:
    wire = b"".join(
        (
            header(0, 4, 1, 200, 8, 1) + b"a" * 128,
            header(0, 6, 2, 300, 9, 1) + b"v" * 128,
            basic(3, 4) + b"a" * 72,
            basic(3, 6) + b"v" * 128 + basic(3, 6) + b"v" * 44,
        )
    )
    assert Dechunker().feed(wire) == [Message(4, 8, 1, 1, b"a" * 200), Message(6, 9, 2, 1, b"v" * 300)]


@pytest.mark.parametrize(("before", "after"), [(128, 4096), (4096, 128), (200, 1), (1, 60000)])
def test_chunk_size_changes_inside_a_message_of_another_stream(before: int, after: int) -> None:
    """It takes effect at once, even for what is half received; shrinking included."""
    body = BODY * 20
    head = header(0, 6, 0, len(body), 9, 1)
    wire = _set_chunk_size(before) + head + body[:before] + _set_chunk_size(after, before)
    for at in range(before, len(body), after):
        wire += basic(3, 6) + body[at : at + after]
    assert drain(Dechunker(), wire)[-1] == Message(6, 9, 0, 1, body)


@pytest.mark.parametrize("body", ["00000000", "80000080", "ffffffff", "0001", ""])
def test_impossible_chunk_size_ends_the_connection(body: str) -> None:
    octets = bytes.fromhex(body)
    with pytest.raises(ProtocolError, match="Set Chunk Size"):
        Dechunker().feed(header(0, 2, 0, len(octets), 1) + octets)


def test_chunk_size_above_the_longest_message_is_that() -> None:
    """0x7FFFFFFF is legal and must reserve nothing."""
    dechunker = Dechunker()
    dechunker.feed(_set_chunk_size(0x7FFFFFFF))
    assert dechunker.chunk_size == 0xFFFFFF


@pytest.mark.parametrize("csid", [6, 70, 400])
def test_abort_drops_the_message_under_way(csid: int) -> None:
    """What follows on that chunk stream is a new message; its continuation would be read as a header."""
    abort = header(0, 2, 0, 4, 2) + csid.to_bytes(4, "big")
    wire = header(0, csid, 0, 300, 9, 1) + bytes(128) + abort + header(1, csid, 40, 1, 9) + b"n"
    dechunker = Dechunker()
    assert dechunker.feed(wire)[-1] == Message(csid, 9, 40, 1, b"n")
    assert dechunker.pending == 0


def test_abort_of_nothing_is_ignored() -> None:
    wire = header(0, 2, 0, 4, 2) + bytes(4) + header(1, 2, 0, 2, 2) + b"\0\0" + header(0, 4, 0, 1, 9, 1) + b"x"
    assert Dechunker().feed(wire)[-1].body == b"x"


def test_empty_messages_are_messages() -> None:
    """OBS and ffmpeg send them; another server derails."""
    wire = header(0, 4, 7, 0, 8, 1) + header(3, 4) + header(0, 6, 0, 1, 9, 1) + b"v"
    assert [m.body for m in Dechunker().feed(wire)] == [b"", b"", b"v"]


def test_announced_length_takes_no_memory() -> None:
    """16 MB times 64 chunk streams would be a gigabyte for a few hundred bytes."""
    dechunker = Dechunker()
    for csid in range(3, 60):
        dechunker.feed(header(0, csid, 0, 8 * 1024 * 1024, 9, 1) + b"x" * 128)
    assert dechunker.pending == 57 * 128


def test_limits_are_kept() -> None:
    """Too long, too many, too much half received: each ends the connection, none costs memory."""
    with pytest.raises(ProtocolError, match="1001 bytes where 1000"):
        Dechunker(max_message=1000).feed(header(0, 4, 0, 1001, 9, 1))
    with pytest.raises(ProtocolError, match="more than 8 chunk streams"):
        Dechunker(max_streams=8).feed(b"".join(header(0, csid, 0, 0, 9, 1) for csid in range(3, 12)))
    with pytest.raises(ProtocolError, match="unfinished"):
        Dechunker(max_pending=5000).feed(chunked(header(0, 4, 0, 9000, 9, 1), 4, bytes(8999)))
    with pytest.raises(ProtocolError, match="unfinished"):
        Dechunker(max_pending=100).feed(header(0, 4, 0, 9000, 9, 1) + bytes(128))


def test_limit_may_rise_between_messages() -> None:
    """Strangers get 64 KiB, publishers megabytes."""
    dechunker = Dechunker(max_message=10)
    dechunker.max_message = 1000
    assert dechunker.feed(header(0, 4, 0, 100, 9, 1) + bytes(100))[0].body == bytes(100)


def test_feed_stops_behind_a_chosen_type() -> None:
    """What stands behind a publish must not be parsed under the limits of a stranger."""
    dechunker = Dechunker(max_message=10, pause_at=frozenset({20}))
    wire = header(0, 3, 0, 1, 20) + b"c" + header(0, 4, 0, 100, 9, 1) + bytes(100)
    assert [m.type_id for m in dechunker.feed(wire)] == [20]
    assert (dechunker.stopped, dechunker.unparsed) == (True, 112)
    dechunker.max_message = 100
    dechunker.hold(header(3, 4))
    assert len(dechunker.feed(bytes(100))) == 2
    assert not dechunker.stopped


def test_one_feed_does_bounded_work() -> None:
    """A quarter of a megabyte of one-byte chunks must not hold the loop for 50 ms."""
    wire = _set_chunk_size(1) + header(0, 4, 0, 60_000, 9, 1) + b"x" + header(0, 6, 0, 60_000, 8, 1) + b"y"
    wire += (basic(3, 4) + b"x" + basic(3, 6) + b"y") * 59_999
    dechunker = Dechunker()
    read = dechunker.feed(wire)
    rounds = 1
    while dechunker.stopped:
        assert dechunker.chunks <= rounds * 2000
        read += dechunker.feed(b"")
        rounds += 1
    assert rounds > 50
    assert [(m.csid, len(m.body)) for m in read] == [(2, 4), (4, 60_000), (6, 60_000)]


def test_interleaving_is_not_quadratic() -> None:
    """Looking ahead over the whole buffer for each chunk made a first version stall for seconds."""
    wire = _set_chunk_size(1) + header(0, 4, 0, 0xFFFF, 9, 1) + b"x" + header(0, 6, 0, 0xFFFF, 8, 1) + b"y"
    wire += (basic(3, 4) + b"x") * 3 + (basic(3, 6) + b"y" + basic(3, 4) + b"x") * 60_000
    started = time.process_time()
    drain(Dechunker(), wire)
    assert time.process_time() - started < 1.0


def test_cut_header_does_not_keep_the_read_alive() -> None:
    dechunker = Dechunker()
    dechunker.feed(header(0, 4, 0, 100_000, 9, 1)[:5])
    assert dechunker.unparsed == 5


@pytest.mark.parametrize("size", [1, 128, 4096, 60000])
@pytest.mark.parametrize("stamp", [0, 0xFFFFFE, 0xFFFFFF, 0x01000000, 2**32 + 5])
def test_what_the_chunker_writes_reads_back(size: int, stamp: int) -> None:
    chunker, dechunker = Chunker(), Dechunker()
    wire = chunker.set_chunk_size(size) + chunker.message(6, 9, stamp, 1, BODY) + chunker.message(4, 8, stamp, 1, b"")
    assert drain(dechunker, wire)[1:] == [
        Message(6, 9, stamp % 2**32, 1, BODY),
        Message(4, 8, stamp % 2**32, 1, b""),
    ]


def test_chunker_writes_the_golden_bytes() -> None:
    """Byte for byte, so that a change of the writer is seen by more than our own reader."""
    chunker = Chunker()
    assert chunker.message(6, 9, 0x01000000, 1, bytes(130)).hex() == (
        "06ffffff0000820901000000" + "01000000" + "00" * 128 + "c6" + "01000000" + "0000"
    )
    assert chunker.set_chunk_size(1).hex() == "0200000000000401" + "00000000" + "00000001"
    assert chunker.message(3, 20, 5, 0, b"ab").hex() == "0300000500000214" + "00000000" + "61" + "c3" + "62"


def test_chunker_refuses_what_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="chunk size 0"):
        Chunker().set_chunk_size(0)
    with pytest.raises(ValueError, match="message of"):
        Chunker().message(4, 9, 0, 1, bytes(0x1000000))
