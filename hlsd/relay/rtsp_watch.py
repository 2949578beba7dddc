"""Reads what an RTSP server says before libav does, and passes on only what both read alike.

libav follows a server's redirection to wherever it points, and reads leniently: blanks and tabs before the status,
`+302`, `0302`, lines that end in LF alone, carriage returns anywhere, an interleaved frame between two header lines. A
guard that reads otherwise than the one behind it guards nothing. So the grammar here is narrower than either: a head
goes on once it is whole and its first line is plainly what RFC 2326 says, with a status of three digits that is no 3xx
(§11.3); of its headers only those go on that playing needs and that can be read in one way (`Location` does not); and
interleaved frames (§10.12) that libav would leave half read are dropped. Whatever else comes is the end. Sans-IO,
bounded.
"""

from __future__ import annotations

import re
from typing import Final

from hlsd.base.errors import ProtocolError

MAX_LINE: Final = 2048
"""libav cuts a line at 4095 bytes and a value at 1023 or less; what it would cut is refused."""
MAX_LINES: Final = 64
MAX_BODY: Final = 256 * 1024
SHORTEST_FRAME: Final = 8
"""libav takes a shorter frame's payload for the next message."""

_STATUS: Final = re.compile(rb"RTSP/1\.0 ([12456][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_REDIRECTION: Final = re.compile(rb"RTSP/1\.0 3[0-9]{2}(?: .*)?", re.DOTALL)
_REQUEST: Final = re.compile(rb"([A-Z_]{3,20}) [\x21-\x7e]{1,1024} RTSP/1\.0")
_HEADER: Final = re.compile(rb"([A-Za-z][A-Za-z0-9_.-]{0,63}):[\t ]*([\t\x20-\x7e\x80-\xff]*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,7}")
_PASSED: Final = frozenset({
    b"authentication-info", b"content-base", b"content-length", b"content-type", b"cseq", b"notice", b"public",
    b"range", b"rtp-info", b"session", b"transport", b"www-authenticate", b"x-notice",
})  # fmt: skip
_LONGEST_HEAD: Final = MAX_LINES * MAX_LINE


class RtspRefused(ProtocolError):
    """The server may not go on; the text says why."""


class RtspWatch:
    """One direction of an RTSP connection, from the server to its client."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> bytes:
        """What may go on of all that has come. Raises RtspRefused once the server redirects or speaks unclearly."""
        buffer = self._buffer
        buffer += received
        passed: list[bytes] = []
        at = 0
        while at < len(buffer):
            if buffer[at] == 0x24:  # "$": interleaved binary data
                if len(buffer) - at < 4:
                    break
                size = int.from_bytes(buffer[at + 2 : at + 4], "big")
                end = at + 4 + size
                if len(buffer) < end:
                    break
                if size >= SHORTEST_FRAME:
                    passed.append(bytes(buffer[at:end]))
                at = end
                continue
            if buffer[at : at + 2] == b"\r\n":  # between two messages; libav would take it for an answer
                at += 2
                continue
            end = buffer.find(b"\r\n\r\n", at)
            if end < 0:
                _begins_well(bytes(buffer[at : at + MAX_LINE + 1]))
                if len(buffer) - at > _LONGEST_HEAD:
                    raise RtspRefused("its RTSP answer is too long")
                break
            head, length = _head(bytes(buffer[at:end]))
            if len(buffer) - (end + 4) < length:
                break
            passed += (head, bytes(buffer[end + 4 : end + 4 + length]))
            at = end + 4 + length
        del buffer[:at]
        return b"".join(passed)


def _begins_well(words: bytes) -> None:
    """Ends early what can be no head, for a server that never ends its first line would be waited for."""
    line, end, _ = words.partition(b"\r\n")
    if end:
        _first(line)
    elif len(words) > MAX_LINE or b"\n" in words:
        raise RtspRefused("it does not speak RTSP")


def _first(line: bytes) -> None:
    if _STATUS.fullmatch(line):
        return
    request = _REQUEST.fullmatch(line)
    if _REDIRECTION.fullmatch(line) or (request and request[1] == b"REDIRECT"):  # §10.10: a server may also ask
        raise RtspRefused("it redirects, and redirections are not followed")
    if not request:
        raise RtspRefused("it does not speak RTSP")


def _head(head: bytes) -> tuple[bytes, int]:
    """The head as it goes on, and how long the body behind it is."""
    first, *lines = head.split(b"\r\n")
    if len(first) > MAX_LINE or len(lines) > MAX_LINES:
        raise RtspRefused("its RTSP answer is too long")
    _first(first)
    passed = [first]
    length: int | None = None
    for line in lines:
        header = _HEADER.fullmatch(line) if len(line) <= MAX_LINE else None
        if header is None or (name := header[1].lower()) not in _PASSED:
            continue
        if name == b"content-length":
            value = header[2].strip(b" \t")
            if length is not None or not _LENGTH.fullmatch(value) or int(value) > MAX_BODY:
                raise RtspRefused("it has a length that is none, or too long")
            length = int(value)
        passed.append(line)
    return b"\r\n".join(passed) + b"\r\n\r\n", length or 0
