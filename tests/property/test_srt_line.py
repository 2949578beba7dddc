"""SRT over a bad line: two state machines of ours, a seeded draw of losses, doubles and delays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlsd.ingest.srt import packet
from hlsd.ingest.srt.handshake import WINDOW
from hlsd.ingest.srt.key_material import LARGEST, SrtKeys
from hlsd.ingest.srt.link import Link, LinkTerms
from hlsd.ingest.srt.packet import SEQUENCE
from hlsd.ingest.srt.send_buffer import SentPacket
from tests.support.srt_channel import Line

PER_SECOND = 285
"""Packets: 3 Mbit/s."""


def two(line: Line, latency: float, first: int, *, secret: str = "", renew: int = 1 << 24) -> tuple[Link, Link]:
    """A sender and a receiver."""
    ours = theirs = None
    if secret:
        ours, theirs = SrtKeys(secret), SrtKeys(secret)
        assert theirs.take(ours.begin(16))
    sender = Link(LinkTerms(2, first, latency, latency, ours), line.end(1), line.now, renew)
    receiver = Link(LinkTerms(1, first, latency, latency, theirs), line.end(0), line.now)
    return sender, receiver


def talk(line: Line, sender: Link, receiver: Link, seconds: float) -> tuple[list[bytes], list[bytes]]:
    """What is said and heard in so much time, and in two seconds behind it."""
    said: list[bytes] = []
    heard: list[bytes] = []
    end = line.now + seconds
    owed = 0.0
    while line.now < end + 2.0:
        if line.now < end:
            owed += PER_SECOND * 0.01
            while owed >= 1:
                owed -= 1
                said.append(len(said).to_bytes(4, "big") * 329)
                sender.write(said[-1], line.now)
        line.run([sender, receiver], line.now + 0.01, lambda to, payload: heard.append(payload) if to else None)
        assert receiver.inbound.waiting <= WINDOW
        assert len(sender.outbound) <= 1.3 * PER_SECOND + 100
    return said, heard


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_at_five_percent_with_a_latency_of_four_round_trips(seed: int) -> None:
    line = Line(seed, loss=0.05, way=0.04)
    sender, receiver = two(line, 0.32, SEQUENCE - 100)
    said, heard = talk(line, sender, receiver, 20)
    assert line.dropped > 100
    assert heard == said
    assert receiver.inbound.counts.lost == 0
    assert receiver.inbound.counts.recovered > 100
    assert len(sender.outbound) == 0


def test_what_nobody_lost_is_handed_on_at_once_and_in_order() -> None:
    line = Line(1, jitter=0.03, doubled=0.1)
    sender, receiver = two(line, 0.12, 5)
    said, heard = talk(line, sender, receiver, 3)
    assert heard == said
    assert receiver.inbound.counts.lost == 0
    assert receiver.inbound.counts.late > 20
    assert 0.08 <= receiver.round_trip < 0.16


def _never_resent(line: Line, sender: Link) -> None:
    """The next packet is lost, and so is each of its resends."""
    keep, first = line.end(1), sender.outbound.next
    sender._out = lambda datagram: None if int.from_bytes(datagram[:4], "big") == first else keep(datagram)


@pytest.mark.parametrize(
    ("latency", "way", "waits"), [(0.3, 0.04, 0.46), (0.1, 0.2, 0.9), (0.1, 0.4, 1.0), (1.5, 0.2, 1.5)]
)
def test_a_gap_is_waited_for_no_longer_than_the_latency_and_two_round_trips(
    latency: float, way: float, waits: float
) -> None:
    """And beyond the latency no longer than senders keep what they have sent: a second."""
    line = Line(1, way=way)
    sender, receiver = two(line, latency, 0)
    heard: list[tuple[float, bytes]] = []

    def hear(to: int, payload: bytes) -> None:
        if to:
            heard.append((line.now, payload))

    for number in range(20):  # until the round trip is known
        sender.write(b"%d" % number, line.now)
        line.run([sender, receiver], line.now + 0.1, hear)
    line.run([sender, receiver], line.now + 1.0, hear)
    assert len(heard) == 20
    _never_resent(line, sender)
    sender.write(b"one", line.now)
    sender.write(b"two", line.now)
    noticed = line.now + way
    line.run([sender, receiver], line.now + 2.5, hear)
    assert heard[-1][1] == b"two"
    assert receiver.inbound.counts.lost == 1
    assert heard[-1][0] - noticed == pytest.approx(waits, abs=0.05)


def test_the_last_packet_is_sent_again_though_nobody_misses_it() -> None:
    line = Line(1)
    sender, receiver = two(line, 0.5, 0)
    heard: list[bytes] = []
    keep = line.end
    gone = iter((True,))
    sender._out = lambda datagram: None if next(gone, False) else keep(1)(datagram)
    sender.write(b"last", line.now)
    line.run([sender, receiver], line.now + 1.0, lambda to, payload: heard.append(payload) if to else None)
    assert heard == [b"last"]


def test_keys_change_while_packets_are_lost() -> None:
    line = Line(3, loss=0.03)
    sender, receiver = two(line, 0.5, 7, secret="correct horse", renew=200)
    said, heard = talk(line, sender, receiver, 4)
    assert heard == said
    assert receiver.counts.undecrypted == 0
    assert sender.terms.keys is not None
    assert sender.counts.sent > 1000


def test_a_peer_that_is_silent_has_gone() -> None:
    line = Line(1, loss=1.0)
    sender, receiver = two(line, 0.1, 0)
    line.run([sender, receiver], line.now + 4.9, lambda *_: None)
    before = receiver.ended
    line.run([sender, receiver], line.now + 0.2, lambda *_: None)
    assert (before, receiver.ended) == ("", "idle")


def test_who_says_goodbye_is_gone_on_both_sides() -> None:
    line = Line(1)
    sender, receiver = two(line, 0.1, 0)
    sender.close(line.now)
    line.run([sender, receiver], line.now + 0.1, lambda *_: None)
    assert (sender.ended, receiver.ended) == ("closed", "closed")


@settings(max_examples=20)
@given(
    loss=st.floats(0, 0.4),
    doubled=st.floats(0, 0.5),
    jitter=st.floats(0, 0.2),
    seed=st.integers(0, 1 << 30),
    first=st.sampled_from([0, 1, SEQUENCE - 3, SEQUENCE]),
)
def test_whatever_the_line_does_what_is_heard_is_in_order_once(
    loss: float, doubled: float, jitter: float, seed: int, first: int
) -> None:
    line = Line(seed, loss=loss, doubled=doubled, jitter=jitter)
    sender, receiver = two(line, 0.12, first)
    said, heard = talk(line, sender, receiver, 0.5)
    places = [int.from_bytes(payload[:4], "big") for payload in heard]
    assert places == sorted(set(places))
    assert len(heard) + receiver.inbound.counts.lost <= len(said)
    assert receiver.inbound.bytes == 0 or receiver.inbound.waiting


@settings(max_examples=100)
@given(st.data())
def test_whatever_a_peer_sends_nothing_is_raised_and_what_is_held_is_bounded(data: st.DataObject) -> None:
    draw = random.Random(data.draw(st.integers(0, 1 << 30)))
    secret = data.draw(st.booleans())
    line = Line(0)
    _, receiver = two(line, 0.12, 10, secret="correct horse" if secret else "")
    sent: list[bytes] = []
    receiver._out = sent.append
    for _ in range(3):
        receiver.write(b"media", line.now)
    for _ in range(60):
        line.now += 0.005
        receiver.receive(hostile(draw), line.now)
        receiver.tick(line.now)
        receiver.ended = ""
    assert receiver.inbound.waiting <= WINDOW
    assert len(receiver.inbound._missing) <= WINDOW
    assert len(receiver._acks) <= 64
    assert all(len(datagram) <= 16 + packet.LARGEST for datagram in sent)


def test_a_list_that_asks_for_everything_again_and_again_costs_one_look_at_it() -> None:
    line, looked = Line(0), list[int]()
    sender, _ = two(line, 0.12, 10)
    for _ in range(1000):
        sender.write(b"media", line.now)
    before = sender.outbound.asked

    def counted(first: int, last: int, now: float) -> list[tuple[int, SentPacket]]:
        looked.append(last - first + 1)
        return before(first, last, now)

    sender.outbound.asked = counted  # type: ignore[method-assign]
    body = packet.write_losses([(10, 1009)] * 180)
    sender.receive(packet.write_control(packet.NAK, 1, 0, body=body), line.now)
    assert sum(looked) <= 2000
    assert sender.counts.resent <= 2 * 1000


def hostile(draw: random.Random) -> bytes:
    """A datagram that looks like one of SRT, more or less."""
    body = draw.randbytes(draw.choice((0, 3, 4, 8, 16, 28, LARGEST + 4, 1456)))
    kind = draw.choice((0, 1, 2, 3, 6, 7, 8, 0x7FFF, draw.randrange(1 << 15)))
    number = draw.choice((draw.randrange(40), draw.randrange(1 << 32)))
    if draw.random() < 0.5:
        return packet.write_control(kind, 1, draw.randrange(1 << 32), number, body, draw.choice((0, 3, 4)))
    head = packet.write_words(number & SEQUENCE, draw.randrange(1 << 32), draw.randrange(1 << 32), 1)
    return (head + body)[: draw.choice((5, 16, 1500, 1500, 1500))]
