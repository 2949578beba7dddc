"""An offer is taken whole or refused whole, with words that name what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hlsd.webrtc import sdp
from hlsd.webrtc.sdp import BadOffer, Unacceptable, read_fragment, read_offer
from hlsd.webrtc.sdp_answer import AnswerTerms, answer, fragment
from tests.support.webrtc_sender import offer

OFFERS = Path(__file__).parents[2] / "golden" / "offers"
TERMS = AnswerTerms(
    "ours",
    "p" * 32,
    "sha-256 AA",
    client=False,
    addresses=[("192.0.2.1", 8000)],
    max_bitrate=8_000_000,
    start_bitrate=2_500_000,
)


def told(body: bytes) -> list[str]:
    return answer(read_offer(body), TERMS, 1).split("\r\n")


def test_chromium_s_offer_of_everything_is_answered_with_h264_and_opus() -> None:
    lines = told((OFFERS / "chromium.sdp").read_bytes())
    assert [line for line in lines if line.startswith("m=")] == [
        "m=audio 8000 UDP/TLS/RTP/SAVPF 111",
        "m=video 8000 UDP/TLS/RTP/SAVPF 102 103",
    ]
    assert "a=group:BUNDLE 0 1" in lines
    assert "a=ice-lite" in lines
    assert "a=setup:passive" in lines
    assert lines.count("a=candidate:1 1 udp 2130706431 192.0.2.1 8000 typ host") == 2
    assert lines.count("a=end-of-candidates") == 2
    assert "a=rtcp-fb:102 nack pli" in lines
    assert "a=fmtp:103 apt=102" in lines
    assert "b=AS:8000" in lines
    (video,) = [line for line in lines if line.startswith("a=fmtp:102")]
    assert video == (
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f;x-google-start-bitrate=2500"
    )


def test_packetization_mode_1_is_preferred_whatever_its_place() -> None:
    body = offer(rtx=False).replace(b"m=video 9 UDP/TLS/RTP/SAVPF 102", b"m=video 9 UDP/TLS/RTP/SAVPF 98 102")
    body = body.replace(b"a=rtpmap:102", b"a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0\r\na=rtpmap:102")
    chosen = read_offer(body).picture
    assert chosen is not None
    assert chosen.payload.number == 102


def test_credentials_may_stand_before_all_sections() -> None:
    # as libdatachannel writes them, and OBS with it
    lines = offer().decode().split("\r\n")
    names = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
    common = [line for line in lines if line.startswith(names)]
    rest = [line for line in lines if line not in common]
    at = rest.index("t=0 0") + 1
    read = read_offer("\r\n".join(rest[:at] + common[:4] + rest[at:]).encode())
    assert (read.ufrag, read.password, read.setup) == ("abcd", "p" * 24, "actpass")
    assert read.fingerprints == (("sha-256", ":".join(["AB"] * 32)),)


def test_feedback_may_stand_for_all_formats_of_a_section_and_has_a_bound() -> None:
    every = b"a=rtcp-fb:* nack\r\na=rtcp-fb:* nack pli\r\n" + b"a=rtcp-fb:* x\r\n" * 100
    chosen = read_offer(offer(feedback=("goog-remb",)).replace(b"a=mid:0\r\n", b"a=mid:0\r\n" + every)).picture
    assert chosen is not None
    assert chosen.payload.feedback[:3] == ["goog-remb", "nack", "nack pli"]
    assert len(chosen.section.feedback) == 32  # and is not looked through for each of 128 formats


def test_h265_is_taken_where_there_is_no_h264() -> None:
    chosen = read_offer(offer(video="H265/90000", fmtp="level-id=93")).picture
    assert chosen is not None
    assert chosen.payload.name == "H265"


@pytest.mark.parametrize(("name", "number"), [("PCMU/8000", 0), ("PCMA/8000", 8)])
def test_g711_needs_no_rtpmap(name: str, number: int) -> None:
    body = offer(audio=name).replace(b"SAVPF 111", b"SAVPF %d" % number)
    body = body.replace(f"a=rtpmap:111 {name}\r\n".encode(), b"")
    chosen = read_offer(body).sound
    assert chosen is not None
    assert (chosen.payload.number, chosen.payload.name, chosen.payload.rate) == (number, name[:4], 8000)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (offer(video="VP8/90000"), "VP8"),
        (offer(audio="G722/8000"), "G722"),
        (offer(video="H264/0"), "H264"),  # a clock of other ticks than the format has is none that can be read
        (offer(audio="opus/8000/2"), "OPUS"),
        (offer().replace(b"a=group:BUNDLE 0 1", b"a=group:BUNDLE 0"), "BUNDLE"),
        (offer().replace(b"a=sendonly", b"a=recvonly"), "neither picture nor sound"),
        (offer().replace(b"a=rtcp-mux\r\n", b""), "rtcp-mux"),
        (offer().replace(b"a=group", b"a=ice-lite\r\na=group"), "ICE lite"),
        (offer() + offer()[offer().index(b"m=video") :].replace(b"a=mid:0", b"a=mid:2"), "more than one"),
    ],
    ids=["vp8", "g722", "h264-at-0", "opus-at-8000", "no-bundle", "recvonly", "no-mux", "lite", "two-videos"],
)
def test_what_is_not_taken_is_named(body: bytes, words: str) -> None:
    with pytest.raises(Unacceptable, match=words):
        read_offer(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"hello",
        b"v=0\r\n" + b"a=x\r\n" * sdp.LINES,
        b"v=0\r\n" + b"a" * sdp.LIMIT,
        offer().replace(b"a=fingerprint:sha-256", b"a=fingerprint:"),
        offer().replace(b"a=ice-pwd:" + b"p" * 24, b"a=ice-pwd:short"),
        offer().replace(b"a=setup:actpass", b"a=setup:holdconn"),
        offer().replace(b"a=rtpmap:102", b"a=rtpmap:9999"),
        offer() + b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 9,
    ],
)
def test_what_is_no_offer_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(BadOffer):
        read_offer(body)


def test_what_is_not_taken_of_an_offer_is_refused_by_its_section() -> None:
    body = offer() + b"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"
    lines = told(body)
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel" in lines
    assert "a=group:BUNDLE 0 1" in lines


def test_a_fragment_begins_ice_anew() -> None:
    assert read_fragment(b"a=ice-ufrag:efgh\r\na=ice-pwd:" + b"q" * 24 + b"\r\nm=audio 9 RTP/AVP 0\r\n") == (
        "efgh",
        "q" * 24,
    )
    lines = fragment(read_offer(offer()), TERMS).split("\r\n")
    assert "a=ice-lite" in lines
    assert "a=ice-ufrag:ours" in lines
    with pytest.raises(BadOffer):
        read_fragment(b"a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n")
