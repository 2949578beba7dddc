"""What real clients send is read as they mean it, and what is wrong gets the number that they show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hlsd.ingest.srt import conclusion, packet
from hlsd.ingest.srt import handshake as hs
from hlsd.ingest.srt.caller import CallTerms, SrtCaller, words_of
from hlsd.ingest.srt.conclusion import Wanted
from hlsd.ingest.srt.cookies import PERIOD, Cookies
from hlsd.ingest.srt.handshake import SrtHandshake, SrtHello, read_handshake, write_handshake
from hlsd.ingest.srt.key_material import SrtKeys
from hlsd.ingest.srt.link import Link, LinkTerms
from hlsd.ports import Denial, RefuseCode

CLIENTS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "golden/srt_clients.json").read_text())
"""Captured on loopback: what programs sent to hlsd. The passphrase is `SECRET`."""
SECRET = "correct horse"
IDS = {
    "ffmpeg 5.1 publishes": "publish:live/a",
    "ffmpeg 5.1 escaped id": "%23!::r=live/c,m=publish",
    "GStreamer publishes": "publish:live/d",
    "srt-live-transmit plays": "#!::r=live/e,m=request",
}


def told(client: str, which: str = "conclusion") -> SrtHandshake:
    control = packet.read_control(bytes.fromhex(CLIENTS[client][which]))
    assert control is not None
    assert (control.kind, control.to) == (packet.HANDSHAKE, 0)
    found = read_handshake(control.body)
    assert found is not None
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_are_read_as_they_mean_it_and_written_back_as_they_came(client: str) -> None:
    induction, said = told(client, "induction"), told(client)
    assert (induction.version, induction.kind, induction.extension, induction.blocks) == (4, hs.INDUCTION, 2, ())
    wanted = conclusion.judge(said)
    assert isinstance(wanted, Wanted)
    assert wanted.stream_id == IDS.get(client, wanted.stream_id)
    assert wanted.hello.version >= 0x010501
    assert wanted.hello.flags & 0x3F == 0x3F
    assert wanted.hello.receive == (200 if client.startswith("srt-live") else wanted.hello.receive)
    assert bool(wanted.secret) == ("AES" in client)
    for one in (induction, said):
        which = "induction" if one is induction else "conclusion"
        assert write_handshake(one).hex() == CLIENTS[client][which][32:]
    assert hs.extension_flags(said.blocks) == said.extension


@pytest.mark.parametrize("client", [name for name in CLIENTS if "AES" in name])
def test_what_clients_encrypt_is_a_transport_stream_behind_their_key(client: str) -> None:
    wanted = conclusion.judge(told(client))
    assert isinstance(wanted, Wanted)
    keys = conclusion.secured(wanted, SECRET)
    assert isinstance(keys, SrtKeys)
    assert keys.length == int(client[-3:]) // 8
    (datagram,) = [bytes.fromhex(text) for text in CLIENTS[client]["data"]]
    link = Link(LinkTerms(wanted.socket_id, wanted.sequence, 0.1, 0.1, keys), lambda _: None, 0.0)
    (payload,) = link.receive(datagram, 0.0)
    assert len(payload) % 188 == 0
    assert set(payload[::188]) == {0x47}
    assert conclusion.secured(wanted, "another one") == hs.BAD_SECRET
    assert conclusion.secured(wanted, "") == hs.UNSECURE


def test_who_encrypts_nothing_is_let_in_where_nothing_is_to_be_encrypted() -> None:
    wanted = conclusion.judge(told("ffmpeg 5.1 publishes"))
    assert isinstance(wanted, Wanted)
    assert conclusion.secured(wanted, "") is None
    assert conclusion.secured(wanted, SECRET) == hs.UNSECURE
    assert conclusion.secured(wanted._replace(secret=b"\x12" * 40), SECRET) == hs.ROGUE


def test_an_answer_to_an_induction_is_no_longer_than_it() -> None:
    induction = told("ffmpeg 9 publishes", "induction")
    answer = conclusion.invited(induction, 0xC00C1E)
    assert len(answer) == len(write_handshake(induction))
    read = read_handshake(answer)
    assert read is not None
    assert (read.version, read.extension, read.cookie) == (5, hs.MAGIC, 0xC00C1E)


def without(said: SrtHandshake, kind: int) -> tuple[tuple[int, bytes], ...]:
    return tuple(block for block in said.blocks if block[0] != kind)


def test_what_cannot_be_has_the_number_of_why() -> None:
    said = told("ffmpeg 9 publishes")
    old, stream = SrtHello(0x010200, 0x3F, 120, 120), SrtHello(0x010501, 0x7F, 120, 120)
    others = without(said, hs.HS_REQUEST)
    wrong = {
        hs.VERSION: [
            replace(said, version=4),
            replace(said, blocks=((hs.HS_REQUEST, hs.write_hello(old)), *others)),
        ],
        hs.ROGUE: [replace(said, blocks=others), replace(said, window=1), replace(said, socket_id=0)],
        hs.MESSAGE_API: [replace(said, blocks=((hs.HS_REQUEST, hs.write_hello(stream)), *others))],
        hs.BAD_CONGESTION: [replace(said, blocks=(*said.blocks, (hs.CONGESTION, hs.write_text("file"))))],
        hs.BAD_FILTER: [replace(said, blocks=(*said.blocks, (hs.FILTER, hs.write_text("fec,cols:10"))))],
        conclusion.BAD_REQUEST: [
            replace(said, blocks=(*without(said, hs.STREAM_ID), (hs.STREAM_ID, b"\xff\xfe\xfd\xfc"))),
            replace(said, blocks=(*without(said, hs.STREAM_ID), (hs.STREAM_ID, bytes(516)))),
        ],
    }
    for code, cases in wrong.items():
        for case in cases:
            assert conclusion.judge(case) == code
            answer = read_handshake(conclusion.refused(case, code))
            assert answer is not None
            assert (answer.refusal, answer.blocks) == (code, ())
    for code in (*wrong, *conclusion.PUBLISH_CODES.values()):
        assert words_of(code).startswith("refused: ")


def test_refusals_have_the_numbers_of_http_behind_a_thousand() -> None:
    assert conclusion.PUBLISH_CODES[RefuseCode.DENIED] == 1401
    assert conclusion.PUBLISH_CODES[RefuseCode.BUSY] == 1409
    assert set(conclusion.PUBLISH_CODES) == set(RefuseCode)
    assert conclusion.code_of(Denial(404, "not found", "absent")) == 1404
    assert conclusion.code_of(Denial(403, "not allowed")) == 1403
    assert conclusion.code_of(Denial(503, "no room", "limit")) == 1402
    assert words_of(1404) == "refused: 404"


def test_a_cookie_is_good_for_its_address_and_a_minute_or_two() -> None:
    cookies, here, there = Cookies(b"secret"), ("192.0.2.1", 7), ("192.0.2.1", 8)
    cookie = cookies.give(here, 100.0)
    assert cookies.is_ours(cookie, here, 100.0 + PERIOD)
    assert not cookies.is_ours(cookie, here, 100.0 + 2 * PERIOD)
    assert not cookies.is_ours(cookie, there, 100.0)
    assert not Cookies(b"another").is_ours(cookie, here, 100.0)
    assert not cookies.is_ours(0, here, 100.0)


@pytest.mark.parametrize("junk", [b"", bytes(47), bytes(1457), bytes(44) + b"\xff" * 200])
def test_what_is_no_handshake_is_none(junk: bytes) -> None:
    assert read_handshake(junk) is None or not read_handshake(junk).blocks  # type: ignore[union-attr]
    said = told("ffmpeg 9 publishes")
    short = write_handshake(said)[:-4]
    assert read_handshake(short) is None
    many = replace(said, blocks=((99, b""),) * 13)
    assert read_handshake(write_handshake(many)) is None


def conversation(caller: SrtCaller, sent: list[bytes], passphrase: str, latency: int = 120) -> Wanted:
    """A listener's part, by hand: what the caller concludes with is answered."""
    control = packet.read_control(sent.pop())
    assert control is not None
    induction = read_handshake(control.body)
    assert induction is not None
    answer = packet.write_control(packet.HANDSHAKE, induction.socket_id, 0, body=conclusion.invited(induction, 9))
    caller.receive(answer, 1.0)
    control = packet.read_control(sent.pop())
    assert control is not None
    said = read_handshake(control.body)
    assert said is not None
    assert said.cookie == 9
    wanted = conclusion.judge(said)
    assert isinstance(wanted, Wanted)
    keys = conclusion.secured(wanted, passphrase)
    if isinstance(keys, int):
        body = conclusion.refused(said, keys)
    else:
        body = conclusion.accepted(said, wanted, 77, (latency, latency))
    caller.receive(packet.write_control(packet.HANDSHAKE, induction.socket_id, 0, body=body), 2.0)
    return wanted


