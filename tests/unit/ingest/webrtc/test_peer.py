"""A session in memory, on a line that loses by a seed: pictures arrive, and what is missing is asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hlsd.webrtc import transport as peers
from hlsd.webrtc.dtls import DtlsHandshake, DtlsIdentity
from tests.support.webrtc_sender import ADDRESS, Line, Sender, access_unit, limits_of


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
def test_pictures_and_sound_come_in_either_role(setup: str) -> None:
    line = Line(Sender(setup))
    assert line.peer.client == (setup == "passive")
    line.film(40)
    line.run(0.2)
    assert line.sink.numbers == list(range(40))
    assert line.sink.pictures[0][0].units == access_unit(0, key=True)
    assert len(line.sink.sounds) == 80
    steps = {later - at for (_, at), (_, later) in pairwise(line.sink.pictures)}
    assert steps <= {33, 34}
    assert line.peer.asked["loss"] == 0
    assert line.sender.heard["nack"] == 0


def test_a_report_each_second_a_feedback_each_tenth_and_the_most_that_may_come() -> None:
    line = Line()
    line.film(90)
    heard = line.sender.heard
    assert 3 <= heard["rr"] <= 4
    assert heard["remb"] == heard["rr"]
    assert 25 <= heard["twcc"] <= 32


@pytest.mark.parametrize(("rtx", "loss"), [(True, 0.02), (False, 0.02), (True, 0.1)])
def test_with_two_or_ten_percent_lost_each_way_no_picture_is(rtx: bool, loss: float) -> None:
    line = Line(Sender(rtx=rtx), loss=loss, delay=0.02, seed=11)
    line.film(300)
    line.run(1.0)
    assert line.sink.numbers == list(range(300))
    assert line.peer.picture is not None
    assert line.peer.picture.order.counts.recovered > 5
    assert line.peer.picture.order.counts.lost == 0


def test_who_sends_nothing_again_is_asked_for_key_pictures_and_no_broken_one_comes() -> None:
    line = Line(Sender(answers=False), loss=0.01, delay=0.02, seed=3)
    line.film(300, key_each=3000)
    line.run(1.0)
    numbers = line.sink.numbers
    assert len(numbers) < 300
    assert line.peer.asked["loss"] >= 2
    for before, after in pairwise(line.sink.pictures):
        gap = int(after[0].units[-1][2:10]) - int(before[0].units[-1][2:10])
        assert gap == 1 or after[0].key
    assert line.peer.asked["loss"] + line.peer.asked["interval"] <= 2 * line.sender.heard["pli"] + 3


def test_key_pictures_are_asked_for_in_time_and_not_too_often() -> None:
    line = Line(limits=limits_of(key_interval=2.0))
    line.film(300, key_each=10_000)  # ten seconds, and a key picture whenever one is asked for
    keys = [number for number, (picture, _) in enumerate(line.sink.pictures) if picture.key]
    assert keys[0] == 0
    assert all(55 <= later - at <= 70 for at, later in pairwise(keys))
    assert line.peer.asked == {"loss": 0, "interval": len(keys) - 1, "start": 0, "viewer": 0}


def test_a_viewer_who_has_to_begin_has_one_asked_for_and_many_have_not_more() -> None:
    line = Line(limits=limits_of(key_interval=60.0))
    line.film(30, key_each=10_000)
    assert line.peer.picture is not None
    for _ in range(10):
        line.peer.picture.keys.want()
    line.film(60, first=30, key_each=10_000)
    keys = [number for number, (picture, _) in enumerate(line.sink.pictures) if picture.key]
    assert line.peer.asked["viewer"] == 1
    assert len([number for number in keys if 30 < number <= 60]) == 1


def test_who_has_fallen_silent_is_asked_for_nothing() -> None:
    line = Line(limits=limits_of(key_interval=0.5, silence=60))
    line.film(5)
    line.run(20.0)
    assert sum(line.peer.asked.values()) <= 2  # within the first second
    assert line.peer.picture is not None
    assert not line.peer.picture.keys.unanswered


def test_a_burst_above_the_bounds_is_dropped_and_the_session_lives() -> None:
    line = Line(limits=limits_of(bitrate=1_000_000))
    line.film(30, size=20_000, sound=False)  # 4.8 Mb/s
    assert line.peer.counts.limited > 100
    assert line.sink.size * 8 <= 2_100_000
    assert not line.peer.ended
    line.film(30, first=60, size=1000, sound=False)
    line.run(1.0)
    assert line.sink.numbers[-1] == 89


def test_nothing_is_said_to_an_address_that_has_not_shown_itself() -> None:
    line = Line(connect=False)
    for datagram in line.sender.begin():
        line.peer.receive(datagram, ADDRESS, line.now)
        line.peer.receive(datagram, ("192.0.2.66", 1), line.now)
    line.run(1.0)
    assert line.replies == []


def test_another_certificate_than_the_offer_s_ends_it() -> None:
    line = Line(connect=False)
    line.peer.validated(ADDRESS, line.now, nominated=True)
    name, digits = line.identity.fingerprint.split()
    line.sender.shake = DtlsHandshake(DtlsIdentity(), client=True, expected=((name, digits),))
    line.send(line.sender.begin())
    line.run(1.0)
    assert line.peer.ended == "error:protocol"
    assert "certificate" in line.peer.why


def test_who_never_comes_is_told_of_in_the_log() -> None:
    line = Line(connect=False)
    line.run(10.1)
    assert line.peer.ended == "idle"
    assert "webrtc.hosts" in line.peer.why


def test_silence_ends_it_and_binding_requests_are_no_silence() -> None:
    line = Line()
    line.run(14.0)
    line.peer.validated(ADDRESS, line.now, nominated=False)
    line.run(14.0)
    before = line.peer.ended
    line.run(2.0)
    assert (before, line.peer.ended) == ("", "idle")


def test_media_goes_on_where_the_nominated_address_moves() -> None:
    line = Line()
    line.film(10)
    other = ("198.51.100.9", 5)
    line.peer.validated(other, line.now, nominated=False)
    assert line.peer.address == ADDRESS
    line.peer.validated(other, line.now, nominated=True)
    assert line.peer.address == other
    for datagram in line.sender.packets(access_unit(10), 30_000):
        line.peer.receive(datagram, other, line.now)
    line.run(0.1)
    assert line.sink.numbers == list(range(11))
    for number in range(40):
        line.peer.validated(("198.51.100.10", number), line.now + number, nominated=False)
    assert len(line.peer.addresses) == peers.ADDRESSES
    assert line.peer.address in line.peer.addresses


def test_pictures_that_are_not_worked_on_leave_no_broken_ones_behind() -> None:
    line = Line()
    line.film(10, key_each=1000)
    line.sink.busy = True
    line.film(2, first=10, key_each=1000)
    line.sink.busy = False
    line.film(40, first=12, key_each=1000)
    after = [picture for picture, _ in line.sink.pictures[10:]]
    assert after[0].key
    assert line.peer.asked["loss"] == 1


def test_h265_and_g711_come_by_the_same_way() -> None:
    line = Line(video="H265/90000", fmtp="level-id=93", audio="PCMA/8000")
    for number in range(20):
        kind = b"\x26\x01" if number % 10 == 0 else b"\x02\x01"
        line.send(line.sender.cut([kind + b"%08d" % number], number * 3000))
        line.send([line.sender.sound(number * 160, b"\xd5" * 160)])
        line.run(1 / 30)
    assert [picture.key for picture, _ in line.sink.pictures] == [number % 10 == 0 for number in range(20)]
    assert [ms - line.sink.sounds[0][1] for _, ms in line.sink.sounds] == [20 * number for number in range(20)]


def test_a_second_source_takes_over_with_a_key_picture() -> None:
    line = Line()
    line.film(40, key_each=1000)
    before = len(line.sink.pictures)
    line.run(1.0)
    line.sender.ssrc, line.sender.sequence, line.sender.sent = 0x55555555, 9, {}
    line.film(40, first=500, key_each=1000)
    assert line.sink.pictures[before][0].key
    assert line.sink.numbers[before:] == list(range(500, 540))


def test_an_offer_without_feedback_is_asked_for_nothing_again() -> None:
    line = Line(Sender(rtx=False), feedback=(), loss=0.05, seed=2)
    line.film(60, key_each=10)
    line.run(1.0)
    assert line.sender.heard["nack"] == 0
    assert line.sender.heard["remb"] == 0
    assert 10 < len(line.sink.pictures) < 60


def test_after_three_seconds_of_thirty_percent_loss_it_goes_on_within_two() -> None:
    line = Line(limits=limits_of(patience=0.4), delay=0.02, seed=4)
    line.film(60, key_each=1000)
    line.loss = 0.3
    line.film(90, first=60, key_each=1000)
    line.loss = 0.0
    line.film(90, first=150, key_each=1000)
    line.run(1.0)
    numbers = line.sink.numbers
    resumed = [number for number in numbers if number >= 150]
    assert resumed[0] <= 150 + 60
    assert resumed == list(range(resumed[0], 240))
