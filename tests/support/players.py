"""Plays a stream the patient way: every segment once, in order, until the playlist ends; then looks at the bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import m3u8

from tests.support.packets import Packets, read_packets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it was listed and fetched. `init` is the initialisation section's bytes, if it has one."""

    msn: int
    uri: str
    duration: float
    discontinuity: bool
    init_uri: str | None
    init: bytes
    body: bytes
    content_type: str


@dataclass(slots=True)
class Recording:
    """What a player has seen of a stream."""

    multivariant: str = ""
    variant: str = ""
    history: list[tuple[float, str]] = field(default_factory=list)
    """Each different text of the media playlist with the monotonic second at which it was first seen."""
    segments: list[Segment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What a player would have stumbled over: a listed segment that is not served, a missed segment."""
    ended: bool = False

    @property
    def suffix(self) -> str:
        """The file name extension of the media."""
        return ".mp4" if self.segments and self.segments[0].init_uri else ".ts"

    def stretches(self) -> list[list[Segment]]:
        """The segments between discontinuities."""
        found: list[list[Segment]] = []
        for segment in self.segments:
            if not found or segment.discontinuity:
                found.append([])
            found[-1].append(segment)
        return found

    def media(self) -> list[bytes]:
        """Each stretch as one file."""
        return [stretch[0].init + b"".join(s.body for s in stretch) for stretch in self.stretches()]

    def save(self, directory: Path) -> list[Path]:
        """Writes each stretch as a file and returns their paths."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, body in enumerate(self.media()):
            paths.append(directory / f"stretch{number}{self.suffix}")
            paths[-1].write_bytes(body)
        return paths

    def packets(self) -> list[Packets]:
        """The packets of each stretch."""
        return [read_packets(body) for body in self.media()]


def follow(
    url: str,
    *,
    seconds: float = 60,
    until: Callable[[Recording], bool] = lambda _: False,
    patience: float = 15,
    recording: Recording | None = None,
) -> Recording:
    """Plays `url` (multivariant or media playlist) until EXT-X-ENDLIST, `until(recording)` or `seconds`.

    A stream that does not exist yet is asked for again for `patience` seconds. Polls four times a second, oftener
    than a player, so that every version of the playlist is seen. A `recording` that is given fills up meanwhile.
    """
    recording = Recording() if recording is None else recording
    deadline = time.monotonic() + seconds
    with httpx.Client(timeout=15) as client:
        if not _open(client, url, recording, patience):
            return recording
        inits: dict[str, bytes] = {}
        while time.monotonic() < deadline:
            if _reload(client, recording, inits) or until(recording):
                break
            time.sleep(0.25)
    return recording


def _open(client: httpx.Client, url: str, recording: Recording, patience: float) -> bool:
    give_up = time.monotonic() + patience
    while True:
        try:
            answer = client.get(url)
            said = f"{answer.status_code}"
        except httpx.TransportError as error:
            answer, said = None, repr(error)
        if answer is not None and answer.status_code == httpx.codes.OK:
            break
        if time.monotonic() > give_up:
            recording.faults.append(f"{url}: {said} after {patience} s")
            return False
        time.sleep(0.1)
    recording.variant = url
    if "#EXT-X-STREAM-INF" in answer.text:
        recording.multivariant = answer.text
        playlist = m3u8.loads(answer.text, uri=str(answer.url))
        recording.variant = str(playlist.playlists[0].absolute_uri)
    return True


def _reload(client: httpx.Client, recording: Recording, inits: dict[str, bytes]) -> bool:
    """Loads the playlist and what is new in it; true at its end."""
    answer = client.get(recording.variant)
    if answer.status_code != httpx.codes.OK:
        recording.faults.append(f"media playlist: {answer.status_code}")
        return answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}
    if not recording.history or recording.history[-1][1] != answer.text:
        recording.history.append((time.monotonic(), answer.text))
    playlist = m3u8.loads(answer.text, uri=str(answer.url))
    first = playlist.media_sequence or 0
    expected = recording.segments[-1].msn + 1 if recording.segments else first
    if first > expected:
        recording.faults.append(f"segments {expected}..{first - 1} left the playlist before they were seen")
    for msn, segment in enumerate(playlist.segments, first):
        if msn < expected or segment.uri is None:  # parts of the open segment come without a URI
            continue
        uri = str(segment.absolute_uri)
        init_uri = None
        if segment.init_section is not None:
            init_uri = str(segment.init_section.absolute_uri)
            if init_uri not in inits:
                inits[init_uri] = _fetch(client, init_uri, recording)[0]
        body, kind = _fetch(client, uri, recording)
        recording.segments.append(
            Segment(
                msn,
                uri,
                float(segment.duration or 0),
                bool(segment.discontinuity),
                init_uri,
                inits[init_uri] if init_uri else b"",
                body,
                kind,
            )
        )
    recording.ended = bool(playlist.is_endlist)
    return recording.ended


def _fetch(client: httpx.Client, uri: str, recording: Recording) -> tuple[bytes, str]:
    answer = client.get(uri)
    if answer.status_code != httpx.codes.OK:
        recording.faults.append(f"{uri} is listed but answers {answer.status_code}")
        return b"", ""
    return answer.content, answer.headers.get("content-type", "")
