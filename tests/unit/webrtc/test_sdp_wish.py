"""A viewer's offer is answered with how the stream is sent to it, or refused with what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hlsd.webrtc.sdp import BadOffer, Unacceptable
from hlsd.webrtc.sdp_answer import AnswerTerms, Sources, answer
from hlsd.webrtc.sdp_wish import read_wish
from tests.support.webrtc_sender import offer

OFFERS = Path(__file__).parents[2] / "golden" / "offers"
TERMS = AnswerTerms("ours", "p" * 32, "sha-256 AA", client=False, addresses=[("192.0.2.1", 8000)], max_bitrate=1,
                    start_bitrate=1)  # fmt: skip


def wish(**more: Any) -> bytes:
    return offer(**more).replace(b"a=sendonly", b"a=recvonly")


def told(body: bytes, profile: int = 0x64, picture: Any = "h264", *, has_sound: bool = True) -> list[str]:
    read = read_wish(body, picture, profile, has_picture=True, has_sound=has_sound)
    return answer(read, TERMS, 1, Sources(11, 12, 13)).split("\r\n")


def test_picture_and_sound_are_sent_by_sources_that_are_told() -> None:
    lines = told(wish())
    assert lines.count("a=sendonly") == 2
    assert "a=recvonly" not in lines
    assert {"a=ssrc:11 cname:hlsd", "a=ssrc-group:FID 11 12", "a=ssrc:13 cname:hlsd"} <= set(lines)
    assert {"a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli", "a=rtcp-fb:102 goog-remb"} <= set(lines)
    assert not [line for line in lines if "transport-cc" in line or line.startswith(("a=extmap", "b="))]
    assert "a=fmtp:102 packetization-mode=1;profile-level-id=42e01f" in lines


def test_the_profile_of_the_stream_is_taken_where_the_offer_has_it() -> None:
    body = wish(rtx=False).replace(b"SAVPF 102", b"SAVPF 98 102 100")
    more = b"a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0;profile-level-id=640032\r\n"
    more += b"a=rtpmap:100 H264/90000\r\na=fmtp:100 packetization-mode=1;profile-level-id=64001f\r\n"
    body = body.replace(b"a=rtpmap:102", more + b"a=rtpmap:102")
    for profile, number in ((0x64, 100), (0x42, 102), (0x4D, 102)):
        lines = told(body, profile)
        assert [line for line in lines if line.startswith("m=video")] == [f"m=video 8000 UDP/TLS/RTP/SAVPF {number}"]


def test_without_rtx_or_sound_there_is_none_of_it() -> None:
    lines = told(wish(rtx=False), has_sound=False)
    assert "a=ssrc:11 cname:hlsd" in lines
    assert not [line for line in lines if "FID" in line or ":12 " in line or ":13 " in line]
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 111" in lines


def test_h265_is_sent_to_who_has_it() -> None:
    lines = told(wish(video="H265/90000", fmtp="profile-id=1"), picture="h265")
    assert "a=rtpmap:102 H265/90000" in lines


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (wish(video="VP8/90000"), "the stream's picture is H264 with packetization-mode=1, the offer has VP8"),
        (wish(fmtp="packetization-mode=0"), "H264 with packetization-mode=1"),
        (wish(audio="PCMU/8000"), "the stream's sound is sent as OPUS, the offer has PCMU"),
        (offer(), "receives nothing"),
        (wish().replace(b"a=group:BUNDLE 0 1", b"a=group:BUNDLE 0"), "one transport"),
        (wish().replace(b"a=rtcp-mux\r\n", b""), "rtcp-mux"),
    ],
)
def test_what_lacks_something_is_told_what(body: bytes, words: str) -> None:
    with pytest.raises(Unacceptable, match=words):
        told(body)


def test_a_stream_without_a_picture_is_no_reason_to_refuse() -> None:
    read = read_wish(wish(video="VP8/90000"), "h264", 0, has_picture=False, has_sound=True)
    assert (read.picture, read.sound is not None) == (None, True)


def test_what_is_no_offer_is_none() -> None:
    with pytest.raises(BadOffer):
        told(b"hello")
    for path in OFFERS.glob("*.sdp"):  # publishers', which want nothing
        with pytest.raises(Unacceptable):
            told(path.read_bytes())
