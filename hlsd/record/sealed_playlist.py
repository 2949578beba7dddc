"""Puts the keys of encrypted segments into playlists of recordings, and of their past.

Law: the address of a segment says its key and its vector, so that all playlists that list it share its bytes. In the
recording's own playlist the vector is the media sequence number, as RFC 8216 §5.2 has it where no IV is said; elsewhere
a segment has another number, and the same vector is said. Initialisation sections stand before any key. Pure.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from typing import Final

from hlsd.media.segment_keys import NONE, SegmentKeys
from hlsd.ports import Rendering

_URI: Final = re.compile(r"((?:\.\./r/)?([0-9a-f]{16,24}(?:p|a[1-8])?))/(s[0-9]{1,9}(?:-[0-9]{1,9})?\.m4s)", re.ASCII)
_NAME: Final = re.compile(r"s([0-9]{1,9})(?:-([0-9]{1,9}))?\.m4s", re.ASCII)
_PIECES: Final = 1 << 96
"""Added to the vector of a part of a segment, so that it is that of no whole one."""


def vector_of(name: str) -> tuple[int, int]:
    """The number that the key of a segment goes by, and its vector. Raises ValueError for what is no such name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError("no segment is called so")
    first = int(found[1])
    return (first, first) if found[2] is None else (first, _PIECES | first << 32 | int(found[2]))


def sealed_text(text: str, keys_of: Callable[[str], SegmentKeys | None], *, explicit: bool) -> str:
    """The playlist with the keys of its segments. `keys_of(id)` are those of a recording; `explicit`: vectors too."""
    return "".join(f"{line}\n" for line in _lines(text.splitlines(), keys_of, explicit=explicit))


def _lines(lines: list[str], keys_of: Callable[[str], SegmentKeys | None], *, explicit: bool) -> Iterator[str]:
    in_force, waiting = "", list[str]()
    for line in lines:
        if line.startswith("#EXTINF") or waiting:
            waiting.append(line)
            if line.startswith("#"):
                continue
            found = _URI.fullmatch(line)
            keys = keys_of(found[2]) if found is not None else None
            if found is not None and keys is not None:
                msn, iv = vector_of(found[3])
                tag = keys.tag(found[1], msn, iv if explicit else None)
                if tag != in_force:
                    in_force = tag
                    yield tag
            yield from waiting
            waiting = []
            continue
        if in_force and line.startswith("#EXT-X-MAP"):
            in_force = ""
            yield NONE
        yield line
    yield from waiting


def sealed_rendering(
    plain: Rendering, keys_of: Callable[[str], SegmentKeys | None], *, explicit: bool = False
) -> Rendering:
    """The same as a whole playlist."""
    body = sealed_text(plain.body.decode(), keys_of, explicit=explicit).encode()
    return Rendering(body, gzip.compress(body, 1, mtime=0), f'{plain.etag[:-1]}-k"')
