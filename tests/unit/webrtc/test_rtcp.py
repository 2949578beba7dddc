"""What is told to senders is as the standards write it, and what they tell is understood."""

from __future__ import annotations

import struct
from random import Random

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.webrtc.reception import Reception
from hlsd.ingest.webrtc.twcc import TransportFeedback
from hlsd.webrtc import rtcp, rtp
from tests.support.webrtc_sender import WIDE, feedback, header


def test_a_nack_names_sixteen_more_in_a_mask() -> None:
    octets = rtcp.nack(1, 2, [65_535, 0, 15, 16, 100])
    ((kind, form, body),) = feedback(octets)
    assert (kind, form) == (205, 1)
    # 16 is 17 behind 65535: it begins another mask
    expected = struct.pack(">IIHHHHHH", 1, 2, 65_535, 1 | 1 << 15, 16, 0, 100, 0)
    assert body == expected


def test_remb_says_the_bit_rate() -> None:
    ((_, form, body),) = feedback(rtcp.maximum_bitrate(1, 8_000_000, [2, 3]))
    assert (form, body[8:12], body[12]) == (15, b"REMB", 2)
    exponent, mantissa = body[13] >> 2, (body[13] & 3) << 16 | body[14] << 8 | body[15]
    assert 7_990_000 < mantissa << exponent <= 8_000_000
    assert body[16:] == struct.pack(">II", 2, 3)


