"""Notes which tracks a publisher sends beside those that are carried: one picture and one sound are, track 0 of each.

Law: each track is told once, by the codec that it came with first. Bounded: the id of a track is a byte. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hlsd.base.errors import MediaError
from hlsd.media.enhanced import AUDIO_MULTITRACK, VIDEO_MULTITRACK, other_tracks
from hlsd.media.unit import Kind

_MULTITRACK = {Kind.VIDEO: VIDEO_MULTITRACK, Kind.AUDIO: AUDIO_MULTITRACK}


class OtherTracks:
    """One publisher's tracks that are left out; `tell` takes the names of all when there is a new one."""

    __slots__ = ("_names", "_tell")

    def __init__(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        self._tell = tell
        self._names: dict[tuple[Kind, int], str] = {}

    def look(self, kind: Kind, tag: bytes) -> None:
        """Takes a tag that may be of several tracks, or of another; what cannot be read is said where it is decoded."""
        known = len(self._names)
        with suppress(MediaError):
            for track, fourcc in other_tracks(tag, _MULTITRACK[kind]):
                self._names.setdefault((kind, track), f"{kind.name.lower()} {track}: {fourcc}")
        if len(self._names) > known:
            self._tell(tuple(self._names[key] for key in sorted(self._names)))
