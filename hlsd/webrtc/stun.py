"""Reads and answers STUN binding requests (RFC 8489) as ICE uses them (RFC 8445 §7.3), and makes some. Pure.

Law: nothing is answered that does not prove, by its MESSAGE-INTEGRITY, that it knows the password of a session, and no
answer is longer than its request can be: nobody can have us send to an address that did not ask.
"""

from __future__ import annotations

import hmac
import ipaddress
import struct
import zlib
from typing import Final, NamedTuple

COOKIE: Final = 0x2112A442
REQUEST: Final = 0x0001
SUCCESS: Final = 0x0101
USERNAME: Final = 0x0006
INTEGRITY: Final = 0x0008
MAPPED: Final = 0x0020
PRIORITY: Final = 0x0024
USE_CANDIDATE: Final = 0x0025
CONTROLLED: Final = 0x8029
CONTROLLING: Final = 0x802A
FINGERPRINT: Final = 0x8028

LIMIT: Final = 1500
"""Bytes of a message that is read: one datagram of an Ethernet."""
ATTRIBUTES: Final = 32
"""Attributes of one message."""
_FINGERPRINT_MASK: Final = 0x5354554E
_PRIORITY: Final = (110 << 24 | 65_535 << 8 | 255).to_bytes(4, "big")
"""Of a peer reflexive candidate (RFC 8445 §7.1.1)."""
_HEADER: Final = struct.Struct(">HHI12s")
_ATTRIBUTE: Final = struct.Struct(">HH")


class Binding(NamedTuple):
    """A binding request; `covered` is what its integrity is of, with the length field as the sender had it."""

    transaction: bytes
    local: str
    """The fragment of the user name that is ours."""
    remote: str
    use_candidate: bool
    covered: bytes
    mac: bytes


def is_stun(datagram: bytes) -> bool:
    """Whether it looks like STUN among DTLS and RTP on the same port (RFC 7983 §7)."""
    return len(datagram) >= 20 and datagram[0] < 4 and datagram[4:8] == b"\x21\x12\xa4\x42"


def read_request(datagram: bytes) -> Binding | None:  # noqa: C901 - one line for each thing that may be wrong
    """The request, or None for anything that is none, or says nothing of whose it is; its integrity is not checked."""
    if not 20 <= len(datagram) <= LIMIT:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(datagram)
    if kind != REQUEST or cookie != COOKIE or length + 20 != len(datagram) or length % 4:
        return None
    user, nominated, at = b"", False, 20
    for _ in range(ATTRIBUTES):
        if at + 4 > len(datagram):
            return None
        attribute, size = _ATTRIBUTE.unpack_from(datagram, at)
        value = datagram[at + 4 : at + 4 + size]
        if len(value) != size:
            return None
        if attribute == USERNAME:
            user = value
        elif attribute == USE_CANDIDATE:
            nominated = True
        elif attribute == INTEGRITY:
            # "the attributes that appear after the MESSAGE-INTEGRITY attribute are ignored" (RFC 8489 §14.5), but for
            # FINGERPRINT, which says nothing that the integrity does not.
            if size != 20:
                return None
            local, colon, remote = user.decode("latin-1").partition(":")
            if not colon or not local or len(user) > 513:
                return None
            covered = datagram[:2] + (at + 24 - 20).to_bytes(2, "big") + datagram[4:at]
            return Binding(transaction, local, remote, nominated, covered, value)
        at += 4 + size + -size % 4
    return None


def proves(binding: Binding, password: bytes) -> bool:
    """Whether its sender knows the password."""
    return hmac.compare_digest(hmac.digest(password, binding.covered, "sha1"), binding.mac)


def success(binding: Binding, address: tuple[str, int], password: bytes) -> bytes:
    """The answer to a request from `address`, which it names (RFC 8489 §14.2)."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    mask = COOKIE.to_bytes(4, "big") + binding.transaction
    mapped = bytes(one ^ other for one, other in zip(ip.packed, mask, strict=False))
    value = struct.pack(">BBH", 0, 1 if ip.version == 4 else 2, address[1] ^ COOKIE >> 16) + mapped
    return sealed(SUCCESS, binding.transaction, ((MAPPED, value),), password)


def question(transaction: bytes, user: str, password: bytes) -> bytes:
    """A binding request of ours, who are lite and so controlled: does the peer hear us there (RFC 7675 §5.1)?"""
    attributes = ((USERNAME, user.encode()), (PRIORITY, _PRIORITY), (CONTROLLED, transaction[:8]))
    return sealed(REQUEST, transaction, attributes, password)


def is_success(datagram: bytes) -> bool:
    """Whether what `is_stun` is answers a binding request."""
    return datagram[0] << 8 | datagram[1] == SUCCESS


def read_success(datagram: bytes) -> bytes:
    """The transaction that it answers; empty if it does not. Who knows it has heard the question."""
    return datagram[8:20] if len(datagram) <= LIMIT and is_success(datagram) else b""


def sealed(kind: int, transaction: bytes, attributes: tuple[tuple[int, bytes], ...], password: bytes) -> bytes:
    """A message with its integrity and fingerprint."""
    body = b"".join(
        _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) % 4) for attribute, value in attributes
    )
    head = _HEADER.pack(kind, len(body) + 24, COOKIE, transaction)
    body += _ATTRIBUTE.pack(INTEGRITY, 20) + hmac.digest(password, head + body, "sha1")
    head = _HEADER.pack(kind, len(body) + 8, COOKIE, transaction)
    crc = zlib.crc32(head + body) ^ _FINGERPRINT_MASK
    return head + body + _ATTRIBUTE.pack(FINGERPRINT, 4) + crc.to_bytes(4, "big")
