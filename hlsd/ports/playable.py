"""A rendition of a stream as delivery serves it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rendering:
    """A playlist at one version: rendered once, gzipped once, shared by every viewer.

    `etag` is a strong validator with its quotes.
    """

    body: bytes
    gzip: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Media:
    """A segment, part or initialisation section as it goes out. `body` is shared: never altered, never copied."""

    body: bytes | memoryview
    content_type: str
    etag: str
    init: bool = False
    """Whether it is an initialisation section."""
    rendition: str = ""
    """What it is of; empty: the stream has but one, or it is no stream's."""
    secret: bool = False
    """It is a key: nobody keeps it."""


class Lateness(enum.Enum):
    """What becomes of a delivery directive (draft-pantos-hls-rfc8216bis §6.2.5.2)."""

    READY = "ready"
    """The playlist has it: answer now."""
    WAIT = "wait"
    """It will come: hold the request."""
    TOO_FAR = "too_far"
    """Beyond what may be asked for: 400."""


class Playable(Protocol):
    """One rendition of a stream's run as delivery sees it; of a stream it finds the main one."""

    @property
    def target_duration(self) -> int:
        """EXT-X-TARGETDURATION in seconds; 0 while no playlist exists."""
        ...

    @property
    def low_latency(self) -> bool:
        """Whether parts are listed and reloads may block."""
        ...

    @property
    def part_target(self) -> float:
        """EXT-X-PART-INF's PART-TARGET in seconds; 0 without low latency."""
        ...

    @property
    def ended(self) -> bool:
        """Whether EXT-X-ENDLIST stands in the playlist."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the stream was removed: nothing will come any more."""
        ...

    @property
    def away(self) -> bool:
        """Whether its publisher has left and may be back: nothing is to be expected at this instant."""
        ...

    @property
    def version(self) -> int:
        """Rises whenever an answer of any rendition may have become another one.

        What was built for one version is good for it.
        """
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed()` after each rise of `version` and once when the stream is gone."""
        ...

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Ends `watch`."""
        ...

    def playlist(self, *, skip: bool = False) -> Rendering | None:
        """The media playlist of this instant (`skip`: as delta update), or None while there is none."""
        ...

    def rendition(self, name: str) -> Playable | None:
        """Another rendition of the same run, or this one; None if it has none of that name. Empty: this one."""
        ...

    @property
    def whole(self) -> bool:
        """Whether every rendition that the run will have is there, or nobody waits for it any more."""
        ...

    def multivariant(self, base: str, only: str = "") -> bytes | None:
        """The multivariant playlist, whose renditions are `{base}{rendition}/index.m3u8`; None while there is none.

        `only`: of the rendition of that name alone.
        """
        ...

    def media(self, run: str, name: str) -> Media | None:
        """The resource `{run}/{name}`, or None if it is not there (any more)."""
        ...

    def expects(self, run: str, name: str) -> bool:
        """Whether `{run}/{name}` is the hinted next part, or about to come."""
        ...

    def lateness(self, msn: int, part: int | None) -> Lateness:
        """Judges `_HLS_msn=msn[&_HLS_part=part]` against the window."""
        ...
