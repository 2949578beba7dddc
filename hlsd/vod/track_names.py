"""Says how a playlist calls tracks by what they say of themselves (RFC 8216 §4.3.4.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)


class SaysWhatItIs(Protocol):
    """A track, by its file: whatever stands there."""

    @property
    def language(self) -> str:
        """Of ISO 639, "und" or nonsense."""

    @property
    def title(self) -> str:
        """Any text."""


class ListedTrack(NamedTuple):
    """`language` as LANGUAGE has it, or ""; `name` is no other one's of the group; `channels` 0: it does not say."""

    language: str
    name: str
    channels: int = 0


def track_names(tracks: Iterable[SaysWhatItIs], otherwise: str) -> list[ListedTrack]:
    """Of a group "all ... MUST have different NAMEs" (RFC 8216 §4.3.4.1.1); `otherwise` for one that says nothing."""
    found: list[ListedTrack] = []
    for at, track in enumerate(tracks):
        language = track.language if _LANGUAGE.fullmatch(track.language) and track.language != "und" else ""
        # "It MUST NOT contain ... line feed (0xA), carriage return (0xD), or double quote" (RFC 8216 §4.2)
        title = "".join(one for one in track.title if one.isprintable() and one != '"').strip()
        name = title or language or otherwise
        taken = {one.name for one in found}
        number = at + 1
        while name in taken:
            name, number = f"{title or language or otherwise} {number}", number + 1
        found.append(ListedTrack(language, name))
    return found


def media_tag(kind: str, group: str, track: ListedTrack, *, chosen: bool, uri: str) -> str:
    """A line of EXT-X-MEDIA; `chosen`: DEFAULT."""
    said = [f"TYPE={kind}", f'GROUP-ID="{group}"', f'NAME="{track.name}"']
    if track.language:
        said.append(f'LANGUAGE="{track.language}"')
    said += [f"DEFAULT={'YES' if chosen else 'NO'}", "AUTOSELECT=YES"]
    if track.channels:
        said.append(f'CHANNELS="{track.channels}"')
    said.append(f'URI="{uri}"')
    return f"#EXT-X-MEDIA:{','.join(said)}"
