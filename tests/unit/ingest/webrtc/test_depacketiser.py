"""NAL units come out of RTP whole and in order, and a picture with a hole does not come out."""

from __future__ import annotations

from hlsd.ingest.webrtc import depacketiser
from hlsd.ingest.webrtc.depacketiser import CodedPicture, Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.webrtc.rtp import RtpPacket
from tests.support.frames import PPS, SPS
from tests.support.webrtc_sender import access_unit, aggregate, payloads


def feed(
    room: Depacketiser, *cuts: bytes, time: int = 0, marker: bool = True, hole: bool = False
) -> list[CodedPicture]:
    out: list[CodedPicture] = []
    for at, payload in enumerate(cuts):
        last = marker and at == len(cuts) - 1
        out += room.push(Ordered(RtpPacket(96, last, at, time, 1, payload), hole and not at))
    return out


def test_alone_in_fragments_and_aggregated() -> None:
    room = Depacketiser()
    units = access_unit(1, key=True)
    cuts = [aggregate(*units[:2]), *payloads(units[2])]
    (picture,) = feed(room, *cuts)
    assert (picture.units, picture.key) == (units, True)
    (picture,) = feed(room, *payloads(access_unit(2)[0]), time=3000)
    assert (picture.units, picture.key, picture.timestamp) == (access_unit(2), False, 3000)
    assert room.held == 0


def test_h265_alone_in_fragments_and_aggregated() -> None:
    room = H265Depacketiser()
    vps, sps = b"\x40\x01" + b"v" * 20, b"\x42\x01" + b"s" * 20
    idr = b"\x26\x01" + bytes(range(256)) * 9
    aggregated = b"\x60\x01" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in (vps, sps))
    pieces = [idr[at : at + 1000] for at in range(2, len(idr), 1000)]
    fragments = [
        b"\x62\x01" + bytes((19 | (0x80 if not at else 0) | (0x40 if at == len(pieces) - 1 else 0),)) + piece
        for at, piece in enumerate(pieces)
    ]
    (picture,) = feed(room, aggregated, *fragments)
    assert (picture.units, picture.key) == ([vps, sps, idr], True)
    (picture,) = feed(room, b"\x02\x01slice", time=3000)
    assert not picture.key
    assert picture.slices


def test_without_a_marker_the_next_time_ends_a_picture() -> None:
    room = Depacketiser()
    assert feed(room, *access_unit(1, size=100), marker=False) == []
    (picture,) = feed(room, *access_unit(2, size=100), marker=False, time=3000)
    assert picture.units == access_unit(1, size=100)


def test_a_hole_takes_the_picture_with_it() -> None:
    for at in range(3):
        room = Depacketiser()
        cuts = payloads(access_unit(1)[0])
        assert feed(room, *cuts[:at], marker=False) == []
        assert feed(room, *cuts[at + 1 :], hole=True) == []
        if at < 2:
            assert room.lost == 1
        (picture,) = feed(room, *access_unit(2, size=100), time=3000)
        assert picture.timestamp == 3000


def test_a_hole_between_two_pictures_is_of_either() -> None:
    room = Depacketiser()
    assert feed(room, *access_unit(1, size=100), marker=False) == []
    assert feed(room, *access_unit(2, size=100), time=3000, hole=True) == []
    assert room.lost == 2


def test_what_is_no_payload_breaks_its_picture_only() -> None:
    bad = (
        b"\x7c\x05x",
        b"\x7c\x85",
        b"\x78\xff\xffx",
        b"\x78\x00\x00",
        b"\x1d\x01x",
        b"\x00x",
        aggregate(SPS) + b"\x00",
    )
    for cut in bad:
        room = Depacketiser()
        assert feed(room, cut, *access_unit(1, size=50)) == [], cut
        (picture,) = feed(room, *access_unit(2, size=50), time=3000)
        assert picture.units == access_unit(2, size=50)
    room = H265Depacketiser()
    for number, cut in enumerate((b"\x62\x01", b"\x62\x01\x05x", b"\x64\x01xx", b"\x60\x01\x00\x01x", b"\x00")):
        assert feed(room, cut, b"\x02\x01slice", time=number) == []


def test_a_fragment_that_never_ends_is_no_unit() -> None:
    room = Depacketiser()
    first, *_ = payloads(access_unit(1)[0])
    assert feed(room, first, PPS) == []
    assert room.lost == 1


def test_a_picture_has_a_bound() -> None:
    room = Depacketiser()
    held = 0
    for number in range(depacketiser.PICTURE_LIMIT // 60_000 + 5):
        feed(room, b"\x41" + bytes(60_000), marker=False)
        held = max(held, room.held)
        assert number >= 0
    assert feed(room, b"\x41\x80") == []
    fragments = [b"\x7c" + bytes((5 | (0x80 if not at else 0),)) + bytes(60_000) for at in range(60)]
    assert feed(room, *fragments) == []
    assert room.lost == 2
    assert room.held == 0
