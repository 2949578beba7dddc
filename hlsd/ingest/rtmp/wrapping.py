"""Wraps tags for RTMP players: the chunks of whole messages, the same for all players of one chunk size.

Every message opens with a type 0 header, so that no player's reading depends on what another one was sent before
(RTMP 1.0 §5.3.1.2.1); continuation chunks repeat the extended timestamp (§5.3.1.3). Pure.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hlsd.media.flv import OutTag

CSID: Final = {8: 4, 9: 6, 18: 4}
"""The chunk streams of media by message type; commands and control have others."""
_EXTENDED: Final = 0xFFFFFF


class ChunkWrapping:
    """RTMP messages of message stream `msid` in chunks of `chunk_size` bytes."""

    def __init__(self, chunk_size: int, msid: int, *, legacy: bool) -> None:
        self.legacy = legacy
        self.key = ("rtmp", legacy, chunk_size, msid)
        self._size = chunk_size
        self._msid = msid.to_bytes(4, "little")

    def prologue(self, *, video: bool, audio: bool) -> bytes:  # noqa: ARG002 - says `Wrapping`
        """Nothing: the commands that open a playback are the connection's own."""
        return b""

    def wrap(self, tags: Sequence[OutTag]) -> bytes:
        """The tags as messages."""
        pieces: list[bytes] = []
        room = self._size
        for kind, time, head, payload in tags:
            size = len(head) + len(payload)
            extended = time.to_bytes(4, "big") if time >= _EXTENDED else b""
            stamp = min(time, _EXTENDED)
            csid = CSID[kind]
            # csid, timestamp (3), length (3) and type (1) are eight bytes
            pieces += (struct.pack(">II", csid << 24 | stamp, size << 8 | kind), self._msid, extended)
            if size <= room:
                pieces += (head, payload)
                continue
            body = memoryview(head + payload)
            continuation = bytes((0xC0 | csid,)) + extended
            pieces.append(bytes(body[:room]))
            for at in range(room, size, room):
                pieces += (continuation, bytes(body[at : at + room]))
        return b"".join(pieces)
