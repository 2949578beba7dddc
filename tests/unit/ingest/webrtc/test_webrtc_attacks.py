"""What a publisher could have had the server do who is let in and means it no good, and what it gets instead."""

from __future__ import annotations

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.webrtc import jitter, twcc
from hlsd.ingest.webrtc.jitter import ReorderBuffer
from hlsd.ingest.webrtc.twcc import TransportFeedback
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity
from hlsd.webrtc.rtp import RtpPacket
from hlsd.webrtc.transport import CONTROL, GRANT
from tests.support.webrtc_sender import Line, Sender, access_unit, limits_of

HEAD = 28


def packet(sequence: int) -> RtpPacket:
    return RtpPacket(102, False, sequence & 0xFFFF, 0, 1, b"x")


def test_a_packet_that_came_again_far_ahead_is_nothing_to_wait_for() -> None:
    order = ReorderBuffer(0.4, asks=True)
    order.push(packet(1), 0.0)
    for number in range(2000):
        assert order.push(packet(10_000 + 10 * number), 0.1, again=True) == []
    assert (order._missing, order._waiting) == ({}, {})
    assert order.counts.late == 2000


def test_packets_that_leap_leave_no_more_to_wait_for_than_there_is_room_for() -> None:
    order = ReorderBuffer(5.0, asks=True)
    out = order.push(packet(1), 0.0)
    most, sent = 0, [1]
    for number in range(1, 60):
        sent.append(1 + number * 999)
        out += order.push(packet(sent[-1]), 0.001 * number)
        most = max(most, len(order._missing))
    assert most <= jitter.MISSING
    out += order.tick(100.0)
    assert [one.packet.sequence for one in out] == [number & 0xFFFF for number in sent]
    assert all(one.hole for one in out[1:])
    assert order.counts.lost == 59 * 998
    assert (order._missing, order._waiting, order.held) == ({}, {}, 0)


def test_numbers_far_apart_are_no_report_each() -> None:
    feedback = TransportFeedback()
    for number in range(3000):
        feedback.note(number * 3000 & 0xFFFF, 1.0)
    reports = 0
    while feedback.report() is not None:
        reports += 1
    assert reports <= twcc.KEPT // twcc.PER_REPORT + 2


def test_what_is_said_behind_a_handshake_leaves_nothing_behind() -> None:
    line = Line()
    sender = line.sender.shake
    written = b""
    for _ in range(40):
        sender._connection.send(b"x")
        written += sender._connection.bio_read(4096)
    line.send([written])  # forty records in one datagram
    line.send(sender.close())
    line.run(0.05)
    assert line.peer.ended == "closed"


def test_reports_and_handshakes_have_a_bound_of_their_own() -> None:
    line = Line()
    line.film(3)
    report = line.sender.report
    line.send([report(0x11111111, 5e8, 0) for _ in range(3 * CONTROL)])
    line.send([b"\x16\xfe\xfd" + bytes(20)] * CONTROL)
    line.run(0.05)
    assert line.peer.counts.limited >= 3 * CONTROL - 10
    line.run(1.0)
    line.film(3, first=3)
    line.run(0.05)
    assert line.sink.numbers == list(range(6))
    assert line.peer.ended == ""


def test_no_more_is_sent_than_came() -> None:
    """Whoever writes another one's address on its packets has the answers go there."""
    line = Line(Sender(answers=False), limits_of(patience=5.0))
    came = 0
    receive = line.peer.receive

    def counted(datagram: bytes, *more: object) -> None:
        nonlocal came
        came += len(datagram) + HEAD
        receive(datagram, *more)  # type: ignore[arg-type]

    line.peer.receive = counted  # type: ignore[method-assign, assignment]
    before = len(line.replies)
    line.send(line.sender.packets(access_unit(0, key=True, size=100), 0))
    for number in range(1, 25):  # some packets a second, each with hundreds missing before it
        line.sender.sequence += 900
        line.send(line.sender.packets(access_unit(number, size=100), number * 3000))
        line.run(0.2)
    sent = sum(len(one) + HEAD for one in line.replies[before:])
    assert line.peer.counts.unsent > 30
    assert sent <= came + GRANT


def test_nothing_older_than_dtls_1_2_is_spoken() -> None:
    identity, old = DtlsIdentity(), DtlsIdentity()
    old.context.set_min_proto_version(0)
    old.context.set_max_proto_version(0xFEFF)  # DTLS 1.0
    old.context.set_cipher_list(b"ALL:@SECLEVEL=0")
    client = DtlsHandshake(old, client=True, expected=())
    server = DtlsHandshake(identity, client=False, expected=(("sha-256", old.fingerprint.partition(" ")[2]),))
    hello = client.begin()
    assert hello[0][:3] == b"\x16\xfe\xff"
    with pytest.raises(ProtocolError, match=r"version|protocol"):
        server.receive(hello[0])
    assert server.keys is None
