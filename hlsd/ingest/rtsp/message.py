"""Reads what an RTSP client sends (RFC 2326 §§6, 10.12), and writes answers. Pure.

Law: heads, bodies and the pieces of media between them have bounds; what exceeds one, or is no RTSP, raises
ProtocolError, and nothing is read after that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from hlsd.base.errors import ProtocolError

HEAD_LIMIT: Final = 16 * 1024
"""Bytes of a request up to its body."""
HEADERS: Final = 64
BODY_LIMIT: Final = 64 * 1024
"""Bytes of a description."""
DOLLAR: Final = 0x24
REASONS: Final = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 415: "Unsupported Media Type", 453: "Not Enough Bandwidth", 454: "Session Not Found",
    455: "Method Not Valid in This State", 459: "Aggregate Operation Not Allowed", 461: "Unsupported Transport",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 551: "Option Not Supported",
}  # fmt: skip
_REQUEST: Final = re.compile(r"([A-Z_]{1,32}) (\S{1,4096}) RTSP/([0-9]\.[0-9])")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class RtspRequest(NamedTuple):
    """One; header names in lower case, of one given twice the first."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Interleaved(NamedTuple):
    """A packet between requests: "an ASCII dollar sign, a one-byte channel identifier, the length" (§10.12)."""

    channel: int
    payload: bytes


class RtspReader:
    """Of one connection. Answers of the client's (it may be asked nothing) are passed over."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of what is not whole yet."""
        return len(self._held)

    def feed(self, octets: bytes) -> list[RtspRequest | Interleaved]:
        """What is whole with these. Raises ProtocolError."""
        held = self._held
        held += octets
        found: list[RtspRequest | Interleaved] = []
        at = 0
        while at < len(held):
            if held[at] == DOLLAR:
                end = at + 4 + int.from_bytes(held[at + 2 : at + 4], "big")
                if len(held) < at + 4 or len(held) < end:
                    break
                found.append(Interleaved(held[at + 1], bytes(held[at + 4 : end])))
                at = end
                continue
            if held[at] in b"\r\n":  # some clients keep the connection alive with an empty line
                at += 1
                continue
            end, request = self._request(at)
            if not end:
                break
            if request is not None:
                found.append(request)
            at = end
        del held[:at]
        return found

    def _request(self, at: int) -> tuple[int, RtspRequest | None]:
        """What begins there, and where it ends; 0: it is not whole."""
        held = self._held
        end = held.find(b"\r\n\r\n", at, at + HEAD_LIMIT)
        if end < 0:
            if len(held) - at >= HEAD_LIMIT:
                raise ProtocolError("the head of a request is too long")
            if not held[at : at + 1].isalpha():
                raise ProtocolError("no RTSP")
            return 0, None
        first, *lines = held[at:end].decode("utf-8", "replace").split("\r\n")
        headers = _headers(lines)
        length = headers.get("content-length", "0").strip()
        if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > BODY_LIMIT:
            raise ProtocolError("a body that is too long, or has no length")
        stop = end + 4 + int(length)
        if len(held) < stop:
            return 0, None
        if first.startswith("RTSP/"):
            return stop, None
        matched = _REQUEST.fullmatch(first)
        if matched is None:
            raise ProtocolError("no RTSP")
        method, url, _ = matched.groups()
        return stop, RtspRequest(method, url, headers, bytes(held[end + 4 : stop]))


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > HEADERS:
        raise ProtocolError("too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise ProtocolError("a header that is none")
        headers.setdefault(name.lower(), value.strip())
    return headers


def write_answer(status: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The answer to a request; `headers` hold nothing that breaks a line."""
    lines = [f"RTSP/1.0 {status} {REASONS[status]}", *[f"{name}: {value}" for name, value in headers.items()]]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
