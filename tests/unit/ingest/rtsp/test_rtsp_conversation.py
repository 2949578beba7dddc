"""What a client says is understood or answered to it; who has to prove who he is does; nothing grows."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtsp import conversation as said
from hlsd.ingest.rtsp.address import RtspTarget, control_of, read_url
from hlsd.ingest.rtsp.announced import read_description
from hlsd.ingest.rtsp.conversation import RtspConversation
from hlsd.ingest.rtsp.message import HEAD_LIMIT, Interleaved, RtspReader, RtspRequest
from hlsd.ingest.rtsp.transports import Transport, read_transports
from hlsd.media.sounds import SoundFormat

URL = "rtsp://host:8554/live/cam"
SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z01ADeygoM/PCAAAAwAIAAADAeB4oUyw,aM48gA==
a=control:streamid=0
m=audio 0 RTP/AVP 8
a=control:streamid=1
"""


def conversation(users: list[tuple[str, str]] | None = None, *, basic: bool = True) -> RtspConversation:
    return RtspConversation("abc", "n0nce", lambda *_: users or [], lambda *_: (8000, 8001), basic=basic)


def ask(talk: RtspConversation, method: str, url: str = URL, body: str = "", **headers: str) -> list[said.Happening]:
    lines = [f"{method} {url} RTSP/1.0", "CSeq: 7", *[f"{key}: {value}" for key, value in headers.items()]]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    talk.feed(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    return list(talk.happenings())


def status(talk: RtspConversation) -> int:
    return int(talk.take_out().split(b" ", 2)[1])


def recording() -> RtspConversation:
    talk = conversation()
    ask(talk, "ANNOUNCE", body=SDP)
    talk.accept()
    ask(talk, "SETUP", URL + "/streamid=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")
    ask(talk, "SETUP", URL + "/streamid=1", Transport="RTP/AVP/TCP;unicast;interleaved=2-3;mode=record")
    assert ask(talk, "RECORD", Session="abc") == [said.RtspRecording()]
    assert talk.take_out().count(b"RTSP/1.0 200 OK") == 4
    return talk


def test_a_publisher_is_understood_however_its_bytes_come() -> None:
    talk = recording()
    octets = (
        b"$\x02\x00\x03abc" + b"$\x03\x00\x01d" + b"$\x09\x00\x01x" + b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\n\r\n"
    )
    found: list[said.Happening] = []
    for one in octets:
        talk.feed(bytes((one,)))
        found += talk.happenings()
    assert found == [said.RtspMedia(1, False, b"abc"), said.RtspMedia(1, True, b"d")]
    assert b"CSeq: 9" in talk.take_out()
    assert ask(talk, "TEARDOWN") == [said.Left()]


def test_what_comes_while_the_house_is_asked_waits_and_not_without_end() -> None:
    talk = conversation()
    (asked,) = ask(talk, "ANNOUNCE", URL + "?sign=a%2Db", body=SDP)
    assert isinstance(asked, said.Announced)
    assert asked.target == RtspTarget("live", "cam", {"sign": "a-b"})
    assert ask(talk, "OPTIONS") == []
    assert not talk.take_out()
    talk.accept()
    assert not list(talk.happenings())
    assert talk.take_out().count(b"200 OK") == 2
    talk = conversation()
    ask(talk, "DESCRIBE")
    for _ in range(said.WAITING):
        ask(talk, "OPTIONS")
    with pytest.raises(ProtocolError):
        ask(talk, "OPTIONS")


@pytest.mark.parametrize("basic", [True, False])
def test_a_password_is_asked_for_and_proven(basic: bool) -> None:
    talk = conversation([("cam", "pässword")], basic=basic)
    assert not ask(talk, "ANNOUNCE", body=SDP)
    answer = talk.take_out()
    assert b"401" in answer
    assert (b"Basic" in answer) is basic
    plain = "Basic " + base64.b64encode("cam:pässword".encode()).decode()
    assert bool(ask(talk, "ANNOUNCE", body=SDP, Authorization=plain)) is basic
    if not basic:
        first = hashlib.md5("cam:hlsd:pässword".encode()).hexdigest()
        second = hashlib.md5(f"ANNOUNCE:{URL}".encode()).hexdigest()
        proof = hashlib.md5(f"{first}:n0nce:{second}".encode()).hexdigest()
        shown = f'Digest username="cam", realm="hlsd", nonce="n0nce", uri="{URL}", response="{proof}"'
        assert not ask(talk, "ANNOUNCE", body=SDP, Authorization=shown.replace("n0nce", "other"))
        assert not ask(talk, "DESCRIBE", Authorization=shown)  # it was made for another method
        talk = conversation([("cam", "pässword")], basic=basic)
        assert ask(talk, "ANNOUNCE", body=SDP, Authorization=shown)


def test_who_guesses_is_hung_up_on() -> None:
    talk = conversation([("cam", "secret")])
    wrong = "Basic " + base64.b64encode(b"cam:guess").decode()
    for _ in range(said.WRONG):
        assert talk.state == "init"
        ask(talk, "DESCRIBE", Authorization=wrong)
    assert talk.state == "left"
    assert talk.wrong == said.WRONG


def test_a_user_of_the_operators_own_becomes_arguments() -> None:
    talk = conversation()
    shown = "Basic " + base64.b64encode(b"ann:pw").decode()
    (asked,) = ask(talk, "DESCRIBE", URL + "?sign=1", Authorization=shown)
    assert isinstance(asked, said.Described)
    assert asked.target.query == {"user": "ann", "pass": "pw", "sign": "1"}
    talk.refuse(403, "not allowed", ask=True)
    assert status(talk) == 403  # it has shown what it has
    ask(talk, "DESCRIBE")
    talk.refuse(403, "not allowed", ask=True)
    assert status(talk) == 401


@pytest.mark.parametrize(
    ("method", "url", "headers", "code"),
    [
        ("PLAY", URL, {}, 455),
        ("SETUP", URL, {"Transport": "RTP/AVP/TCP"}, 455),
        ("DESCRIBE", "rtsp://host/live", {}, 404),
        ("DESCRIBE", "rtsp://host/live/..", {}, 404),
        ("REDIRECT", URL, {}, 501),
        ("DESCRIBE", URL, {"Require": "feature\tx"}, 551),
    ],
)
def test_what_is_wrong_is_answered(method: str, url: str, headers: dict[str, str], code: int) -> None:
    talk = conversation()
    assert not ask(talk, method, url, **headers)
    assert status(talk) == code


def test_an_announcement_of_nothing_that_is_carried_is_refused_by_name() -> None:
    talk = conversation()
    assert not ask(talk, "ANNOUNCE", body=SDP.replace("H264", "VP8"))
    answer = talk.take_out()
    assert answer.startswith(b"RTSP/1.0 415 VP8")


def test_transports_and_addresses_are_read() -> None:
    offered = "RTP/AVP/UDP;multicast,RTP/SAVP;client_port=1-2,RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP"
    assert read_transports(offered) == [Transport(False, (5000, 5001)), Transport(True, None)]
    assert read_transports("RTP/AVP;client_port=0-1") == []
    assert control_of(URL + "?a=b/streamid=1", ["streamid=0", "streamid=1"]) == 1
    assert control_of(URL + "/streamid=11", ["streamid=0", "streamid=1"]) == -1
    assert read_url("rtsp://u:p@host/live/cam/?a=1&a=2") == RtspTarget("live", "cam", {"a": "1"})


def test_sound_is_read_from_a_description() -> None:
    def form(codec: str, facts: str = "") -> SoundFormat | None:
        text = f"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 {codec}\r\na=fmtp:97 {facts}\r\n"
        return read_description(text.encode())[0].form

    aac = SoundFormat("aac", bytes.fromhex("1190"), 48_000, 2)
    assert form("MPEG4-GENERIC/48000/2", "mode=AAC-hbr;config=1190") == aac
    assert form("MPEG4-GENERIC/48000/2", "mode=AAC-hbr") is None  # of which nothing can be made
    assert form("opus/48000/2") == SoundFormat("opus", b"", 48_000, 2)
    assert form("PCMU/16000") == SoundFormat("pcm_mulaw", b"", 16_000, 1)
    latm = form("MP4A-LATM/48000", "cpresent=0;config=40002320adca00")  # GStreamer's
    assert latm is not None
    assert latm.config[:2] == bytes.fromhex("1190")


@pytest.mark.parametrize(
    "octets",
    [
        b"x" * HEAD_LIMIT + b"x",
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nno header\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * 65 + b"\r\n",
    ],
)
def test_what_is_no_rtsp_ends_the_conversation(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        RtspReader().feed(octets)


def test_the_reader_takes_whatever_comes() -> None:
    draw = random.Random(11)
    seeds = [b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"$\x01\x00\x04abcd", SDP.encode(), b"RTSP/1.0 200 OK\r\n\r\n"]
    for _ in range(2000):
        octets = bytearray(b"".join(draw.choices(seeds, k=3)))
        for _ in range(draw.randrange(4)):
            octets[draw.randrange(len(octets))] = draw.randrange(256)
        reader = RtspReader()
        try:
            for one in reader.feed(bytes(octets)):
                assert isinstance(one, RtspRequest | Interleaved)
        except ProtocolError:
            continue
        assert reader.held <= len(octets)
        read_description(bytes(octets))
