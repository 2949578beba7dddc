"""Reads one HTTP/1.1 response as it comes (RFC 9112): the head, then the body without its framing.

Sans-IO: bytes in, bytes out. For media that never ends: chunked, by length, or up to the end of the connection. Nothing
is ever unpacked: it asks for `identity`, and another Content-Encoding is refused. Limits: a head of 32 kB, 8 interim
answers, chunk sizes of 2^32. What is malformed raises ProtocolError.
"""

from __future__ import annotations

import base64
from urllib.parse import unquote

from hlsd.base.errors import ProtocolError
from hlsd.relay.address import Address

HEAD_LIMIT = 32 * 1024
INTERIM_LIMIT = 8
_LINE_LIMIT = 1024


def request(address: Address, agent: str, span: tuple[int, int] | None = None) -> bytes:
    """A GET for the address, or for a range of it (first byte, size); user and password go along as credentials."""
    lines = [f"GET {address.target} HTTP/1.1", f"Host: {address.authority}", f"User-Agent: {agent}", "Accept: */*"]
    lines.append("Accept-Encoding: identity")
    if span is not None:
        lines.append(f"Range: bytes={span[0]}-{span[0] + span[1] - 1}")
    if address.user:
        lines.append(f"Authorization: Basic {base64.b64encode(unquote(address.user).encode()).decode()}")
    return ("\r\n".join([*lines, "Connection: close", "", ""])).encode()


class ResponseReader:
    """One response. `status` is 0 until the head is there, `headers` in lower case, `done` says the body is over."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self._buffer = bytearray()
        self._chunked = False
        self._left: int | None = None  # bytes of the body, or of the chunk, still to come; None: up to the end
        self._tail = False  # whether the line end behind a chunk comes next
        self._interim = 0

    def feed(self, received: bytes) -> bytes:
        """The bytes of the body in `received`."""
        if self.done:
            return b""
        if self.status:
            if not self._chunked:
                return self._plain(received)
            self._buffer += received
            return self._chunks()
        self._buffer += received
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if (len(self._buffer) if end < 0 else end) > HEAD_LIMIT:
                raise ProtocolError("an HTTP head of more than 32 kB")
            if end < 0:
                if not b"HTTP/1.".startswith(self._buffer[:7]) and self._buffer[:7] != b"HTTP/1.":
                    raise ProtocolError("the server does not speak HTTP/1.1")
                return b""
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            if self._head(head):
                break
        rest = bytes(self._buffer)
        self._buffer.clear()
        return self.feed(rest) if rest else b""

    def _head(self, head: bytes) -> bool:
        """Whether it is the head proper."""
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not (len(code) == 3 and code.isascii() and code.isdecimal()):
            raise ProtocolError("the server does not speak HTTP/1.1")
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ProtocolError("a header line without a colon")
            self.headers[name.lower()] = value.strip()
        if code[0] == "1":
            self.headers.clear()
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                raise ProtocolError("interim answers without an end")
            return False  # 100 Continue and the like
        self.status = int(code)
        if code[0] == "2" and self.headers.get("content-encoding", "").lower() not in {"", "identity"}:
            raise ProtocolError("the server packs what was asked for as it is (Content-Encoding)")
        self._chunked = self.headers.get("transfer-encoding", "").lower().endswith("chunked")
        length = self.headers.get("content-length", "")
        if self._chunked:
            self._left = 0
        elif length:
            if not (length.isascii() and length.isdecimal()):
                raise ProtocolError("a Content-Length that is no number")
            self._left = int(length)
            self.done = not self._left
        return True

    def _plain(self, received: bytes) -> bytes:
        if self._left is None:
            return received
        body = received[: self._left]
        self._left -= len(body)
        self.done = not self._left
        return body

    def _chunks(self) -> bytes:
        buffer = self._buffer
        body: list[bytes] = []
        while True:
            if self._left:
                piece = bytes(buffer[: self._left])
                if not piece:
                    break
                del buffer[: len(piece)]
                body.append(piece)
                self._left -= len(piece)
                self._tail = not self._left
                continue
            end = buffer.find(b"\r\n")
            if end < 0:
                if len(buffer) > _LINE_LIMIT:
                    raise ProtocolError("a chunk size without an end")
                break
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            if self._tail:
                if line:
                    raise ProtocolError("a chunk longer than it says")
                self._tail = False
                continue
            size = line.partition(b";")[0].strip()
            if not size or len(size) > 8 or not all(char in b"0123456789abcdefABCDEF" for char in size):
                raise ProtocolError("a chunk size that is no number")
            self._left = int(size, 16)
            if not self._left:
                self.done = True
                break
        return b"".join(body)
