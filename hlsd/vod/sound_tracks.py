"""Says what becomes of several tracks of sound, and what playlists say of them (RFC 8216 §4.3.4.1). Pure.

All of them are in each file with pictures, so that a download has them too. HLS has each as a rendition of its own,
which is nowhere: a *view* of the first file (`hlsd.record.track_choice`), as is that of the pictures beside them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from hlsd.record.boxes import BadBox
from hlsd.record.track_choice import tracks_of
from hlsd.vod.job import LeftOut, RenditionMade, SoundMade
from hlsd.vod.plan import SOUNDS, FilmSound, Probed
from hlsd.vod.track_names import ListedTrack, media_tag, track_names

GROUP: Final = "sound"
VIEW: Final = re.compile(r"([0-9]{24})(p|a[1-8])?", re.ASCII)
"""A file and what is seen of it: all that is played together, its pictures alone, one track of sound."""


def sounds_made(file: str, tracks: Sequence[FilmSound], lost: Collection[int]) -> list[SoundMade]:
    """What can be chosen of a file with these tracks; nothing where that is less than two. `lost`: by their streams."""
    kept = [(at, one) for at, one in enumerate(tracks, 1) if one.stream not in lost]
    if len(kept) < 2:
        return []
    names = track_names([one for _, one in kept], "Sound")
    return [
        SoundMade(file=f"{file}a{at}", language=named.language, name=named.name, channels=one.channels)
        for (at, one), named in zip(kept, names, strict=True)
    ]


def left_out(film: Probed, lost: Mapping[int, str]) -> list[LeftOut]:
    """The tracks of sound that a film is without; `lost`: why, where it went wrong while it was made."""
    found = [LeftOut.model_validate(one._asdict()) for one in film.unheard]
    found += [
        LeftOut(stream=one.stream, language=one.language, title=one.title, reason=lost[one.stream])
        for one in film.sounds
        if one.stream in lost
    ]
    return found


def sound_tags(sounds: Sequence[SoundMade]) -> list[str]:
    """The lines of the multivariant playlist."""
    return [
        media_tag(
            "AUDIO", GROUP, ListedTrack(one.language, one.name, one.channels), chosen=not at, uri=f"{one.file}.m3u8"
        )
        for at, one in enumerate(sounds)
    ]


def views_of(file: str) -> list[str]:
    """Everything that may be seen of a file."""
    return [file, f"{file}p", *(f"{file}a{at}" for at in range(1, SOUNDS + 1))]


def seen_views(made: Sequence[RenditionMade], sounds: Sequence[SoundMade]) -> frozenset[str]:
    """What playlists name of a film that is no file."""
    return frozenset([*(shown_file(one, sounds) for one in made), *(one.file for one in sounds)])


def seen_tracks(name: str, init: bytes) -> frozenset[int]:
    """The tracks of a file that a view has; none: all of them. Raises BadBox where there is no such."""
    found = VIEW.fullmatch(name)
    pictures, sound = tracks_of(init)
    view = found[2] if found is not None else None
    if view is None:  # players take one track of each kind
        return frozenset(pictures[:1] + sound[:1]) if len(sound) > 1 else frozenset()
    seen = pictures[:1] if view == "p" else sound[int(view[1:]) - 1 : int(view[1:])]
    if not seen:
        raise BadBox("the film has no such track")
    return frozenset(seen)


def shown_file(one: RenditionMade, sounds: Sequence[SoundMade]) -> str:
    """What a list of renditions names for one: where sound is chosen, it has pictures alone."""
    return f"{one.file}p" if sounds and one.width else one.file
