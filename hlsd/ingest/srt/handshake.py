"""Reads and writes handshakes of SRT, version 5, with their extensions (draft-sharabayko-srt-01 §3.2.1, §4.3).

A caller asks for a cookie (induction), comes back with it and says all that it wants (conclusion); the listener answers
with what holds, or with a number that says why not. Pure.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from hlsd.ingest.srt.packet import LARGEST, SEQUENCE

INDUCTION: Final = 1
CONCLUSION: Final = 0xFFFFFFFF
MAGIC: Final = 0x4A17
"""In the answer to an induction, in the place of the extension flags: "this is SRT, version 5"."""
_FIELDS: Final = struct.Struct(">IHHIIIIII16s")
SIZE: Final = _FIELDS.size
MTU: Final = 1500
WINDOW: Final = 8192
"""Packets that we take without an acknowledgement of ours."""

HS_REQUEST: Final = 1
HS_ANSWER: Final = 2
KM_REQUEST: Final = 3
KM_ANSWER: Final = 4
STREAM_ID: Final = 5
CONGESTION: Final = 6
FILTER: Final = 7
GROUP: Final = 8
_HS_FLAG: Final = 1
_KM_FLAG: Final = 2
_CONFIG_FLAG: Final = 4
MOST_BLOCKS: Final = 12
LONGEST_ID: Final = 512
"""Bytes of a stream id (§3.2.1.3)."""

OUR_VERSION: Final = 0x00010501
OLDEST: Final = 0x00010300
"""The first version of libsrt with handshake 5."""
FLAGS: Final = 0x3F
"""Both sides keep the play time on the wire, encryption, too late drops, periodic NAKs, the retransmission flag."""
STREAM_FLAG: Final = 0x40
"""Buffer mode: not for live media."""

REFUSED: Final = 1000
"""What is above it, in the place of the handshake's kind, says why somebody is not let in."""
RESOURCE: Final = 3
ROGUE: Final = 4
VERSION: Final = 8
BAD_SECRET: Final = 10
UNSECURE: Final = 11
MESSAGE_API: Final = 12
BAD_CONGESTION: Final = 13
BAD_FILTER: Final = 14
PREDEFINED: Final = 1000
"""Codes of applications follow those of HTTP behind it: 1403 is "forbidden"."""
MOST_CODE: Final = 0x7FFFFFFF - REFUSED


class SrtHello(NamedTuple):
    """HSREQ or HSRSP (§3.2.1.1). `receive` and `send`: the latency that its sender wants in each direction, ms."""

    version: int
    flags: int
    receive: int
    send: int


@dataclass(frozen=True, slots=True)
class SrtHandshake:
    """One handshake. `blocks`: the extensions, by type and bytes."""

    version: int
    encryption: int
    """Length of the key in units of 8 bytes, 0 for none."""
    extension: int
    sequence: int
    """The first packet's number."""
    mtu: int
    window: int
    kind: int
    socket_id: int
    cookie: int
    peer: bytes = bytes(16)
    blocks: tuple[tuple[int, bytes], ...] = ()

    @property
    def refusal(self) -> int:
        """Why we are not let in; 0 if this is no refusal."""
        return self.kind - REFUSED if REFUSED <= self.kind <= SEQUENCE else 0

    def block(self, kind: int) -> bytes | None:
        """The extension of that type."""
        return next((body for each, body in self.blocks if each == kind), None)


def read_handshake(body: bytes) -> SrtHandshake | None:
    """The handshake, or None if it is none."""
    if not SIZE <= len(body) <= LARGEST:
        return None
    version, encryption, extension, sequence, mtu, window, kind, socket_id, cookie, peer = _FIELDS.unpack_from(body)
    blocks: list[tuple[int, bytes]] = []
    at = SIZE
    # The flags of an induction's answer are a magic number: only a conclusion has extensions.
    while kind == CONCLUSION and at + 4 <= len(body):
        name, words = struct.unpack_from(">HH", body, at)
        at += 4
        if len(blocks) >= MOST_BLOCKS or at + 4 * words > len(body):
            return None
        blocks.append((name, body[at : at + 4 * words]))
        at += 4 * words
    return SrtHandshake(
        version, encryption, extension, sequence & SEQUENCE, mtu, window, kind, socket_id, cookie, peer, tuple(blocks)
    )


def write_handshake(handshake: SrtHandshake) -> bytes:
    """Its bytes."""
    one = handshake
    fields = (one.version, one.encryption, one.extension, one.sequence, one.mtu, one.window, one.kind, one.socket_id)
    pieces = [_FIELDS.pack(*fields, one.cookie, one.peer)]
    for kind, body in one.blocks:
        filled = body + bytes(-len(body) % 4)
        pieces += [struct.pack(">HH", kind, len(filled) // 4), filled]
    return b"".join(pieces)


def extension_flags(blocks: tuple[tuple[int, bytes], ...]) -> int:
    """What the extension field says of the blocks behind it."""
    flags = 0
    for kind, _ in blocks:
        hello, keys = kind in {HS_REQUEST, HS_ANSWER}, kind in {KM_REQUEST, KM_ANSWER}
        flags |= _HS_FLAG if hello else _KM_FLAG if keys else _CONFIG_FLAG
    return flags


def read_hello(body: bytes | None) -> SrtHello | None:
    """What HSREQ or HSRSP says."""
    if body is None or len(body) < 12:
        return None
    return SrtHello(*struct.unpack_from(">IIHH", body))


def write_hello(hello: SrtHello) -> bytes:
    """Its bytes."""
    return struct.pack(">IIHH", *hello)


def read_text(body: bytes | None) -> str | None:
    """A stream id, or the name of a congestion control; None if it is no text. Words are little-endian (§3.2.1.3)."""
    if body is None or len(body) > LONGEST_ID:
        return None
    octets = b"".join(body[at : at + 4][::-1] for at in range(0, len(body), 4))
    try:
        return octets.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None


def write_text(text: str) -> bytes:
    """The bytes of a stream id."""
    octets = text.encode()
    octets += bytes(-len(octets) % 4)
    return b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))


def peer_field(host: str) -> bytes:
    """An address as handshakes have it: each word little-endian, as libsrt writes it."""
    try:
        packed = ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return bytes(16)
    packed += bytes(16 - len(packed))
    return b"".join(packed[at : at + 4][::-1] for at in range(0, 16, 4))
