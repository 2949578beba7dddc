"""Shakes hands: the 1 + 1536 + 1536 bytes before the first chunk (RTMP 1.0 §5.2), simple and with digests.

The digest form is not in the specification; Flash Media Server introduced it, ffmpeg and nginx open with it and Flash
players refuse H.264 without it. Which form a peer speaks is found by trying, never by its version bytes, and its last
packet is never checked: too many cameras and proxies send a wrong one.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

from hlsd.base.errors import ProtocolError

VERSION = 3
PACKET = 1536
DIGEST = 32

_PLAYER_KEY = b"Genuine Adobe Flash Player 001"
_SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
_CRUD = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_SERVER_VERSION = bytes((4, 5, 0, 1))

_DIGEST_FIRST = 1
_KEY_FIRST = 0
_BASE = {_DIGEST_FIRST: 8, _KEY_FIRST: 772}


def digest_offset(packet: bytes, scheme: int) -> int:
    """Where the digest stands in C1 or S1: 4 bytes at the scheme's base add up to it (0 = key first, 1 = digest)."""
    base = _BASE[scheme]
    return sum(packet[base : base + 4]) % 728 + base + 4


def _digest(packet: bytes, offset: int, key: bytes) -> bytes:
    return hmac.digest(key, packet[:offset] + packet[offset + DIGEST :], "sha256")


def find_digest(packet: bytes, key: bytes = _PLAYER_KEY) -> tuple[int, bytes] | None:
    """The scheme and the digest of a C1 (or, with the server's key, an S1) that carries one; None for a simple one."""
    for scheme in (_DIGEST_FIRST, _KEY_FIRST):
        offset = digest_offset(packet, scheme)
        digest = packet[offset : offset + DIGEST]
        if hmac.compare_digest(digest, _digest(packet, offset, key)):
            return scheme, digest
    return None


def answer(c1: bytes, noise: Callable[[int], bytes]) -> bytes:
    """S0, S1 and S2 for a C1 of 1536 bytes, in the form that C1 has."""
    found = find_digest(c1) if c1[4:8] != b"\0\0\0\0" else None
    if found is None:
        return bytes((VERSION,)) + bytes(8) + noise(PACKET - 8) + c1
    scheme, digest = found
    s1 = bytes(4) + _SERVER_VERSION + noise(PACKET - 8)
    offset = digest_offset(s1, scheme)
    s1 = s1[:offset] + _digest(s1, offset, _SERVER_KEY) + s1[offset + DIGEST :]
    filling = noise(PACKET - DIGEST)
    key = hmac.digest(_SERVER_KEY + _CRUD, digest, "sha256")
    return bytes((VERSION,)) + s1 + filling + hmac.digest(key, filling, "sha256")


def _check_version(version: int, whose: str) -> None:
    if version == VERSION:
        return
    if version == 6:
        raise ProtocolError("RTMPE (version 6) is not supported: use RTMPS")
    if version == 0x16:
        raise ProtocolError("a TLS hello: RTMPS on the RTMP port")
    if 0x20 <= version < 0x7F:
        raise ProtocolError(f"not RTMP: {whose} begins with {chr(version)!r}, like HTTP")
    raise ProtocolError(f"not RTMP: {whose} begins with version {version}")


class ServerHandshake:
    """The server's side. `noise(n)` gives n random bytes."""

    def __init__(self, noise: Callable[[int], bytes] = os.urandom) -> None:
        self._noise = noise
        self._received = b""
        self._answered = False
        self.rest: bytes | None = None
        """None until the handshake is over; then what came behind C2, the first chunk bytes."""

    def receive(self, received: bytes) -> bytes:
        """Takes bytes in and returns what must be sent now; raises ProtocolError for a peer that speaks no RTMP."""
        self._received += received
        reply = b""
        if not self._answered:
            if self._received:
                _check_version(self._received[0], "the connection")
            if len(self._received) < 1 + PACKET:
                return b""
            # "The server MUST wait until C0 has been received before sending S0 and S1, and MAY wait until after C1"
            reply = answer(self._received[1 : 1 + PACKET], self._noise)
            self._answered = True
            self._received = self._received[1 + PACKET :]
        if len(self._received) >= PACKET:
            self.rest = self._received[PACKET:]
            self._received = b""
        return reply


class ClientHandshake:
    """The client's side, in the simple form, which every server takes. `noise(n)` gives n random bytes."""

    def __init__(self, noise: Callable[[int], bytes] = os.urandom) -> None:
        self._received = b""
        self._hello = bytes((VERSION,)) + bytes(8) + noise(PACKET - 8)
        self._answered = False
        self.rest: bytes | None = None
        """None until the handshake is over; then what came behind S2, the first chunk bytes."""

    def hello(self) -> bytes:
        """C0 and C1."""
        return self._hello

    def receive(self, received: bytes) -> bytes:
        """Takes bytes in and returns what must be sent now; raises ProtocolError for a peer that speaks no RTMP."""
        self._received += received
        if self._received:
            _check_version(self._received[0], "the server's answer")
        reply = b""
        if not self._answered and len(self._received) >= 1 + PACKET:
            # C2 echoes S1; the second field is the time at which S1 was read, which nobody looks at.
            reply = self._received[1 : 1 + PACKET]
            self._answered = True
        if len(self._received) >= 1 + 2 * PACKET:
            self.rest = self._received[1 + 2 * PACKET :]
            self._received = b""
        return reply
