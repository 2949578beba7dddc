"""Whatever is written reads back however it is sliced, and whatever is sent ends in messages or in ProtocolError."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp.amf0 import (
    UNDEFINED,
    AmfError,
    Date,
    EcmaArray,
    Reference,
    TypedObject,
    Value,
    Xml,
    decode,
    encode,
)
from hlsd.ingest.rtmp.chunk import Dechunker, Message
from hlsd.ingest.rtmp.connection import Closed
from hlsd.ingest.rtmp.server import PublishRequested, ServerConnection
from tests.support.rtmp_wire import HANDSHAKE, Speaker, basic, drain, header, slices

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_simple = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | _text
    | st.just(UNDEFINED)
    | st.builds(Date, st.floats(allow_nan=False), st.integers(-(2**15), 2**15 - 1))
    | st.builds(Reference, st.integers(0, 0xFFFF))
    | st.builds(Xml, _text)
)


def _members(children: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    members = st.dictionaries(_text, children, max_size=4)
    return st.lists(children, max_size=4) | members | members.map(EcmaArray) | st.builds(TypedObject, _text, members)


ONES = b"\xff" * 4

VALUES: st.SearchStrategy[Value] = st.recursive(_simple, _members, max_leaves=20)


@pytest.mark.thorough
@given(st.lists(VALUES, max_size=4))
def test_amf0_reads_back_equal(values: list[Value]) -> None:
    read = decode(encode(*values))
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


@given(st.binary(max_size=200))
def test_amf0_of_anything_ends_in_values_or_amf_error(octets: bytes) -> None:
    try:
        values = decode(octets)
    except AmfError:
        return
    for value in values:
        assert not isinstance(value, float) or math.isnan(value) or decode(encode(value)) == [value]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """Messages on a few chunk streams, interleaved chunk by chunk, with every header form, sizes changing between.

    Some leave the extended timestamp out of type 3 chunks, as old librtmp does. Where the four bytes in its place then
    look like it, nobody can tell: no body begins with a zero, and no row of type 3 headers alone is all ones.
    """
    wire = b""
    size = 128
    expected: list[Message] = []
    last: dict[int, tuple[int, int, int, int, int, bytes]] = {}
    under_way: dict[int, tuple[Message, int, bytes]] = {}
    omits = draw(st.booleans())
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 5)) == 0:
            new = draw(st.sampled_from([1, 2, 5, 100, 128, 4096]))
            body = new.to_bytes(4, "big")
            wire += header(0, 2, 0, 4, 1)
            wire += basic(3, 2).join(body[at : at + size] for at in range(0, 4, size))
            expected.append(Message(2, 1, 0, 0, body))
            size = new
        csid = draw(st.sampled_from([3, 4, 63, 64, 320]))
        if csid in under_way:
            message, at, extended = under_way.pop(csid)
            head = basic(3, csid) + (b"" if omits and extended != ONES else extended)
        else:
            body = bytes((draw(st.integers(1, 0x7F)),)) * draw(st.integers(0, 700))
            type_id = draw(st.sampled_from([8, 9, 18, 20]))
            stamp = draw(st.integers(0, 3000) | st.sampled_from([0xFFFFFE, 0xFFFFFF, 0x90000000, 0xFFFFFFFF]))
            fmt = draw(st.integers(0, 3)) if csid in last else draw(st.integers(0, 1))
            clock, delta, length, type_id_before, msid, extended = last.get(csid, (0, 0, 0, 0, 0, b""))
            if fmt >= 2:
                body = (body + b"\x01" * length)[:length]
                type_id = type_id_before
            if fmt == 0:
                msid = draw(st.integers(0, 2**32 - 1))
            if fmt == 3:
                head = basic(3, csid) + (b"" if omits and extended != ONES else extended)
                stamp = delta
            else:
                head = header(fmt, csid, stamp, len(body), type_id, msid)
                extended = stamp.to_bytes(4, "big") if stamp >= 0xFFFFFF else b""
            clock = stamp if fmt == 0 else (clock + stamp) % 2**32
            last[csid] = (clock, stamp, len(body), type_id, msid, extended)
            message, at = Message(csid, type_id, clock, msid, body), 0
        wire += head + message.body[at : at + size]
        at += size
        if at < len(message.body):
            under_way[csid] = (message, at, extended)
        else:
            expected.append(message)
    return wire, expected


def _without_field(stamp: int) -> tuple[bytes, list[Message]]:
    """An empty message, and the next one by a type 3 header that leaves the extended timestamp out."""
    wire = header(0, 63, stamp, 0, 8, 1) + basic(3, 63)
    return wire, [Message(63, 8, stamp, 1, b""), Message(63, 8, 2 * stamp % 2**32, 1, b"")]


@pytest.mark.thorough
@settings(max_examples=150, deadline=None)
@example(_without_field(0xFFFFFF), [1], 1)
@given(conversations(), st.lists(st.integers(1, 400), max_size=40), st.integers(1, 5))
def test_chunks_read_alike_however_they_are_sliced(
    conversation: tuple[bytes, list[Message]], sizes: list[int], burst: int
) -> None:
    """TCP cuts where it likes; a reader that cares is wrong on somebody's network.

    A type 3 chunk whose header should hold an extended timestamp, and of which less than those four bytes has come, may
    be one that leaves it out: a reader must wait (RTMP 1.0 §5.3.1.3), and can tell as soon as anything follows, as it
    does here.
    """
    wire, expected = conversation
    wire, expected = wire + header(0, 5, 0, 0, 18, 1), [*expected, Message(5, 18, 0, 1, b"")]
    for cut in ([], [1] * len(wire), [7] * len(wire), [1448] * len(wire), sizes):
        dechunker = Dechunker(burst=burst)
        read = [message for piece in slices(wire, cut) for message in drain(dechunker, piece)]
        assert read == expected


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600), st.integers(1, 64))
def test_any_bytes_end_in_messages_or_protocol_error(octets: bytes, size: int) -> None:
    """And alike, sliced or whole."""

    def outcome(pieces: list[bytes]) -> tuple[list[Message], str]:
        dechunker = Dechunker(max_message=1000, max_pending=2000, max_streams=8)
        read: list[Message] = []
        for piece in pieces:
            try:
                read += drain(dechunker, piece)
            except ProtocolError as error:
                return read, str(error)
            assert dechunker.pending <= 2000
        return read, ""

    sliced = [octets[at : at + size] for at in range(0, len(octets), size)]
    by_slices, by_bytes = outcome(sliced), outcome([octets[at : at + 1] for at in range(len(octets))])
    assert by_slices[1] == by_bytes[1]
    assert by_slices[0] == by_bytes[0][: len(by_slices[0])]


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(["handshake", "connect", "publish"]),
    st.integers(0, 300),
    st.binary(max_size=3),
)
def test_server_never_raises(noise: bytes, stage: str, at: int, patch: bytes) -> None:
    """An exception here would be a bug that a stranger can reach."""
    speaker = Speaker()
    wire = HANDSHAKE
    if stage != "handshake":
        wire += speaker.say(3, 0, "connect", 1.0, {"app": "live"}) + speaker.say(3, 0, "createStream", 2.0, None)
    if stage == "publish":
        wire += speaker.say(3, 1, "publish", 3.0, None, "show")
    begin = len(HANDSHAKE) + at
    wire = wire[:begin] + patch + wire[begin + len(patch) :] + noise
    server = ServerConnection(0.0)
    events = server.receive_data(wire, 0.0)
    for _ in range(1000):
        if any(isinstance(event, PublishRequested) for event in events) and server.awaiting:
            server.accept_publish(0.0)
        elif not server.more:
            break
        events = server.receive_data(b"", 0.0)
    server.tick(100.0)
    assert isinstance(server.closed, Closed) or server.awaiting
