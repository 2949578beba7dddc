"""A picture cut into packets is, put together again by what receives publishers, the picture that it was."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlsd.delivery.whep.packetiser import PAYLOAD, H265Packetiser, Packetiser, nal_units, packetiser
from hlsd.ingest.webrtc.depacketiser import Depacketiser, H265Depacketiser
from hlsd.ingest.webrtc.jitter import Ordered
from hlsd.webrtc.rtp import RtpPacket

SIZES = st.lists(st.integers(2, 4000) | st.sampled_from([PAYLOAD - 3, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1]), min_size=1,
                 max_size=12)  # fmt: skip


def units_of(sizes: list[int], heads: list[bytes], seed: int) -> list[bytes]:
    """NAL units of these sizes, with anything in them."""
    draw = random.Random(seed)
    return [(heads[at % len(heads)] + draw.randbytes(size))[: max(size, 3)] for at, size in enumerate(sizes)]


def together(room: Depacketiser, payloads: list[bytes]) -> list[bytes]:
    """What a receiver makes of the payloads of one picture."""
    pictures = []
    for at, payload in enumerate(payloads):
        assert len(payload) <= PAYLOAD
        packet = RtpPacket(96, at == len(payloads) - 1, at, 7, 1, payload)
        pictures += room.push(Ordered(packet, hole=False))
    (picture,) = pictures
    return picture.units


@given(SIZES, st.integers(0, 1000))
def test_h264_comes_back_as_it_went(sizes: list[int], seed: int) -> None:
    units = units_of(sizes, [b"\x67", b"\x68", b"\x06", b"\x65", b"\x41", b"\x01"], seed)
    assert together(Depacketiser(), Packetiser().payloads(units)) == units


@given(SIZES, st.integers(0, 1000))
def test_h265_comes_back_as_it_went(sizes: list[int], seed: int) -> None:
    units = units_of(sizes, [b"\x40\x01", b"\x42\x01", b"\x44\x01", b"\x26\x01", b"\x02\x01", b"\x00\x02"], seed)
    assert together(H265Depacketiser(), H265Packetiser().payloads(units)) == units


def test_parameter_sets_and_a_small_key_picture_are_one_packet_of_the_highest_importance() -> None:
    (payload,) = Packetiser().payloads([b"\x67sps", b"\x28pps", b"\x65slice"])
    assert payload == b"\x78\x00\x04\x67sps\x00\x04\x28pps\x00\x06\x65slice"


def test_fragments_are_of_one_length_and_keep_the_importance_of_their_unit() -> None:
    first, second, third = Packetiser().payloads([b"\x41" + bytes(3000)])
    assert (first[:2], second[:2], third[:2]) == (b"\x5c\x81", b"\x5c\x01", b"\x5c\x41")
    assert len(first) == len(second) == len(third) == 1002


def test_an_aggregate_of_h265_has_the_lowest_layer_and_temporal_id_of_its_units() -> None:
    (payload,) = H265Packetiser().payloads([b"\x40\x03vps", b"\x42\x02sps"])
    assert payload[:2] == b"\x60\x02"


def test_a_header_without_anything_behind_it_is_left_out() -> None:
    assert Packetiser().payloads([b"\x09", b""]) == []


def test_what_is_not_sent_by_webrtc_has_no_packetiser() -> None:
    assert packetiser("av1") is None


@pytest.mark.parametrize("cut", [0, 3, 4, 9])
def test_a_sample_that_is_cut_off_ends_where_it_ends(cut: int) -> None:
    sample = b"\x00\x00\x00\x02\x41a" + b"\x00\x00\x00\x03\x41bc"
    assert [bytes(unit) for unit in nal_units(sample[:cut])] in ([], [b"\x41a"])
    assert [bytes(unit) for unit in nal_units(sample)] == [b"\x41a", b"\x41bc"]
