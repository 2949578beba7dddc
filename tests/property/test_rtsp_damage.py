"""Whatever comes by RTSP is answered, refused or left alone: what asks, what describes, and what carries media."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtsp.announced import read_description
from hlsd.ingest.rtsp.conversation import Announced, Described, RtspConversation
from hlsd.ingest.rtsp.message import HEAD_LIMIT
from hlsd.ingest.rtsp.reception import PublisherReception
from hlsd.webrtc import rtcp
from tests.support.gears import RTSP_FUZZ
from tests.support.seeds import rng

URL = "rtsp://host:8554/live/cam"
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {picture}/90000\r\n"
    "a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z01ADeygoM/PCAAAAwAIAAADAeB4oUyw,aM48gA==\r\n"
    "a=control:streamid=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 {sound}\r\n"
    "a=fmtp:97 mode=AAC-hbr;config=1190;sizelength=13;indexlength=3;indexdeltalength=3\r\na=control:streamid=1\r\n"
)
SOUNDS = ("MPEG4-GENERIC/48000/2", "MP4A-LATM/48000/2", "opus/48000/2", "PCMA/8000", "L16/44100/2", "G726-32/8000")


def described(draw: random.Random) -> bytes:
    """What a publisher announces."""
    return SDP.format(picture=draw.choice(("H264", "H265")), sound=draw.choice(SOUNDS)).encode()


def request(method: str, url: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {url} RTSP/1.0", "CSeq: 7", *[f"{key}: {value}" for key, value in headers.items()]]
    if body:
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def spoken(draw: random.Random) -> bytes:
    """A whole conversation of a publisher or a viewer, with media in it."""
    media = [b"$" + bytes((channel,)) + len(one).to_bytes(2, "big") + one for channel in (0, 1, 2, 9)
             for one in (draw.randbytes(draw.randrange(60)),)]  # fmt: skip
    setups = [
        request(
            "SETUP", f"{URL}/streamid={track}", Transport=f"RTP/AVP/TCP;unicast;interleaved={2 * track}-{2 * track + 1}"
        )
        for track in (0, 1)
    ]
    if draw.random() < 0.5:
        return b"".join(
            [request("ANNOUNCE", URL, described(draw)), *setups, request("RECORD", URL, Session="abc"), *media]
        )
    first = [request("OPTIONS", "*"), request("DESCRIBE", URL, Authorization='Digest username="a", nonce="n0nce"')]
    last = [request("PLAY", URL, Session="abc", Range="npt=0-"), *media, request("TEARDOWN", URL)]
    return b"".join([*first, *setups, *last])


def damaged(octets: bytes, draw: random.Random) -> bytes:
    """Some bytes are other ones, or more, or fewer."""
    changed = bytearray(octets)
    for _ in range(draw.randrange(6)):
        at = draw.randrange(len(changed) + 1)
        changed[at : at + draw.randrange(4)] = draw.choice(
            (draw.randbytes(draw.randrange(5)), b"\r\n", b"$\x00", b": ", b"9" * 20)
        )
    return bytes(changed)


def talk(octets: bytes, draw: random.Random) -> None:
    """Says it in pieces, as the house that lets some in."""
    users = [("a", "b")] if draw.random() < 0.3 else []
    speaker = RtspConversation("abc", "n0nce", lambda *_: users, lambda *_: (8000, 8001), basic=True)
    at, size = 0, draw.choice((1, 40, 2000))
    while at < len(octets) and speaker.state != "left":
        speaker.feed(octets[at : at + size])
        at += size
        for happening in speaker.happenings():
            if isinstance(happening, Announced):
                speaker.accept() if draw.random() < 0.8 else speaker.refuse(403, "no")
            elif isinstance(happening, Described):
                speaker.accept_play(b"v=0\r\n", ["streamid=0", "streamid=1"])
        assert speaker.held <= 2 * HEAD_LIMIT + (1 << 17)
        assert len(speaker.take_out()) < 1 << 16


def packets(draw: random.Random) -> list[bytes]:
    """RTP that may be of that description: single units, aggregates, fragments, sound."""
    made = []
    for number in range(12):
        kind, head = draw.choice(
            ((96, b"\x65"), (96, b"\x7c\x85"), (96, b"\x78\0\x02"), (96, b"\x62\x01"), (97, b"\0\x10\0\x20"))
        )
        last = 0x80 if draw.random() < 0.5 else 0
        header = (
            bytes((0x80, kind | last)) + number.to_bytes(2, "big") + (3000 * number).to_bytes(4, "big") + b"\0\0\0\1"
        )
        made.append(header + head + draw.randbytes(draw.randrange(80)))
    return made


def receive(draw: random.Random) -> None:
    """Takes packets, of which some are damaged, lost or exchanged."""
    reception = PublisherReception(read_description(described(draw)))
    for track in (0, 1):
        reception.open(track, lossy=draw.random() < 0.5)
    now = 0.0
    for octets in packets(draw):
        now += draw.choice((0.0, 0.03, 6.0))
        one = damaged(octets, draw) if draw.random() < 0.5 else octets
        if draw.random() < 0.9:
            reception.rtp(octets[1] & 0x7F == 97, one, now)
        if draw.random() < 0.2:
            reception.rtcp(draw.randrange(2), damaged(rtcp.sender_report(1, 1e9, 3000, 1, 1), draw), now)
        assert all(len(one) < 200 for _, one in reception.reports(now, 1))
        assert reception.held < 1 << 20


def test_any_conversation_is_answered_or_refused() -> None:
    draw = rng("rtsp conversation")
    _often(lambda: talk(damaged(spoken(draw), draw), draw), RTSP_FUZZ.drawn() // 2)


def test_any_description_is_read_or_refused() -> None:
    draw = rng("rtsp description")
    _often(lambda: read_description(damaged(described(draw), draw)), RTSP_FUZZ.drawn() // 4)


def test_any_packets_are_received_within_bounds() -> None:
    """Never raises: what is wrong with a packet is its own."""
    draw = rng("rtsp packets")
    for _ in range(RTSP_FUZZ.drawn() // 48):
        receive(draw)


def _often(work: Callable[[], object], times: int) -> None:
    """A refusal is an answer; any other error is none."""
    for _ in range(times):
        with suppress(ProtocolError):
            work()
