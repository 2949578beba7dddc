"""Packets come out in order, are asked for in time, and are given up in time."""

from __future__ import annotations

from itertools import pairwise

from hlsd.ingest.webrtc import jitter
from hlsd.ingest.webrtc.jitter import Ordered, ReorderBuffer
from hlsd.webrtc.rtp import RtpPacket


def packet(number: int, size: int = 10) -> RtpPacket:
    return RtpPacket(96, False, number & 0xFFFF, 0, 1, bytes(size))


def numbers(out: list[Ordered]) -> list[int]:
    return [one.packet.sequence for one in out]


def test_in_order_nothing_waits_also_where_numbers_wrap() -> None:
    order = ReorderBuffer(1.0, asks=True)
    for number in range(65_530, 65_545):
        (one,) = order.push(packet(number), 0.0)
        assert (one.packet.sequence, one.hole) == (number & 0xFFFF, False)
    assert order.asked(9.0) == []


def test_what_was_overtaken_is_not_asked_for() -> None:
    order = ReorderBuffer(1.0, asks=True)
    order.push(packet(1), 0.0)
    assert order.push(packet(3), 0.0) == []
    assert order.asked(0.005) == []
    assert numbers(order.push(packet(2), 0.006)) == [2, 3]
    assert (order.counts.recovered, order.counts.lost, order.asked(1.0)) == (0, 0, [])


def test_what_is_missing_is_asked_for_again_and_again_then_given_up() -> None:
    order = ReorderBuffer(0.4, asks=True)
    order.round_trip = 0.05
    order.push(packet(1), 0.0)
    order.push(packet(4), 0.0)
    asked = [(round(at / 100, 2), order.asked(at / 100)) for at in range(40)]
    times = [at for at, wanted in asked if wanted]
    assert all(wanted in ([], [2, 3]) for _, wanted in asked)
    assert times[0] == 0.01
    assert all(0.05 <= later - at < 0.07 for at, later in pairwise(times))
    assert len(times) >= 6
    assert order.tick(0.39) == []
    (one,) = order.tick(0.41)
    assert (one.packet.sequence, one.hole) == (4, True)
    assert order.counts.lost == 2
    assert order.asked(9.0) == []
    assert order.push(packet(2), 0.5) == []
    assert order.counts.late == 1


def test_what_was_asked_for_and_came_is_no_hole_and_tells_the_round_trip() -> None:
    order = ReorderBuffer(0.4, asks=True)
    order.push(packet(1), 0.0)
    order.push(packet(3), 0.0)
    assert order.asked(0.01) == [2]
    out = order.push(packet(2), 0.03, again=True)
    assert [(one.packet.sequence, one.hole) for one in out] == [(2, False), (3, False)]
    assert order.counts.recovered == 1
    assert order.round_trip < 0.1


def test_a_source_that_is_not_to_be_asked_is_not() -> None:
    order = ReorderBuffer(0.1, asks=False)
    order.push(packet(1), 0.0)
    order.push(packet(3), 0.0)
    assert order.asked(0.05) == []
    assert numbers(order.tick(0.2)) == [3]


def test_no_more_waits_than_there_is_room_for() -> None:
    order = ReorderBuffer(60.0, asks=True)
    order.push(packet(0), 0.0)
    out: list[Ordered] = []
    for number in range(2, jitter.PACKETS + 3):
        out += order.push(packet(number), 0.0)
    assert out[0].hole
    order = ReorderBuffer(60.0, asks=True)
    order.push(packet(0), 0.0)
    held = 0
    for number in range(2, 200):
        order.push(packet(number, 60_000), 0.0)
        held = max(held, order.held)
    assert jitter.BYTES - 60_000 <= held <= jitter.BYTES
    assert len(order.asked(1.0)) <= jitter.ASKED_AT_ONCE


def test_a_source_that_leaps_begins_anew() -> None:
    order = ReorderBuffer(1.0, asks=True)
    order.push(packet(1), 0.0)
    order.push(packet(3), 0.0)
    (one,) = order.push(packet(30_000), 0.1)
    assert (one.packet.sequence, one.hole) == (30_000, True)
    assert numbers(order.push(packet(30_001), 0.1)) == [30_001]
    assert order.asked(9.0) == []
    assert order.held == 0


def test_a_probe_of_before_the_first_packet_begins_nothing() -> None:
    order = ReorderBuffer(1.0, asks=True)
    assert order.push(packet(7), 0.0, again=True) == []
    assert numbers(order.push(packet(9), 0.0)) == [9]
    assert order.push(packet(8), 0.0, again=True) == []
    assert order.counts.late == 1
