"""What a viewer is sent rises by one, begins with a key picture, and comes again as it was."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from hlsd.delivery.whep import packets as logs
from hlsd.delivery.whep.packets import PacketLog
from hlsd.delivery.whep.picture_sender import BURST, CATCH_UP, RESEND, PictureSender
from hlsd.webrtc import rtp
from hlsd.webrtc.sdp_answer import Sources

SOURCES = Sources(1, 2, 3)
FRAME = 3000


class Film:
    """A log, and who watches it; a key picture each ten."""

    def __init__(self, most: int = 1 << 20, rtx: bool = True, start: int = 0x7FF0) -> None:
        self.log = PacketLog(most)
        self.sender = PictureSender(self.log, (96, 97 if rtx else 0), SOURCES, start)
        self.number = 0

    def show(self, pictures: int = 1, packets: int = 2) -> None:
        for _ in range(pictures):
            payloads = [b"%05d.%03d" % (self.number, part) for part in range(packets)]
            self.log.add(payloads, self.number * FRAME, key=self.number % 10 == 0)
            self.number += 1

    def sent(self) -> list[rtp.RtpPacket]:
        return [rtp.read(packet) for packet in self.sender.take()]

    def time(self, packet: rtp.RtpPacket) -> int:
        return packet.timestamp - self.sender.offset & 0xFFFFFFFF


def shown(packets: list[rtp.RtpPacket]) -> list[int]:
    return [int(packet.payload[:5]) for packet in packets if packet.marker]


def test_who_comes_gets_all_since_the_key_picture_at_once_and_the_newest_in_time() -> None:
    film = Film()
    film.show(15)
    film.sender.begin()
    sent = film.sent()
    assert shown(sent) == [10, 11, 12, 13, 14]
    assert sorted({film.time(packet) for packet in sent}) == [14 * FRAME - back * CATCH_UP for back in (4, 3, 2, 1, 0)]
    film.show(2)
    more = film.sent()
    assert [film.time(packet) for packet in more] == [15 * FRAME] * 2 + [16 * FRAME] * 2
    sequences = [packet.sequence for packet in sent + more]
    assert all(later - before & 0xFFFF == 1 for before, later in pairwise(sequences))
    assert [packet.marker for packet in more] == [False, True] * 2
    assert {packet.ssrc for packet in sent} == {1}


def test_without_a_key_picture_it_waits_for_the_next() -> None:
    film = Film()
    film.show(5)
    film.log.forget_key()
    film.sender.begin()
    assert film.sender.waits
    assert film.sent() == []
    film.show(6)
    assert shown(film.sent()) == [10]
    assert not film.sender.waits


def test_a_burst_has_a_bound_and_nothing_is_left_out_of_it() -> None:
    film = Film(most=1 << 24)
    film.show(1, packets=3 * BURST)
    film.sender.begin()
    rounds = [film.sent() for _ in range(4)]
    assert [len(one) for one in rounds] == [BURST, BURST, BURST, 0]
    assert [packet.marker for one in rounds for packet in one].index(True) == 3 * BURST - 1


@pytest.mark.parametrize("rtx", [True, False])
def test_what_is_asked_for_comes_again_to_the_bit(rtx: bool) -> None:
    film = Film(rtx=rtx)
    film.show(14)
    film.sender.begin()
    film.show(3)
    raw = list(film.sender.take())
    for packet in raw:
        first = rtp.read(packet)
        again = film.sender.resend(first.sequence)
        assert again is not None
        if rtx:
            carried = rtp.read(again)
            assert (carried.kind, carried.ssrc) == (97, 2)
            assert rtp.resent(carried, 96, 1) == first
        else:
            assert again == packet
    assert film.sender.resend(rtp.read(raw[-1]).sequence + 1 & 0xFFFF) is None
    assert film.sender.resend(rtp.read(raw[0]).sequence - 1 & 0xFFFF) is None


def test_what_is_gone_is_not_sent_again_and_who_is_behind_all_goes_on_at_a_key_picture() -> None:
    film = Film(most=400)  # 44 packets
    film.sender.begin()
    film.show(3)
    first = film.sent()[0]
    film.show(40)
    assert film.sender.resend(first.sequence) is None
    assert shown(film.sent()) == [40, 41, 42]
    assert len(film.log._packets) <= 44


def test_a_decoder_that_stands_still_gets_the_newest_key_picture_once_more_and_later_times() -> None:
    film = Film()
    film.sender.begin()
    film.show(5)
    before = film.sent()
    film.sender.begin()
    again = film.sent()
    assert shown(again) == [0, 1, 2, 3, 4]
    assert again[0].sequence == before[-1].sequence + 1 & 0xFFFF
    times = [film.time(packet) for packet in before[-1:] + again]
    assert times == sorted(times)
    assert 4 * FRAME < times[1] <= times[-1] <= 4 * FRAME + RESEND
    film.show(1)
    (one, _) = film.sent()
    assert film.time(one) == 5 * FRAME
    # both are still known by their numbers
    for packet in (before[0], again[0]):
        carried = film.sender.resend(packet.sequence)
        assert carried is not None
        assert rtp.resent(rtp.read(carried), 96, 1) == packet


def test_who_gets_key_pictures_only_gets_them_whole() -> None:
    film = Film()
    film.sender.begin()
    film.show(3)
    film.sent()
    film.sender.keys_only = True
    film.show(30)
    assert shown(film.sent()) in ([3], [30])
    film.show(10)
    assert shown(film.sent()) in ([30], [40])
    film.sender.keys_only = False
    film.show(12)
    assert shown(film.sent()) == [50, 51, 52, 53, 54]


def test_any_history_has_numbers_without_a_hole_and_times_that_rise() -> None:
    draw = random.Random(7)
    for start in range(20):
        film = Film(most=3000, start=draw.randrange(1 << 16))
        film.sender.begin()
        sent: list[rtp.RtpPacket] = []
        for _ in range(60):
            film.show(draw.randrange(4), draw.randrange(1, 5))
            match draw.randrange(12):
                case 0:
                    film.sender.begin()
                case 1:
                    film.sender.restart()
                case 2:
                    film.sender.keys_only = not film.sender.keys_only
            fresh = film.sent()
            for packet in fresh:
                carried = film.sender.resend(packet.sequence)
                assert carried is None or rtp.resent(rtp.read(carried), 96, 1) == packet
            sent += fresh
        pairs = list(pairwise(sent))
        assert pairs, start
        assert all(later.sequence - before.sequence & 0xFFFF == 1 for before, later in pairs)
        assert all((later.timestamp - before.timestamp & 0xFFFFFFFF) < 1 << 31 for before, later in pairs)


def test_a_log_has_bounds() -> None:
    log = PacketLog(10_000)
    for number in range(3000):
        log.add([bytes(100)] * 3, number, key=not number % 500)
        assert log.bytes <= 10_000
    assert log.key is None
    assert log.end == 9000
    small = PacketLog(1 << 30)
    small.add([b"a"] * (logs.PACKETS + 5), 0, key=True)
    assert (small.end - small.first, small.key) == (logs.PACKETS, None)
