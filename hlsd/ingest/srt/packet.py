"""Reads and writes the packets of SRT: one header of 16 bytes, data or control behind it (draft-sharabayko-srt-01 §3).

Sequence numbers have 31 bits and wrap; timestamps are microseconds in 32 bits and wrap each 71.6 minutes. Pure.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

HEADER: Final = 16
LARGEST: Final = 1456
"""Bytes behind the header: 1,500 of Ethernet less 28 of IP and UDP and ours."""
PAYLOAD: Final = 1316
"""Bytes of a transport stream in a packet: seven of its packets."""

SEQUENCE: Final = 0x7FFFFFFF
_HALF: Final = 0x40000000
_CONTROL: Final = 0x80000000
_RANGE: Final = 0x80000000

HANDSHAKE: Final = 0
KEEPALIVE: Final = 1
ACK: Final = 2
NAK: Final = 3
SHUTDOWN: Final = 5
ACKACK: Final = 6
DROP_REQUEST: Final = 7
EXTENDED: Final = 0x7FFF
"""User-defined: its subtype says what it is."""
KM_REQUEST: Final = 3
KM_ANSWER: Final = 4

SOLO: Final = 0xC0000000
"""Both bits of a message that is one packet (§3.1: "11b")."""
IN_ORDER: Final = 0x20000000
RESENT: Final = 0x04000000
KEY_SHIFT: Final = 27
MESSAGE: Final = 0x03FFFFFF

_words = struct.Struct(">IIII")
read_words: Final = _words.unpack_from
"""The four words of a header."""
write_words: Final = _words.pack


def distance(one: int, other: int) -> int:
    """How far sequence number `one` is ahead of `other`; negative where it is behind."""
    return ((one - other + _HALF) & SEQUENCE) - _HALF


class Control(NamedTuple):
    """A control packet; `info` is the word that its kind gives a meaning."""

    kind: int
    subtype: int
    info: int
    timestamp: int
    to: int
    body: bytes


def read_control(datagram: bytes) -> Control | None:
    """The control packet, or None if it is data or nothing of SRT."""
    if len(datagram) < HEADER:
        return None
    first, info, timestamp, to = read_words(datagram)
    if not first & _CONTROL:
        return None
    return Control(first >> 16 & 0x7FFF, first & 0xFFFF, info, timestamp, to, datagram[HEADER:])


def write_control(  # noqa: PLR0913, PLR0917 - the fields of a header
    kind: int, to: int, timestamp: int, info: int = 0, body: bytes = b"\0\0\0\0", subtype: int = 0
) -> bytes:
    """A control packet. libsrt puts four bytes behind those that have no body, and so do we."""
    return write_words(_CONTROL | kind << 16 | subtype, info, timestamp & 0xFFFFFFFF, to) + body


def read_losses(body: bytes) -> list[tuple[int, int]]:
    """First and last number of each stretch in a loss list (§3.2.5, Appendix A); what makes no sense is left out."""
    words = [int.from_bytes(body[at : at + 4], "big") for at in range(0, len(body) & ~3, 4)]
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(words):
        first = words[at] & SEQUENCE
        if words[at] & _RANGE:
            at += 1
            if at < len(words) and not words[at] & _RANGE and distance(words[at], first) >= 0:
                found.append((first, words[at]))
        else:
            found.append((first, first))
        at += 1
    return found


def write_losses(stretches: list[tuple[int, int]]) -> bytes:
    """A loss list of as many stretches as go into a packet."""
    words: list[int] = []
    for first, last in stretches:
        if 4 * (len(words) + 2) > LARGEST:
            break
        words += [first] if first == last else [first | _RANGE, last]
    return struct.pack(f">{len(words)}I", *words)
