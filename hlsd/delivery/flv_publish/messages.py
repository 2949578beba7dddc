"""Reads what a client sends by WebSocket (RFC 6455) that is meant to be one file: the payload of its binary messages.

How the file is cut into messages and frames means nothing: payload is handed on as it comes, a piece of a frame too.
Law: frames are masked (§5.1); a text message is none of ours; so many frames in one piece, so large a frame, and no
more. Sans-IO.
"""

from __future__ import annotations

from typing import Final

from hlsd.base.errors import MediaError, ProtocolError
from hlsd.delivery.flv.websocket import BINARY, CLOSE, TEXT

PIECE: Final = 16 * 1024
"""Bytes that are to be fed at a time."""
MAX_FRAMES: Final = 1024
"""Frames in that: a tag of sound has forty bytes and more."""
MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes of a frame: the largest tag of FLV."""


class ClientMessages:
    """Holds no more than the head of a frame, or a control frame."""

    __slots__ = ("_head", "_inside", "_left", "_mask")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        """Bytes that are still to come of the frame under way."""
        self._mask = b""
        """Of these, from the next one on."""
        self._inside = False
        """A message is not whole: its next frame continues it."""

    def feed(self, octets: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
        """What of the file is in `octets`, and the control frames: opcode and payload.

        Raises ProtocolError, MediaError.
        """
        data = self._head + octets if self._head else octets
        parts: list[bytes] = []
        said: list[tuple[int, bytes]] = []
        at, end, frames = 0, len(data), 0
        while at < end:
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                parts.append(unmask(part, self._mask))
                turn = len(part) & 3
                self._mask = self._mask[turn:] + self._mask[:turn]
                continue
            frames += 1
            if frames > MAX_FRAMES:
                raise ProtocolError(f"more than {MAX_FRAMES} frames in {PIECE} bytes")
            begin = self._begin(data, at, said)
            if begin is None:
                break
            at = begin
        self._head = data[at:]
        return b"".join(parts), said

    def _begin(self, data: bytes, at: int, said: list[tuple[int, bytes]]) -> int | None:
        """Reads the head of a frame, and all of a control frame: where what follows begins, None if some is missing."""
        here = len(data) - at
        if here < 2:
            return None
        first, size = data[at], data[at + 1] & 0x7F
        self._look(first, data[at + 1])
        wide = 2 if size == 126 else 8 if size == 127 else 0
        if here < 6 + wide:
            return None
        if wide:
            size = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
        if size > MAX_FRAME:
            raise ProtocolError(f"a frame of more than {MAX_FRAME} bytes")
        body = at + 6 + wide
        mask = data[body - 4 : body]
        if first & 8:
            if here < 6 + size:
                return None
            said.append((first & 15, unmask(data[body : body + size], mask)))
            return body + size
        self._inside = not first & 0x80
        self._left, self._mask = size, mask
        return body

    def _look(self, first: int, second: int) -> None:
        """Refuses what may not stand at the beginning of a frame."""
        opcode = first & 15
        if not second & 0x80:
            raise ProtocolError("a frame without a mask")
        if first & 0x70 or (opcode & 8 and (not first & 0x80 or second & 0x7F > 125)):
            raise ProtocolError("a frame that is not allowed")
        if opcode == TEXT:
            raise MediaError("a text message: FLV is binary")
        if opcode < CLOSE and opcode != (0 if self._inside else BINARY):
            raise ProtocolError("a frame that does not come now")


def unmask(payload: bytes, mask: bytes) -> bytes:
    """`payload` without its mask (§5.3): exclusive or, all of it at once."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
