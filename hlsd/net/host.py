"""Says what may stand in the Host header of a request, and whether a request of HTTP/1.1 names its host as it must.

"A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header
field and to any request message that contains more than one Host header field line or a Host header field with an
invalid field value" (RFC 9112 §3.2). Whoever stands in front of us may route, cache and let in by it: two readers of
one request must not see two hosts.
"""

from __future__ import annotations

import re
from typing import Final

MAX_HOST: Final = 300
"""Octets; names in the DNS have at most 253."""
# RFC 3986 §3.2.2, a name or an address, and the port (§3.2.3); no user before an @
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z:.%_~-]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

Headers = list[tuple[bytes, bytes]]


def is_host(value: bytes) -> bool:
    """Whether `value` is a host and perhaps a port; the empty one is (RFC 9110 §7.2)."""
    return len(value) <= MAX_HOST and _HOST.fullmatch(value) is not None


def same_host(one: bytes, other: bytes) -> bool:
    """Whether both name the same host and port over TLS: case and an empty or usual port make no difference."""
    return _normal(one) == _normal(other)


def misses_host(version: str, headers: Headers) -> bool:
    """Whether a request must be refused for its Host lines; names in `headers` are in lower case."""
    values = [value for name, value in headers if name == b"host"]
    if len(values) != 1:
        return bool(values) or version == "1.1"
    return not is_host(values[0])


def host_of_target(url: bytes) -> bytes | None:
    """The host in a request target of absolute form; None in any other, or if it cannot be one.

    "the server MUST ignore the received Host header field (if any) and instead use the host information of the request
    target" (RFC 9112 §3.2.2).
    """
    found = _ABSOLUTE.match(url)
    return found[1] if found is not None and found[1] and is_host(found[1]) else None


def _normal(host: bytes) -> bytes:
    name, colon, port = host.lower().rpartition(b":")
    return name if colon and port in (b"", b"443") else host.lower()
