"""Says what becomes of tracks of text, and writes what playlists say of them (RFC 8216 §4.3.4.1). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from hlsd.vod.job import TextMade
from hlsd.vod.plan import TextTrack
from hlsd.vod.track_names import ListedTrack, media_tag, track_names

GROUP: Final = "text"
FILE: Final = re.compile(r"([0-9]{23})s([0-9])", re.ASCII)
"""Name of a track's file."""


def texts_made(ident: str, tracks: Sequence[TextTrack], cues: Sequence[int]) -> list[TextMade]:
    """Those that say something."""
    telling = [at for at, count in enumerate(cues) if count]
    names = track_names([tracks[at] for at in telling], "Text")
    return [
        TextMade(file=f"{ident}s{at}", language=one.language, name=one.name)
        for at, one in zip(telling, names, strict=True)
    ]


def text_tags(texts: Sequence[TextMade]) -> list[str]:
    """The lines of the multivariant playlist."""
    return [
        media_tag("SUBTITLES", GROUP, ListedTrack(one.language, one.name), chosen=False, uri=f"{one.file}.m3u8")
        for one in texts
    ]


def text_playlist(file: str, duration_ms: int) -> bytes:
    """The playlist of a track: one segment, since all of it is smaller than a second of pictures."""
    seconds = max(0.001, duration_ms / 1000)
    head = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{math.ceil(seconds)}\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{head}#EXTINF:{seconds:.3f},\n{file}.vtt\n#EXT-X-ENDLIST\n".encode()
