"""Pictures and sound come out of RTP whole, on time and in order; what is missing is told."""

from __future__ import annotations

import itertools
import random
import struct

from hlsd.delivery.rtsp.aac_payload import aac_payloads
from hlsd.ingest.mpeg.items import MpegItem, MpegLoss, MpegPicture, MpegSound
from hlsd.ingest.rtsp.announced import AnnouncedTrack, read_description
from hlsd.ingest.rtsp.decode_order import DecodeOrder, reordering
from hlsd.ingest.rtsp.reception import PublisherReception
from hlsd.ingest.rtsp.sound_payload import AacUnits, LatmElements
from hlsd.webrtc import rtcp
from hlsd.webrtc.rtp import RtpPacket

SPS = bytes.fromhex("674d400deca0a0cfcf0800000300080000030001e078a14cb0")
B_FRAMES = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
SDP = (
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 mode=AAC-hbr;config=1190\r\n"
)


def packet(kind: int, sequence: int, time: int, payload: bytes, *, last: bool = True, ssrc: int = 1) -> bytes:
    return struct.pack(">BBHII", 0x80, kind | (0x80 if last else 0), sequence & 0xFFFF, time, ssrc) + payload


def reception(*, lossy: bool = False) -> PublisherReception:
    made = PublisherReception(read_description(SDP))
    made.open(0, lossy=lossy)
    made.open(1, lossy=lossy)
    return made


def pictures(found: list[MpegItem]) -> list[MpegPicture]:
    return [one for one in found if isinstance(one, MpegPicture)]


def test_pictures_that_come_out_of_order_get_times_of_decoding() -> None:
    order = DecodeOrder()
    order.configure(1)
    decoded = [order.dts(3000 * number) for number in B_FRAMES]
    assert decoded == [-1000, 0, 3000, 6000, 9000, 12000, 15000, 18000, 21000, 24000]
    assert all(dts <= 3000 * shown for dts, shown in zip(decoded, B_FRAMES, strict=True))


def test_a_depth_that_is_not_told_is_learnt_once() -> None:
    order = DecodeOrder()
    decoded = [order.dts(3000 * number) for number in B_FRAMES * 1]
    assert order.depth == 1
    assert all(dts <= 3000 * shown for dts, shown in zip(decoded, B_FRAMES, strict=True))
    assert all(later > earlier for earlier, later in itertools.pairwise(decoded[4:]))


def test_without_b_frames_pictures_are_decoded_when_they_are_shown() -> None:
    order = DecodeOrder()
    assert [order.dts(number) for number in (0, 3000, 6000, 10**9, 10**9 + 3000)] == [
        0, 3000, 6000, 10**9, 10**9 + 3000,
    ]  # fmt: skip


def test_the_depth_is_told_by_the_parameter_set() -> None:
    baseline = bytes.fromhex("6742c01eda0280bfe5c044000003000400000300f03c58ba80")
    assert reordering("h264", [baseline]) == 0
    assert reordering("h264", [b"\x65abcdef"]) is None
    assert reordering("h264", [SPS[:6]]) is None


def test_a_lost_packet_costs_its_picture_and_is_told() -> None:
    made, found = reception(), list[MpegItem]()
    for number in range(10):
        unit = b"\x65key" if number == 0 else b"\x41other"
        if number != 4:
            found += made.rtp(0, packet(96, number, 3000 * number, unit), number / 30)
    assert [type(one) for one in found].count(MpegLoss) >= 1
    times = [one.pts for one in pictures(found)]
    assert all(2900 <= later - earlier <= 9100 for earlier, later in itertools.pairwise(times))
    assert made.lost == 1


def test_by_udp_packets_that_were_overtaken_are_waited_for() -> None:
    made, found = reception(lossy=True), list[MpegItem]()
    for place, number in enumerate([0, 2, 1, 3]):
        found += made.rtp(0, packet(96, 65534 + number, 3000 * number, b"\x65" + bytes((number, 1))), place / 100)
    assert [one.data[5] for one in pictures(found)] == [0, 1, 2, 3]
    assert not made.lost


def test_reports_put_picture_and_sound_on_one_clock() -> None:
    made = reception()
    made.rtcp(0, rtcp.sender_report(1, 1000.0, 900_000, 0, 0), 0.0)
    made.rtcp(1, rtcp.sender_report(2, 1000.0, 48_000, 0, 0), 0.0)
    shown, heard = 0, 0
    for number in range(300):
        for item in made.rtp(
            1, packet(97, number, 48_000 + 1600 * number, aac_payloads(b"frame")[0], ssrc=2), number / 30
        ):
            assert isinstance(item, MpegSound)
            heard = item.pts
        # the picture is encoded for half a second, and comes that much later than it is stamped
        for item in made.rtp(
            0, packet(96, number, 900_000 + 3000 * (number - 15) & 0xFFFFFFFF, b"\x65abc"), number / 30
        ):
            assert isinstance(item, MpegPicture)
            shown = item.pts
    assert abs((heard - shown) - 45_000) < 3 * 90
    assert made.reports(10.0, 5)
    assert not made.reports(10.5, 5)


def test_frames_of_aac_come_together_alone_and_in_pieces() -> None:
    (_, track) = read_description(SDP)
    units = AacUnits(track)
    two = b"\x00\x20" + (3 << 3).to_bytes(2, "big") + (2 << 3).to_bytes(2, "big") + b"abcde"
    assert units.push(RtpPacket(97, True, 0, 5000, 1, two), hole=False) == [(5000, b"abc"), (6024, b"de")]
    long = bytes(range(256)) * 12
    found = []
    for number, payload in enumerate(aac_payloads(long)):
        found += units.push(RtpPacket(97, False, number, 9000, 1, payload), hole=False)
    assert found == [(9000, long)]


def test_elements_of_latm_are_taken_apart() -> None:
    track = AnnouncedTrack("", "audio", 97, "MP4A-LATM", 48_000)
    units = LatmElements(track)
    element = bytes((255, 10)) + b"a" * 265 + bytes((2,)) + b"bc"
    assert units.push(RtpPacket(97, False, 0, 0, 1, element[:100]), hole=False) == []
    assert units.push(RtpPacket(97, True, 1, 0, 1, element[100:]), hole=False) == [(0, b"a" * 265), (1024, b"bc")]


def test_reception_takes_whatever_comes() -> None:
    draw = random.Random(7)
    made = reception(lossy=True)
    for number in range(4000):
        payload = bytes((draw.choice([0x7C, 0x78, 0x65, 0x00, 0x41]),)) + draw.randbytes(
            draw.choice([0, 1, 2, 3, 20, 60])
        )
        kind, sequence = draw.choice([96, 97, 5]), number * draw.choice([1, 1, 1, 3])
        time, source = draw.choice([number * 3000, draw.getrandbits(32)]), draw.choice([1, 1, 1, 9])
        whole = packet(kind, sequence, time, payload, last=draw.random() < 0.5, ssrc=source)
        made.rtp(draw.randrange(2), whole, number / 50)
        made.rtcp(draw.randrange(2), draw.randbytes(draw.randrange(60)), number / 50)
        assert made.held < 16 << 20
