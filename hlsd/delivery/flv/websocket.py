"""Speaks the server's side of RFC 6455 as far as a one-way stream needs it.

That is the answer to the opening handshake, the heads of frames, and a reader of what the client says, which is to
close, to ping or nothing that matters. Law: a client's frame is at most `MAX_FRAME` bytes and masked (§5.1); anything
else ends the connection with 1002 or 1009. Sans-IO.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from hlsd.base.errors import ProtocolError

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
MAX_FRAME: Final = 4096
"""Bytes of a client's frame: a player has nothing to say."""
MAX_CONTROLS: Final = 128
"""Control frames that may come at once: a player pings every few seconds, and each costs some microseconds."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(key: bytes) -> bytes | None:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (§4.2.2), None if it is not 16 bytes in base64."""
    try:
        nonce = base64.b64decode(key, validate=True)
    except ValueError:
        return None
    if len(nonce) != 16:
        return None
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def switching(token: bytes, protocol: bytes) -> bytes:
    """The answer to the opening handshake, with what `accept` gave and the subprotocol that was chosen, if any."""
    chosen = b"sec-websocket-protocol: %b\r\n" % protocol if protocol else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: %b\r\n%b\r\n" % (token, chosen)
    )


def frame_head(opcode: int, size: int) -> bytes:
    """The head of an unmasked, unfragmented frame with `size` bytes of payload (§5.2)."""
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame."""
    return frame_head(opcode, len(payload)) + payload


def close_frame(code: int, words: str = "") -> bytes:
    """A close frame with a status code (§7.4.1) and at most 123 bytes of words."""
    return frame(CLOSE, code.to_bytes(2, "big") + words.encode()[:123])


class ClientFrames:
    """Reads what a client sends; holds no more than one frame."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[tuple[int, bytes]]:
        """The control frames that are complete: opcode and payload. Data frames are dropped. Raises ProtocolError."""
        buffer = self._buffer
        buffer += octets
        said: list[tuple[int, bytes]] = []
        at = 0
        while len(buffer) - at >= 2:
            first, second = buffer[at], buffer[at + 1]
            if not second & 0x80:
                raise ProtocolError("a frame without a mask")
            size, body = second & 0x7F, at + 6
            if size == 126:
                if len(buffer) - at < 4:
                    break
                size, body = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 8
            if second & 0x7F == 127 or size > MAX_FRAME:
                raise ProtocolError(f"a frame of more than {MAX_FRAME} bytes")
            if first & 0x70 or (first & 8 and (not first & 0x80 or size > 125)):
                raise ProtocolError("a frame that is not allowed")
            if len(buffer) < body + size:
                break
            opcode = first & 15
            if opcode >= CLOSE:
                if len(said) >= MAX_CONTROLS:
                    raise ProtocolError(f"more than {MAX_CONTROLS} control frames at once")
                mask = buffer[body - 4 : body]
                payload = bytes(octet ^ mask[i & 3] for i, octet in enumerate(buffer[body : body + size]))
                said.append((opcode, payload))
            at = body + size
        del buffer[:at]
        return said
