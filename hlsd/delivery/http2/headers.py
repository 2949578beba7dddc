"""Says what a request of HTTP/2 may be (RFC 9113 §8), and writes the header blocks of answers (HPACK, RFC 7541).

Reading blocks is `hpack_reader`'s, which needs the package `hpack` (`hlsd[h2]`). Writing uses no table of changing
entries, so a header line has one coded form for every connection and is coded once.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

from hlsd.delivery.http2.coded_path import PATH
from hlsd.delivery.http2.hpack_reader import AVAILABLE, TooMuchHeader, UnreadableHeader
from hlsd.delivery.http2.stream import Headers
from hlsd.net.host import is_host, same_host

__all__ = ["AVAILABLE", "MalformedRequest", "Said", "TooMuchHeader", "UnreadableHeader", "check", "encode"]

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$")
_METHOD: Final = re.compile(rb"[A-Z]{1,20}")
_DIGITS: Final = re.compile(rb"[0-9]{1,15}")
_FORBIDDEN: Final = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))

# RFC 7541 appendix A: the names worth naming by number
_NAMES: Final = {
    b"accept-ranges": 18,
    b"access-control-allow-origin": 20,
    b"age": 21,
    b"allow": 22,
    b"cache-control": 24,
    b"content-encoding": 26,
    b"content-length": 28,
    b"content-range": 30,
    b"content-type": 31,
    b"date": 33,
    b"etag": 34,
    b"location": 46,
    b"retry-after": 53,
    b"set-cookie": 55,
    b"vary": 59,
    b"www-authenticate": 61,
}
_STATUS: Final = {200: 0x88, 204: 0x89, 206: 0x8A, 304: 0x8B, 400: 0x8C, 404: 0x8D, 500: 0x8E}


class MalformedRequest(Exception):
    """A request that breaks the rules of §8: its stream ends."""


class Said(NamedTuple):
    """What a request says, checked."""

    method: str
    path: bytes
    authority: bytes
    headers: Headers
    """Its lines, `host` among them, without pseudo-header fields."""
    expected: int
    """Content-length; -1: not said."""


def check(headers: Headers) -> Said:  # noqa: C901 - one rule after the other
    """The request that stands in a header block's lines.

    Raises:
        MalformedRequest: pseudo-header fields missing, double or late; a name or value that cannot be; no host, or two
            that differ (§8.3.1).
    """
    pseudo: dict[bytes, bytes] = {}
    lines: Headers = []
    hosts: list[bytes] = []
    expected = -1
    for name, value in headers:
        if _BAD_VALUE.search(value):
            raise MalformedRequest
        if name[:1] == b":":
            if lines or name in pseudo:
                raise MalformedRequest
            pseudo[name] = value
            continue
        if not _NAME.fullmatch(name) or name in _FORBIDDEN or (name == b"te" and value != b"trailers"):
            raise MalformedRequest
        if name == b"content-length":
            if expected >= 0 or not _DIGITS.fullmatch(value):
                raise MalformedRequest
            expected = int(value)
        elif name == b"host":
            hosts.append(value)
        lines.append((name, value))
    if pseudo.keys() - _PSEUDO or not pseudo.keys() >= _NEEDED:
        raise MalformedRequest
    method, path = pseudo[b":method"], pseudo[b":path"]
    if not _METHOD.fullmatch(method) or not PATH.fullmatch(path) or (path == b"*" and method != b"OPTIONS"):
        raise MalformedRequest
    authority = _authority(pseudo.get(b":authority"), hosts)
    return Said(method.decode(), path, authority, lines if hosts else [(b"host", authority), *lines], expected)


def _authority(named: bytes | None, hosts: list[bytes]) -> bytes:
    """Whom the request is for: "MUST contain either an ":authority" … or a "Host" … MUST NOT be empty" (§8.3.1)."""
    found = named if named is not None or not hosts else hosts[0]
    if not found or not is_host(found) or len(hosts) > 1:
        raise MalformedRequest
    # "SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that differs"
    if hosts and hosts[0] != found and not same_host(hosts[0], found):
        raise MalformedRequest
    return found


_PSEUDO: Final = frozenset((b":method", b":path", b":scheme", b":authority"))
_NEEDED: Final = frozenset((b":method", b":path", b":scheme"))


def encode(status: int, headers: Headers) -> bytes:
    """The header block of an answer."""
    return b"".join([_status(status), *[_line(name, value) for name, value in headers]])


@functools.cache
def _status(status: int) -> bytes:
    short = _STATUS.get(status)
    return bytes([short]) if short is not None else _literal(8) + _string(b"%03d" % status)


@functools.lru_cache(4096)
def _line(name: bytes, value: bytes) -> bytes:
    """A literal that enters no table (§6.2.2)."""
    number = _NAMES.get(name)
    return (_literal(number) if number is not None else b"\x00" + _string(name)) + _string(value)


def _literal(number: int) -> bytes:
    return _integer(number, 4, 0)


def _string(octets: bytes) -> bytes:
    return _integer(len(octets), 7, 0) + octets


def _integer(value: int, bits: int, first: int) -> bytes:
    """§5.1."""
    full = (1 << bits) - 1
    if value < full:
        return bytes([first | value])
    out = [first | full]
    value -= full
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