@pytest.mark.parametrize("length", [16, 24, 32])
def test_a_caller_of_ours_gets_its_link(length: int) -> None:
    sent: list[bytes] = []
    caller = SrtCaller(CallTerms("publish:live/cam", 5, 1000, 120, SECRET, length), sent.append, 0.0)
    caller.tick(0.2)
    assert len(sent) == 1
    caller.tick(0.3)
    assert sent.pop() == sent[0][:8] + (300_000).to_bytes(4, "big") + sent[0][12:]
    assert conversation(caller, sent, SECRET, 400).stream_id == "publish:live/cam"
    assert caller.link is not None
    terms = caller.link.terms
    assert (terms.peer_id, terms.sequence, terms.receive_latency, terms.send_latency) == (77, 1000, 0.4, 0.4)


def test_a_caller_of_ours_is_told_why_not() -> None:
    sent: list[bytes] = []
    caller = SrtCaller(CallTerms("publish:live/cam", 5, 1000, 120, "another passphrase"), sent.append, 0.0)
    conversation(caller, sent, SECRET)
    assert caller.link is None
    assert words_of(caller.refusal) == "refused: incorrect passphrase"


def test_a_caller_never_goes_on_in_the_clear_because_its_listener_says_nothing_of_keys() -> None:
    sent: list[bytes] = []
    caller = SrtCaller(CallTerms("publish:live/cam", 5, 1000, 120, SECRET), sent.append, 0.0)
    control = packet.read_control(sent.pop())
    assert control is not None
    induction = read_handshake(control.body)
    assert induction is not None
    caller.receive(packet.write_control(0, 5, 0, body=conclusion.invited(induction, 9)), 1.0)
    control = packet.read_control(sent.pop())
    assert control is not None
    said = read_handshake(control.body)
    assert said is not None
    wanted = conclusion.judge(said)
    assert isinstance(wanted, Wanted)
    caller.receive(
        packet.write_control(0, 5, 0, body=conclusion.accepted(said, wanted._replace(secret=b""), 77, (120, 120))), 2.0
    )
    assert caller.link is None
    assert caller.refusal == hs.BAD_SECRET
