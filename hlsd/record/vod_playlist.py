"""Writes the playlist of a recording. What was listed is not written again, nor compressed again.

Law: a seam is EXT-X-DISCONTINUITY with a date of its own. Segments have URLs of their own: by EXT-X-BYTERANGE ffmpeg 9
stops after the first one, and others cannot seek. While the recording is being written it is an EVENT playlist that
grows, and then VOD; what was listed stays as it is. Sources: RFC 8216 §4.3.3.5, §4.3.4.3, §3.3 ("The Media
Initialization Section of an fMP4 Segment"), RFC 1952. Pure.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from hlsd.media.date_range import date_of
from hlsd.media.unit import TICKS
from hlsd.record.segments import FIRST, SegmentSpan

TARGET: Final = 10
"""EXT-X-TARGETDURATION, as long as no segment is longer: it "MUST NOT change" (RFC 8216 §6.2.1), whatever follows."""
BLOCK: Final = 256
"""Segments that are compressed together: 10 kB of text."""
_MEMBER: Final = b"\x1f\x8b\x08" + bytes(5) + b"\x04\xff"
"""The header of a gzip member: deflate, no name, no time; fastest; of no system that matters (RFC 1952 §2.3)."""
_LAST: Final = b"\x03\x00"
"""A last block with nothing in it (RFC 1951 §3.2.3, §3.2.6)."""


class VodPlaylist:
    """The playlist of a recording as it grows; URIs are `{name}/i.mp4` and `{name}/s{n}.m4s`.

    What was listed is not written again, nor compressed again: the gzip is one member (RFC 1952 §2.2) of blocks that
    know nothing of each other. The first is the head, which may change; `BLOCK` segments are one, which never does; and
    then there is the rest. Each but the last ends at a byte (`Z_FULL_FLUSH`), so that they can be joined.
    """

    __slots__ = ("_blocks", "_count", "_independent", "_longest", "_name", "_packed", "_rest")

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._longest = TARGET
        self._independent = True
        self._blocks: list[bytes] = []
        self._packed: list[bytes] = []
        self._rest: list[str] = []

    def grow(self, found: Sequence[SegmentSpan]) -> bool:
        """Takes up those that it has not yet; whether there are any."""
        before, count = self._count, len(found)
        for number in range(before, count):
            if len(self._rest) == BLOCK:
                self._close_block()
            self._add(number, found[number])
        self._count = count
        return count > before

    def render(self, *, whole: bool) -> tuple[bytes, bytes]:
        """The text, and the same as gzip."""
        head, rest = self._head(whole=whole).encode(), "".join(self._rest)
        rest += "#EXT-X-ENDLIST\n" if whole else ""
        last = rest.encode()
        text = b"".join([head, *self._blocks, last])
        size = struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
        return text, b"".join([_MEMBER, _packed(head), *self._packed, _packed(last), _LAST, size])

    def _head(self, *, whole: bool) -> str:
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{self._longest}"]
        lines += [f"#EXT-X-MEDIA-SEQUENCE:{FIRST}", "#EXT-X-DISCONTINUITY-SEQUENCE:0"]
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{'VOD' if whole else 'EVENT'}")
        if self._count and self._independent:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        lines.append(f'#EXT-X-MAP:URI="{self._name}/i.mp4"')
        return "\n".join(lines) + "\n"

    def _add(self, number: int, one: SegmentSpan) -> None:
        lines = list(one.ranges)
        if one.seam and number:
            lines.append("#EXT-X-DISCONTINUITY")
        if one.wall is not None and (one.seam or not number):
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_of(one.wall)}")
        lines.append(f"#EXTINF:{(one.end - one.start) / TICKS:.5f},\n{self._name}/s{FIRST + number}.m4s\n")
        self._rest.append("\n".join(lines))
        self._longest = max(self._longest, int((one.end - one.start) / TICKS + 0.5))
        self._independent = self._independent and one.key

    def _close_block(self) -> None:
        block = "".join(self._rest).encode()
        self._blocks.append(block)
        self._packed.append(_packed(block))
        self._rest = []


def _packed(octets: bytes) -> bytes:
    pack = zlib.compressobj(1, zlib.DEFLATED, -15)
    return pack.compress(octets) + pack.flush(zlib.Z_FULL_FLUSH)
