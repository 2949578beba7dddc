"""Wraps tags for HTTP and WebSocket: FLV as in a file, and the same in binary messages (RFC 6455 §5.2).

One message holds the tags of one burst: players join messages anyway. Pure.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hlsd.delivery.flv.websocket import BINARY, frame_head
from hlsd.media import flv

if TYPE_CHECKING:
    from collections.abc import Sequence


def file_tags(tags: Sequence[flv.OutTag]) -> list[bytes]:
    """The pieces of tags as they stand in an FLV file: headers, bodies, sizes (§E.4.1)."""
    pieces: list[bytes] = []
    for kind, time, head, payload in tags:
        size = len(head) + len(payload)
        pieces += (
            struct.pack(">II3x", kind << 24 | size, (time & 0xFFFFFF) << 8 | (time >> 24 & 0xFF)),
            head,
            payload,
            (size + 11).to_bytes(4, "big"),
        )
    return pieces


class FlvWrapping:
    """HTTP-FLV: the body of an answer without length, `chunked` (RFC 9112 §7.1) where its end must be told from a loss.

    ffmpeg takes the end of any other body of unknown length for an error.
    """

    def __init__(self, *, legacy: bool, chunked: bool = False) -> None:
        self.legacy = legacy
        self.key = ("flv", legacy, chunked)
        self._chunked = chunked

    def prologue(self, *, video: bool, audio: bool) -> bytes:
        """The file header."""
        header = flv.file_header(video=video, audio=audio)
        return b"%x\r\n%b\r\n" % (len(header), header) if self._chunked else header

    def wrap(self, tags: Sequence[flv.OutTag]) -> bytes:
        """The tags as in a file, in one chunk."""
        pieces = file_tags(tags)
        if self._chunked and pieces:
            pieces = [b"%x\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"]
        return b"".join(pieces)


class MessageWrapping:
    """WebSocket-FLV: one binary message for each burst."""

    def __init__(self, *, legacy: bool) -> None:
        self.legacy = legacy
        self.key = ("wsflv", legacy)

    def prologue(self, *, video: bool, audio: bool) -> bytes:
        """The file header as a message."""
        header = flv.file_header(video=video, audio=audio)
        return frame_head(BINARY, len(header)) + header

    def wrap(self, tags: Sequence[flv.OutTag]) -> bytes:
        """The tags as one message; nothing for no tags."""
        pieces = file_tags(tags)
        if not pieces:
            return b""
        return b"".join([frame_head(BINARY, sum(map(len, pieces))), *pieces])
