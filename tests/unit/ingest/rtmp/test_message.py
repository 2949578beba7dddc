"""Message bodies are read without trusting their length."""

from __future__ import annotations

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp import message as rtmp
from hlsd.ingest.rtmp.amf0 import Value, encode
from hlsd.ingest.rtmp.chunk import Message
from hlsd.ingest.rtmp.message import MAX_PARTS, Command, read_command, split_aggregate


def _tag(type_id: int, stamp: int, body: bytes) -> bytes:
    head = bytes((type_id,)) + len(body).to_bytes(3, "big") + (stamp & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes((stamp >> 24,)) + bytes(3) + body + (11 + len(body)).to_bytes(4, "big")


def _aggregate(body: bytes, timestamp: int = 5000) -> list[Message]:
    return split_aggregate(Message(4, rtmp.AGGREGATE, timestamp, 1, body))


def test_aggregate_rebases_its_times() -> None:
    """RTMP 1.0 §7.1.6; the sub-messages count from the encoder's own zero."""
    body = _tag(8, 0x01000000, b"a") + _tag(9, 0x01000014, b"v") + _tag(18, 0x01000014, b"d")
    assert _aggregate(body) == [
        Message(4, 8, 5000, 1, b"a"),
        Message(4, 9, 5020, 1, b"v"),
        Message(4, 18, 5020, 1, b"d"),
    ]


def test_aggregate_skips_what_it_may_not_hold() -> None:
    """An aggregate in an aggregate is a bomb; a command in one would pass the gate."""
    body = _tag(22, 0, _tag(9, 0, b"x")) + _tag(20, 0, b"c") + _tag(9, 40, b"v")
    assert _aggregate(body) == [Message(4, 9, 5040, 1, b"v")]


def test_cut_aggregate_loses_only_its_end() -> None:
    body = _tag(8, 0, b"aaaa") + _tag(9, 0, b"vvvv")
    for size in range(len(body)):
        assert len(_aggregate(body[:size])) == (0 if size < 15 else 1 if size < 34 else 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("connect", 1.0, {"app": "live"}), Command("connect", 1.0, {"app": "live"}, [])),
        (("publish", 5.0, None, "key", "live"), Command("publish", 5.0, {}, ["key", "live"])),
        (("x",), Command("x", 0.0, {}, [])),
        (("x", "one", 7.0), Command("x", 0.0, {}, [])),
        (("x", float("nan")), Command("x", 0.0, {}, [])),
        ((5.0, 1.0), None),
        ((), None),
    ],
)
def test_command_is_read_whatever_is_missing(values: tuple[Value, ...], expected: Command | None) -> None:
    body = encode(*values)
    assert read_command(Message(3, 20, 0, 0, body)) == expected
    assert read_command(Message(3, 17, 0, 0, b"\0" + body)) == expected


def test_arguments_of_the_wrong_type_are_absent() -> None:
    command = Command("deleteStream", 0.0, {}, ["key", float("inf"), 2.0])
    assert [command.number(i) for i in range(4)] == [None, None, 2.0, None]
    assert [command.text(i) for i in range(4)] == ["key", None, None, None]


def test_control_bodies() -> None:
    """Golden bytes of RTMP 1.0 §5.4 and §6.2."""
    assert rtmp.number(2_500_000).hex() == "002625a0"
    assert rtmp.number(2**32 + 1).hex() == "00000001"
    assert rtmp.peer_bandwidth(2_500_000).hex() == "002625a002"
    assert rtmp.user_control(rtmp.STREAM_BEGIN, rtmp.number(1)).hex() == "000000000001"
    assert (rtmp.u32(b"\0\0\0\5x"), rtmp.u32(b"\0\0\0"), rtmp.u32(b"x\0\0\0\6", 1)) == (5, None, 6)


def test_aggregate_of_crumbs_ends_the_connection() -> None:
    """Half a million messages in 8 MB would be worked on in one go."""
    part = bytes((8, 0, 0, 2)) + bytes(7) + b"\xaf\x01" + bytes(4)
    assert len(split_aggregate(Message(3, 22, 0, 1, part * MAX_PARTS))) == MAX_PARTS
    with pytest.raises(ProtocolError, match="aggregate"):
        split_aggregate(Message(3, 22, 0, 1, part * (MAX_PARTS + 1)))
