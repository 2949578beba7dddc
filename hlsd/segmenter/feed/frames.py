"""Writes and reads the frames in which one process tells another of a rendition: its facts, its media, its end.

A frame is a head of 14 octets and a body: kind (1), flags (1), version (8), length of the body (4), big-endian. The
version is that of the rendition once all frames of it have come; the last of them has the flag `LAST`, and only then is
anything of them shown. Numbers of media stand in the body before the octets; what changes seldom is JSON.

| kind | body |
|---|---|
| `HELLO` | which run this is; whatever was told before is void |
| `FACTS` | what playlists are rendered from beside segments and parts |
| `INIT` | name, initialisation section |
| `SEGMENT` | a segment begins: number, date, flags, names |
| `PART` | its next part: number, duration, flags, names, media |
| `WHOLE` | all of a segment that has no parts: duration, media |
| `CLOSE` | it is finished |
| `SLIDE` | which segments are listed, and which are still served |
| `GONE` | the rendition is no more; the name may come again with a `HELLO` |
| `PING` | nothing: the line is alive |

Pure. Law: a reader holds no more than one frame, and each kind has a bound. What is no frame is a ProtocolError, and
nothing more is read of that line.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple, cast

from hlsd.base.errors import ProtocolError

HEAD: Final = struct.Struct(">BBQI")
LAST: Final = 1
"""Flag: the version is complete."""
MAX_WORDS: Final = 256 << 10
"""Octets of a body of JSON: date ranges are the most of it, 64 KiB of lines."""
MAX_MEDIA: Final = 256 << 20
"""Octets of a part, a segment or an initialisation section, unless the reader says less."""
_NAMES: Final = 512
"""Octets of numbers and names before them."""


class FrameKind(IntEnum):
    """What a frame tells."""

    HELLO = 1
    FACTS = 2
    INIT = 3
    SEGMENT = 4
    PART = 5
    WHOLE = 6
    CLOSE = 7
    SLIDE = 8
    GONE = 9
    PING = 10


_WORDY: Final = frozenset({FrameKind.HELLO, FrameKind.FACTS})
_HEAVY: Final = frozenset({FrameKind.INIT, FrameKind.PART, FrameKind.WHOLE})
_KINDS: Final = {int(kind): kind for kind in FrameKind}

Octets = bytes | memoryview


class FeedFrame(NamedTuple):
    """One frame. `body` of one that was read is never altered."""

    kind: FrameKind
    version: int
    body: Octets = b""
    last: bool = False


def encode(frame: FeedFrame, more: Octets = b"") -> list[Octets]:
    """A frame as octets to write one behind the other; `more` is the rest of its body, which is not copied."""
    size = len(frame.body) + len(more)
    head = HEAD.pack(frame.kind, LAST if frame.last else 0, frame.version, size)
    return [head + bytes(frame.body), more] if more else [head + bytes(frame.body)]


def words(said: Mapping[str, Any]) -> bytes:
    """A body of JSON. Floats come back as they were."""
    return json.dumps(said, separators=(",", ":"), allow_nan=False).encode()


def read_words(body: Octets) -> dict[str, Any]:
    """The same back. Raises ProtocolError."""
    try:
        said = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a frame that is no JSON") from error
    if not isinstance(said, dict):
        raise ProtocolError("a frame that is no object")
    return cast("dict[str, Any]", said)


class FeedReader:
    """Reads one line. `max_media`: octets of a frame with media."""

    __slots__ = ("_body", "_filled", "_frame", "_head", "_max_media")

    def __init__(self, max_media: int = MAX_MEDIA) -> None:
        self._max_media = max_media
        self._head = bytearray()
        self._frame: tuple[FrameKind, int, bool] | None = None
        self._body = bytearray()
        self._filled = 0

    def feed(self, octets: Octets) -> list[FeedFrame]:
        """The frames that `octets` complete. Raises ProtocolError."""
        found: list[FeedFrame] = []
        view = memoryview(octets)
        at, end = 0, len(view)
        while at < end:
            if self._frame is None:
                take = min(HEAD.size - len(self._head), end - at)
                self._head += view[at : at + take]
                at += take
                if len(self._head) < HEAD.size:
                    break
                self._begin()
            else:
                take = min(len(self._body) - self._filled, end - at)
                self._body[self._filled : self._filled + take] = view[at : at + take]
                self._filled += take
                at += take
            if self._frame is not None and self._filled == len(self._body):
                kind, version, last = self._frame
                found.append(FeedFrame(kind, version, memoryview(self._body).toreadonly(), last))
                self._frame = None
        return found

    def _begin(self) -> None:
        number, flags, version, size = HEAD.unpack(self._head)
        self._head.clear()
        kind = _KINDS.get(number)
        if kind is None or flags & ~LAST:
            raise ProtocolError(f"a frame of kind {number} with flags {flags}")
        most = MAX_WORDS if kind in _WORDY else self._max_media + _NAMES if kind in _HEAVY else _NAMES
        if size > most:
            raise ProtocolError(f"a frame of {size} bytes where {most} are the most")
        self._frame = kind, version, bool(flags)
        self._body = bytearray(size)
        self._filled = 0
