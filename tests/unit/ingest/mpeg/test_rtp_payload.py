"""RTP in front of a stream is taken off in its order: late packets go, gaps are told, another sender begins anew."""

from __future__ import annotations

import struct

from hlsd.ingest.mpeg.rtp_payload import RESTART, RtpPayload, is_rtp


def packet(number: int, payload: bytes = b"x", ssrc: int = 1, kind: int = 33) -> bytes:
    return struct.pack(">BBHII", 0x80, kind, number & 0xFFFF, 0, ssrc) + payload


def test_packets_come_in_order_across_the_wrap() -> None:
    line = RtpPayload()
    assert [line.take(packet(n, bytes((n & 0xFF,)))) for n in range(65_534, 65_540)] == [
        b"\xfe",
        b"\xff",
        b"\0",
        b"\1",
        b"\2",
        b"\3",
    ]
    assert line.lost == 0
    assert not line.gap


def test_late_and_repeated_ones_go_and_gaps_are_told() -> None:
    line = RtpPayload()
    line.take(packet(1))
    assert line.take(packet(1)) == b""
    assert line.take(packet(5, b"y")) == b"y"
    assert (line.gap, line.lost) == (True, 3)
    assert line.take(packet(3)) == b""
    assert line.take(packet(6, b"z")) == b"z"
    assert not line.gap


def test_a_sender_that_begins_anew_is_heard() -> None:
    line = RtpPayload()
    line.take(packet(RESTART * 2))
    assert line.take(packet(5, b"again")) == b"again"
    assert line.gap
    assert line.take(packet(900, b"other", ssrc=2)) == b"other"
    assert not line.gap


def test_what_is_none_is_nothing() -> None:
    line = RtpPayload()
    assert line.take(b"") == b""
    assert line.take(b"\x80" * 8) == b""
    assert not is_rtp(b"G" + bytes(187))
    assert not is_rtp(packet(1, kind=200))
    assert is_rtp(packet(1, kind=0x80 | 96))
