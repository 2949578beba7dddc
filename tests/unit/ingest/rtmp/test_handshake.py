"""Hands are shaken with every kind of peer, and with nobody who speaks something else."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from hlsd.base.errors import ProtocolError
from hlsd.ingest.rtmp.handshake import ClientHandshake, ServerHandshake, answer, digest_offset, find_digest

VECTORS = json.loads((Path(__file__).parents[3] / "golden" / "rtmp_handshake.json").read_text())
SERVER_KEY = b"Genuine Adobe Flash Media Server 001"


def _noise(size: int) -> bytes:
    """Bytes that look like noise and are always the same."""
    return (b"".join(hashlib.sha256(bytes((n,))).digest() for n in range(48)))[:size]


def _c1(scheme: int | None, version: str = "09007c02") -> bytes:
    packet = bytes(4) + bytes.fromhex(version) + _noise(1528)
    if scheme is None:
        return packet
    offset = digest_offset(packet, scheme)
    digest = hmac.digest(b"Genuine Adobe Flash Player 001", packet[:offset] + packet[offset + 32 :], "sha256")
    return packet[:offset] + digest + packet[offset + 32 :]


def test_simple_hello_is_echoed() -> None:
    """Both librtmp and GStreamer compare S2 with their C1."""
    c1 = _c1(None, "00000000")
    reply = answer(c1, _noise)
    assert len(reply) == 3073
    assert reply[0] == 3
    assert reply[1:9] == bytes(8)
    assert reply[1537:] == c1


@pytest.mark.parametrize("version", ["09007c02", "0c000d0e", "80000702"])
def test_version_without_digest_is_answered_simply(version: str) -> None:
    """The version bytes promise nothing: only a digest that is right does."""
    c1 = _c1(None, version)
    assert answer(c1, _noise)[1537:] == c1


@pytest.mark.parametrize("scheme", [0, 1])
def test_digest_hello_is_answered_with_digests_of_the_same_scheme(scheme: int) -> None:
    """Flash players refuse H.264 without it."""
    c1 = _c1(scheme)
    found = find_digest(c1)
    assert found is not None
    assert found[0] == scheme
    reply = answer(c1, _noise)
    s1, s2 = reply[1:1537], reply[1537:]
    assert find_digest(s1, SERVER_KEY) is not None
    assert digest_offset(s1, scheme) == s1.index(hmac.digest(SERVER_KEY, _without(s1, scheme), "sha256"))
    crud = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
    key = hmac.digest(SERVER_KEY + crud, found[1], "sha256")
    assert s2[1504:] == hmac.digest(key, s2[:1504], "sha256")


def _without(packet: bytes, scheme: int) -> bytes:
    offset = digest_offset(packet, scheme)
    return packet[:offset] + packet[offset + 32 :]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_golden_answers_stay(name: str) -> None:
    """The answer to a fixed hello with fixed noise, as SHA-256 and its first and last bytes."""
    vector = VECTORS[name]
    reply = answer(_c1(vector["scheme"], vector["version"]), _noise)
    assert hashlib.sha256(_c1(vector["scheme"], vector["version"])).hexdigest() == vector["c1_sha256"]
    assert (reply[:16].hex(), reply[-32:].hex()) == (vector["s0s1_begin"], vector["s2_end"])
    assert hashlib.sha256(reply).hexdigest() == vector["reply_sha256"]


@pytest.mark.parametrize("size", [1, 7, 1448, 1536, 1537, 3073, 9999])
def test_rest_behind_c2_is_kept(size: int) -> None:
    """The connect command often comes in the segment of C2."""
    wire = b"\x03" + _c1(1) + _noise(1536) + b"the first chunk"
    handshake = ServerHandshake(_noise)
    sent, rest = b"", b""
    for at in range(0, len(wire), size):
        piece = wire[at : at + size]
        if handshake.rest is not None:
            rest += piece
            continue
        sent += handshake.receive(piece)
        rest = handshake.rest or b""
    assert rest == b"the first chunk"
    assert sent == b"\x03" + sent[1:]
    assert len(sent) == 3073


def test_answer_comes_before_c2() -> None:
    """Clients wait for S0, S1 and S2 before they send C2."""
    handshake = ServerHandshake(_noise)
    assert handshake.receive(b"\x03" + _c1(None)[:1535]) == b""
    assert len(handshake.receive(_c1(None)[1535:])) == 3073
    assert handshake.rest is None


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"\x06", "RTMPE"),
        (b"\x16\x03", "RTMPS on the RTMP port"),
        (b"GET / HTTP/1.1", "like HTTP"),
        (b"\x00", "version 0"),
        (b"\xff", "255"),
    ],
)
def test_stranger_is_told_apart_by_the_first_byte(first: bytes, words: str) -> None:
    """The log must say what an operator did wrong, not "bad handshake"."""
    with pytest.raises(ProtocolError, match=words):
        ServerHandshake().receive(first)


@pytest.mark.parametrize("size", [1, 1448, 5000])
def test_both_sides_shake_hands(size: int) -> None:
    server, client = ServerHandshake(), ClientHandshake()
    hello = client.hello()
    answered = b"".join(server.receive(hello[at : at + size]) for at in range(0, len(hello), size)) + b"rest"
    c2 = b""
    for at in range(0, len(answered), size):
        if client.rest is None:
            c2 += client.receive(answered[at : at + size])
    assert client.rest is not None
    assert c2 == answered[1:1537]
    server.receive(c2)
    assert server.rest == b""
