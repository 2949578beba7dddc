"""Says what becomes of further tracks of sound, and what playlists say of them (RFC 8216 §4.3.4.1). Pure.

The first track is in the files with the pictures, so that who knows of nothing else hears it; each further one is a
file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsd.vod.job import SoundMade
from hlsd.vod.plan import FilmSound
from hlsd.vod.track_names import ListedTrack, media_tag, track_names

GROUP: Final = "sound"


def sounds_made(files: Sequence[str], tracks: Sequence[FilmSound]) -> list[SoundMade]:
    """The group of all; `files` are those of the further ones. Nothing where there is nothing to choose."""
    if not files:
        return []
    named = zip(("", *files), track_names(tracks[: 1 + len(files)], "Sound"), strict=True)
    return [SoundMade(file=file, language=one.language, name=one.name) for file, one in named]


def sound_tags(sounds: Sequence[SoundMade]) -> list[str]:
    """The lines of the multivariant playlist."""
    return [
        media_tag(
            "AUDIO", GROUP, ListedTrack(one.language, one.name), chosen=not one.file,
            uri=f"{one.file}.m3u8" if one.file else "",
        )
        for one in sounds
    ]  # fmt: skip
