"""Turns a ready answer into frames of HTTP/2, once a second for all who get it, as `http1/wire` does for HTTP/1.1.

The header block names nothing of a changing table, so it is the same octets on every connection; only the stream's
number differs between two who get the answer. Small bodies are joined behind it in one piece; large ones are cut into
DATA frames when they go out (`hlsd.delivery.http2.sending`), and never copied before.
"""

from __future__ import annotations

from typing import Final

from hlsd.delivery.answer import Reply
from hlsd.delivery.http1.wire import ReadyBytes, Stamp
from hlsd.delivery.http2.frames import DATA, DEFAULT_FRAME, END_HEADERS, END_STREAM, HEAD_SIZE, HEADERS
from hlsd.delivery.http2.headers import encode
from hlsd.delivery.replies import PLAYLIST_TYPE

FULL: Final = DEFAULT_FRAME - HEAD_SIZE
"""Octets of body in a DATA frame of media: with its head it fills one record of TLS, which has 16 KiB at most."""
JOINED: Final = DEFAULT_FRAME
"""Octets of a body that goes out in one piece with its head: one DATA frame, whatever frames the peer takes."""


class ReadyFrames:
    """The frames of an answer, but for the number of the stream."""

    __slots__ = ("block", "body", "head", "middle", "pieces", "size", "stamp", "urgent")

    def __init__(self, reply: Reply, stamp: Stamp) -> None:
        self.stamp = stamp
        self.block = block = encode(reply.status, [*stamp, *reply.headers])
        self.body = reply.body
        self.size = size = len(reply.body)
        view = memoryview(reply.body)
        self.pieces = tuple([view[at : at + FULL] for at in range(0, size, FULL)])
        """The body as DATA frames take it; nobody's own, and not copied."""
        self.urgent = (b"content-type", PLAYLIST_TYPE) in reply.headers
        """It goes before media."""
        joined = 0 < size <= JOINED and len(block) < DEFAULT_FRAME
        self.head = len(block).to_bytes(3, "big") + bytes((HEADERS, END_HEADERS)) if joined else b""
        """What stands before the stream's number in the HEADERS frame; empty if body and head are too large for it."""
        self.middle = block + size.to_bytes(3, "big") + bytes((DATA, END_STREAM)) if joined else b""
        """What stands between the two places of the number."""

    def of(self, number: bytes) -> bytes:
        """All of it, for the stream whose number is the four octets `number`."""
        return b"".join((self.head, number, self.middle, number, self.body))


def frames_of(ready: ReadyBytes, stamp: Stamp) -> ReadyFrames:
    """`ready` as frames; `stamp` are the header lines of this second, told apart by identity."""
    frames = ready.frames
    if not isinstance(frames, ReadyFrames) or frames.stamp is not stamp:
        frames = ready.frames = ReadyFrames(ready.reply, stamp)
    return frames
