"""Is what is known of one stream's pictures: those that were made, who waits for another one, what failed."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hlsd.media.unit import AccessUnit, Tracks
from hlsd.snapshots.wire import Still, StillVariant


class Sitter(Protocol):
    """A stream as this box sees it."""

    id: str
    """Of this run of the name."""
    app: str
    name: str
    tracks: Tracks | None
    newest_key: AccessUnit | None
    """The newest key picture of the video track that `tracks` has; None: there was none yet."""


class Shot(NamedTuple):
    """A picture as it goes out; `key` is the key picture that it was made of, `taken` when that came (wall clock)."""

    picture: Still
    etag: str
    key: tuple[str, int]
    taken: float
    made: float
    """When the work on it began, monotonic."""


class Busy(NamedTuple):
    """There is none now: why, and after how many seconds it may help to ask again."""

    words: str
    wait: float
    result: str = "busy"


def key_of(sitter: Sitter) -> tuple[str, int] | None:
    """What tells the newest key picture from others."""
    unit = sitter.newest_key
    return (sitter.id, unit.dts) if unit is not None else None


@dataclass(slots=True, eq=False)
class Portrait:
    """The pictures of one run of a stream; times monotonic."""

    sitter: Sitter
    used: float
    shots: dict[StillVariant, Shot] = field(default_factory=dict)
    wanted: dict[StillVariant, asyncio.Future[Shot | Busy]] = field(default_factory=dict)
    queued: bool = False
    """Whether its turn will come."""
    worked: float = float("-inf")
    """When it was worked on last."""
    failures: int = 0
    barred: float = float("-inf")
    """Until when it is left alone."""
    ended: bool = False
    """As `hlsd.ports.Ending` has it: one that has ended is not found."""

    @property
    def blind(self) -> bool:
        """Whether the stream is known to have no picture."""
        tracks = self.sitter.tracks
        return tracks is not None and tracks.video is None

    @property
    def size(self) -> int:
        """Bytes of the pictures kept."""
        return sum([len(shot.picture.body) for shot in self.shots.values()])

    def keep(self, picture: Still, key: tuple[str, int], taken: float, now: float) -> Shot:
        """Takes a picture in."""
        etag = f'"{hashlib.sha256(picture.body).hexdigest()[:20]}"'
        shot = self.shots[picture.variant] = Shot(picture, etag, key, taken, now)
        return shot

    def settle(self, said: Busy) -> None:
        """Whoever waits hears that there is none now, or gets the one that is there."""
        wanted, self.wanted = self.wanted, {}
        for variant, waiting in wanted.items():
            if not waiting.done():
                waiting.set_result(self.shots.get(variant) or said)
