"""SrtKeys: what does not fit is not taken, and a secured link stays one."""

from __future__ import annotations

import pytest

from hlsd.ingest.srt import packet
from hlsd.ingest.srt.key_material import BOTH, EVEN, ODD, SrtKeys, read_key_material
from hlsd.ingest.srt.link import Link, LinkTerms

SECRET = "correct horse"


@pytest.mark.parametrize("length", [16, 24, 32])
def test_both_sides_have_one_key(length: int) -> None:
    ours, theirs = SrtKeys(SECRET), SrtKeys(SECRET)
    assert theirs.take(ours.begin(length))
    wire = ours.crypt(EVEN, 12345, b"media" * 200)
    assert wire is not None
    assert wire != b"media" * 200
    assert theirs.crypt(EVEN, 12345, wire) == b"media" * 200
    assert theirs.crypt(EVEN, 12346, wire) != b"media" * 200
    assert theirs.crypt(ODD, 12345, wire) is None


def test_a_renewed_key_is_taken_beside_the_old_one() -> None:
    ours, theirs = SrtKeys(SECRET), SrtKeys(SECRET)
    theirs.take(ours.begin(16))
    message = ours.renew()
    found = read_key_material(message)
    assert found is not None
    assert found.parity == BOTH
    assert theirs.take(message)
    assert ours.current == EVEN
    ours.switch()
    assert ours.current == ODD
    for parity in (EVEN, ODD):
        wire = ours.crypt(parity, 9, b"media")
        assert wire is not None
        assert theirs.crypt(parity, 9, wire) == b"media"


def test_what_is_no_key_material_is_not_taken_and_leaves_the_keys_alone() -> None:
    ours, theirs = SrtKeys(SECRET), SrtKeys(SECRET)
    message = ours.begin(16)
    theirs.take(message)
    wire = ours.crypt(EVEN, 1, b"media")
    assert wire is not None
    bad = [b"", message[:-1], message + b"\0", message * 40, bytes(len(message)), message[:20]]
    bad.append(SrtKeys("another one").begin(16))
    told = [0, 1, 2, 3, 8, 9, *range(14, len(message))]  # the rest says nothing to us
    bad += [message[:at] + bytes([message[at] ^ 0x41]) + message[at + 1 :] for at in told]
    for one in bad:
        theirs.take(one)
        assert theirs.crypt(EVEN, 1, wire) == b"media", one.hex()
        assert theirs.length == 16


def test_a_first_message_that_does_not_fit_leaves_no_keys() -> None:
    keys = SrtKeys(SECRET)
    assert not keys.take(SrtKeys("another one").begin(16))
    assert keys.length == 0
    assert keys.take(SrtKeys(SECRET).begin(32))


def secured() -> tuple[Link, SrtKeys, list[bytes]]:
    ours, theirs, sent = SrtKeys(SECRET), SrtKeys(SECRET), list[bytes]()
    theirs.take(ours.begin(16))
    return Link(LinkTerms(1, 0, 0.1, 0.1, theirs), sent.append, 0.0), ours, sent


def test_a_secured_link_takes_nothing_in_the_clear() -> None:
    link, _, _ = secured()
    clear = packet.write_words(0, packet.SOLO | 1, 0, 1) + b"media"
    assert link.receive(clear, 0.0) == []
    assert link.counts.undecrypted == 1


def test_a_link_in_the_clear_takes_nothing_encrypted() -> None:
    link = Link(LinkTerms(1, 0, 0.1, 0.1), lambda _: None, 0.0)
    coded = packet.write_words(0, packet.SOLO | EVEN << packet.KEY_SHIFT | 1, 0, 1) + b"media"
    assert link.receive(coded, 0.0) == []
    assert link.counts.undecrypted == 1


def test_keys_that_a_peer_renews_are_answered_and_others_are_not() -> None:
    link, ours, sent = secured()
    renewed = ours.renew()
    ask = packet.write_control(packet.EXTENDED, 1, 0, body=renewed, subtype=packet.KM_REQUEST)
    link.receive(ask, 0.0)
    answer = packet.read_control(sent.pop())
    assert answer is not None
    assert (answer.kind, answer.subtype, answer.body) == (packet.EXTENDED, packet.KM_ANSWER, renewed)
    for body in (b"", b"\x12" * 2000, SrtKeys("another one").begin(16)):
        link.receive(packet.write_control(packet.EXTENDED, 1, 0, body=body, subtype=packet.KM_REQUEST), 0.0)
    assert sent == []
    ours.switch()
    wire = ours.crypt(ODD, 0, b"media")
    assert wire is not None
    data = packet.write_words(0, packet.SOLO | ODD << packet.KEY_SHIFT | 1, 0, 1) + wire
    assert link.receive(data, 0.0) == [b"media"]