def test_reports_tell_loss_and_the_sender_s_time() -> None:
    reception = Reception(7, 90_000)
    for number in (65_534, 65_535, 0, 2, 3):
        reception.packet(number, number * 3000, 10.0)
    told = struct.pack(">BBHIQIII", 0x80, 200, 6, 7, 3_900_000_000 << 32 | 1 << 31, 5, 1, 1)
    (report,) = rtcp.read(told)
    assert isinstance(report, rtcp.SenderReport)
    assert report.wall == 3_900_000_000.5 - 2_208_988_800
    reception.report(report, 10.0)
    block = reception.block(11.0)
    assert (block.fraction, block.lost, block.highest) == (256 // 6, 1, 65_536 + 3)
    assert block.last == report.ntp >> 16 & 0xFFFFFFFF
    assert block.delay == 65_536
    assert reception.block(12.0).fraction == 0
    (first, _), *_ = [(kind, body) for kind, _, body in feedback(rtcp.receiver_report(1, [block]))]
    assert first == 201


def test_whatever_compound_comes_is_read_as_far_as_it_can_be() -> None:
    bye = struct.pack(">BBHI", 0x81, 203, 1, 9)
    report = struct.pack(">BBHIQIII", 0x80, 200, 6, 9, 1 << 32, 3000, 1, 2)
    assert list(rtcp.read(bye + report + b"\x80\xc8")) == [rtcp.SenderReport(9, 1 << 32, 3000)]
    assert list(rtcp.read(b"\x80\xc8\xff\xff" + bytes(100))) == []
    assert len(list(rtcp.read(report * 500))) == rtcp.PACKETS


def decoded(body: bytes) -> dict[int, float]:
    """The arrival times that a report tells, by number."""
    base, count, word = struct.unpack_from(">HHI", body)
    at, symbols = 8, list[int]()
    while len(symbols) < count:
        (chunk,) = struct.unpack_from(">H", body, at)
        at += 2
        if chunk >> 15:
            assert chunk >> 14 == 3
            symbols += [chunk >> 12 - 2 * number & 3 for number in range(7)]
        else:
            symbols += [chunk >> 13] * (chunk & 0x1FFF)
    time, times = (word >> 8) * 0.064, dict[int, float]()
    for number, symbol in enumerate(symbols[:count]):
        if symbol:
            time += (body[at] if symbol == 1 else struct.unpack_from(">h", body, at)[0]) * 0.000_25
            at += symbol
            times[base + number & 0xFFFF] = time
    assert at == len(body)
    return times


def test_transport_feedback_tells_when_each_packet_came() -> None:
    wide = TransportFeedback()
    came = {65_530: 50.0, 65_531: 50.001, 65_535: 50.0011, 0: 50.5, 1: 50.4, 9: 50.6}
    for number, now in came.items():
        wide.note(number, now)
    body = wide.report()
    assert body is not None
    told = decoded(body)
    assert told.keys() == came.keys()
    assert all(abs(told[number] - now) < 0.000_3 for number, now in came.items())
    assert wide.report() is None
    wide.note(11, 51.0)
    second = wide.report()
    assert second is not None
    assert decoded(second).keys() == {11}
    assert struct.unpack_from(">H", second)[0] == 10  # what is missing in between is told as missing
    assert (body[7], second[7]) == (0, 1)


def test_transport_feedback_has_bounds() -> None:
    wide = TransportFeedback()
    for number in range(20_000):
        wide.note(number & 0xFFFF, 1.0 + number / 10_000)
    reports = 0
    while (body := wide.report()) is not None:
        assert len(body) < 1150
        reports += 1
    assert reports <= 4096 // 400 + 2
    wide.note(30_000, 99.0)  # far ahead
    body = wide.report()
    assert body is not None
    assert len(body) < 100


def test_rtp_is_read_with_extensions_and_without_padding() -> None:
    packet = rtp.read(header(96, 5, 6, 7, marker=True, wide=0x1234) + b"media", WIDE)
    assert packet == rtp.RtpPacket(96, True, 5, 6, 7, b"media", 0x1234)
    long = struct.pack(">BBHIIHHBBHBB", 0x90, 96, 5, 6, 7, 0x1000, 2, WIDE, 2, 0x4321, 0, 9) + bytes(2)
    assert rtp.read(long + b"x", WIDE).transport == 0x4321
    padded = bytearray(header(96, 5, 6, 7) + b"media" + b"\x00\x00\x03")
    padded[0] |= 0x20
    assert rtp.read(bytes(padded)).payload == b"media"
    for bad in (b"", bytes(12), b"\xa0" + bytes(11) + b"\x00", b"\xa0" + bytes(11) + b"\x09", b"\x90" + bytes(13)):
        with pytest.raises(ProtocolError):
            rtp.read(bad)


def test_what_a_viewer_says_is_understood() -> None:
    block = rtcp.ReportBlock(ssrc=7, fraction=64, lost=3, highest=9, jitter=1, last=5, delay=6)
    compound = (
        rtcp.receiver_report(1, [block])
        + rtcp.nack(1, 7, [65_535, 0, 5, 100])
        + rtcp.picture_loss(1, 7)
        + struct.pack(">BBHIIIBBH", 0x84, 206, 4, 1, 0, 7, 1, 0, 0)  # FIR
        + rtcp.maximum_bitrate(1, 2_500_000, [7])
    )
    report, missing, key, full, most = rtcp.heard(compound)
    assert report == ("report", 7, 64, 5, 6, ())
    assert missing == ("nack", 7, 0, 0, 0, (65_535, 0, 5, 100))
    assert (key, full) == (("key", 7, 0, 0, 0, ()),) * 2
    assert most.kind == "most"
    assert 2_490_000 < most.value <= 2_500_000


def test_a_nack_asks_for_no_more_than_is_read_of_it() -> None:
    body = struct.pack(">II", 1, 7) + struct.pack(">HH", 0, 0xFFFF) * 5000
    (told,) = rtcp.heard(struct.pack(">BBH", 0x81, 205, len(body) // 4) + body)
    assert len(told.lost) == rtcp.NACKS * 17


def test_whatever_a_viewer_sends_is_read_or_not_and_nothing_else() -> None:
    draw = Random(5)
    whole = rtcp.receiver_report(1, [rtcp.ReportBlock(7, 64, 3, 9, 1, 5, 6)] * 3) + rtcp.nack(1, 7, range(0, 90, 3))
    whole += rtcp.maximum_bitrate(1, 10**9, [7]) + rtcp.picture_loss(1, 7)
    for _ in range(3000):
        octets = bytearray(whole[: draw.randrange(len(whole) + 1)])
        for _ in range(draw.randrange(6)):
            if octets:
                octets[draw.randrange(len(octets))] = draw.randrange(256)
        assert len(list(rtcp.heard(bytes(octets)))) <= rtcp.PACKETS * 31


def test_a_sender_says_its_time_and_goodbye() -> None:
    octets = rtcp.sender_report(7, 1_700_000_000.5, 90_000, 3, 4)
    (told,) = rtcp.read(octets)
    assert (told.ssrc, told.wall, told.timestamp) == (7, 1_700_000_000.5, 90_000)
    assert [(kind, form) for kind, form, _ in feedback(octets)] == [(200, 0), (202, 1)]
    assert list(feedback(rtcp.goodbye([7, 8]))) == [(201, 0, struct.pack(">I", 7)), (203, 2, struct.pack(">II", 7, 8))]
