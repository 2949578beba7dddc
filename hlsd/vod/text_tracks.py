"""Says what becomes of tracks of text, and writes what playlists say of them (RFC 8216 §4.3.4.1). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from hlsd.vod.job import TextMade
from hlsd.vod.plan import TextTrack

GROUP: Final = "text"
FILE: Final = re.compile(r"([0-9]{23})s([0-9])", re.ASCII)
"""Name of a track's file."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)


def texts_made(ident: str, tracks: Sequence[TextTrack], cues: Sequence[int]) -> list[TextMade]:
    """Those that say something. Of a group "all ... MUST have different NAMEs" (RFC 8216 §4.3.4.1.1)."""
    made: list[TextMade] = []
    for at, (track, count) in enumerate(zip(tracks, cues, strict=True)):
        if not count:
            continue
        language = track.language if _LANGUAGE.fullmatch(track.language) and track.language != "und" else ""
        # "It MUST NOT contain ... line feed (0xA), carriage return (0xD), or double quote" (RFC 8216 §4.2)
        title = "".join(one for one in track.title if one.isprintable() and one != '"').strip()
        name = title or language or "Text"
        if any(one.name == name for one in made):
            name = f"{name} {at + 1}"
        made.append(TextMade(file=f"{ident}s{at}", language=language, name=name))
    return made


def media_tags(texts: Sequence[TextMade]) -> list[str]:
    """The lines of the multivariant playlist."""
    found = []
    for one in texts:
        said = ["TYPE=SUBTITLES", f'GROUP-ID="{GROUP}"', f'NAME="{one.name}"']
        if one.language:
            said.append(f'LANGUAGE="{one.language}"')
        found.append(f'#EXT-X-MEDIA:{",".join(said)},DEFAULT=NO,AUTOSELECT=YES,URI="{one.file}.m3u8"')
    return found


def text_playlist(file: str, duration_ms: int) -> bytes:
    """The playlist of a track: one segment, since all of it is smaller than a second of pictures."""
    seconds = max(0.001, duration_ms / 1000)
    head = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{math.ceil(seconds)}\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{head}#EXTINF:{seconds:.3f},\n{file}.vtt\n#EXT-X-ENDLIST\n".encode()
