"""Reads another server's playlists with the m3u8 package, and keeps what a relay needs of them.

A playlist is a stranger's text, and the package takes some twenty microseconds for each line of it: so the text is
bounded, and made lean before it gets there. Of what goes on the last segments are read, tags that a relay has no use
for never are (one that the package cannot read would cost the stream), and whatever it raises is a MediaError. Pure.
Seconds. RFC 8216bis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

import m3u8

from hlsd.base.errors import MediaError

PLAYLIST_LIMIT: Final = 1024 * 1024
"""Bytes of a playlist."""
LINE_LIMIT: Final = 20_000
"""Lines of a playlist: a day of segments of 6 s, and their tags, in the window of a live stream."""
LONGEST: Final = 8192
"""Characters of a line."""
RECENT: Final = 64
"""Segments of a live playlist that are read: its last ones."""
MOST: Final = 5000
"""Segments of a playlist that has ended."""
VARIANTS: Final = 200
"""Variants and renditions of a multivariant playlist."""
_ONCE: Final = frozenset(("#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST"))
_KEY: Final = "#EXT-X-KEY"
_MAP: Final = "#EXT-X-MAP"
_BEFORE: Final = frozenset((
    _KEY, _MAP, "#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-GAP", "#EXT-X-STREAM-INF"
))  # fmt: skip
"""Tags that stand before the line they belong to: of each the last one counts."""
NOT_CARRIED: Final = ("vp08", "vp09", "dvh1", "dvhe", "dva1", "mjpg")
"""Beginnings of CODECS whose pictures are not carried."""
LAST_CHOICE: Final = "av01"
"""AV1 is carried, but where there is another variant more viewers can see that one."""


class ByteSpan(NamedTuple):
    """A byte range: first byte, and how many."""

    start: int
    size: int


class UpstreamPart(NamedTuple):
    """Something to fetch: a whole resource, or a range of it."""

    url: str
    span: ByteSpan | None = None


class KeyTag(NamedTuple):
    """How a segment is encrypted. `iv` is None where the media sequence number stands for it."""

    method: str
    url: str
    iv: bytes | None
    form: str


class Piece(NamedTuple):
    """One media segment."""

    msn: int
    part: UpstreamPart
    duration: float
    discontinuity: bool
    gap: bool
    init: UpstreamPart | None
    key: KeyTag | None


class UpstreamPlaylist(NamedTuple):
    """A media playlist."""

    target: float
    pieces: Sequence[Piece]
    ended: bool


class UpstreamVariant(NamedTuple):
    """One variant stream. `parted`: its sound, or its only picture, is a rendition with a playlist of its own."""

    url: str
    bandwidth: int
    codecs: str
    parted: bool


def read_playlist(body: bytes, url: str) -> UpstreamPlaylist | list[UpstreamVariant]:
    """The playlist that `url` gave. Raises MediaError."""
    if len(body) > PLAYLIST_LIMIT:
        raise MediaError("a playlist of more than 1 MiB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MediaError("a playlist that is not UTF-8") from None
    # "It MUST be the first line of every Media Playlist and every Multivariant Playlist" (§4.4.1.1)
    if not text.removeprefix("\ufeff").lstrip().startswith("#EXTM3U"):
        raise MediaError("it is no playlist: it does not begin with #EXTM3U")
    lines = text.splitlines()
    if len(lines) > LINE_LIMIT:
        raise MediaError(f"a playlist of more than {LINE_LIMIT} lines")
    if any(len(line) > LONGEST for line in lines):
        raise MediaError(f"a playlist with a line of more than {LONGEST} characters")
    if any(line.startswith("#EXT-X-DEFINE") for line in lines):
        raise MediaError("a playlist with variables (EXT-X-DEFINE), which are not read")
    try:
        found = m3u8.loads("\n".join(_lean(lines)))
        return list(_variants(found, url)) if found.is_variant else _listing(found, url)
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - what a parser in other hands raises for a stranger's text is not listed
        raise MediaError(f"a playlist that cannot be read: {type(error).__name__}") from None


def choose(variants: Sequence[UpstreamVariant], most: int) -> UpstreamVariant:
    """The variant of the highest bandwidth up to `most` bits/s, else the lowest one. MediaError if there is none.

    One with sound and picture in the same segments goes before all that have them apart, which would lose one of them.
    """
    fit = [one for one in variants if not any(c.strip().startswith(NOT_CARRIED) for c in one.codecs.split(","))]
    fit = [one for one in fit if LAST_CHOICE not in one.codecs] or fit
    if not fit:
        raise MediaError("no variant that is carried: H.264, H.265, AV1 and AAC are")
    whole = [one for one in fit if not one.parted] or fit
    bounded = [one for one in whole if one.bandwidth <= most]
    return max(bounded, key=lambda one: one.bandwidth) if bounded else min(whole, key=lambda one: one.bandwidth)


def _lean(lines: Sequence[str]) -> list[str]:
    """The lines that count, in the form of a playlist. Raises MediaError, ValueError."""
    once, several, segments = _sorted(lines)
    if len(several) > 2 * VARIANTS:
        raise MediaError(f"a playlist of more than {VARIANTS} variants")
    ended = "#EXT-X-ENDLIST" in once
    if ended and len(segments) > MOST:
        raise MediaError(f"a playlist of more than {MOST} segments")
    left_out = 0 if ended else max(0, len(segments) - RECENT)
    least = max(0, left_out - RECENT)
    while left_out > least and not _explicit(segments[left_out]):
        left_out -= 1
    if left_out and not _explicit(segments[left_out]):
        raise MediaError("a playlist whose byte ranges do not say where they begin")
    first = int(once.pop("#EXT-X-MEDIA-SEQUENCE", ":0").partition(":")[2]) + left_out
    found = ["#EXTM3U", f"#EXT-X-MEDIA-SEQUENCE:{first}", *several, *once.values()]
    for segment in segments[left_out:]:
        found += segment.values()
    return found


def _sorted(lines: Sequence[str]) -> tuple[dict[str, str], list[str], list[dict[str, str]]]:
    """Tags of the whole playlist, lines about variants, and the segments, each with the key and section it has."""
    once: dict[str, str] = {}
    several: list[str] = []
    segments: list[dict[str, str]] = []
    tags: dict[str, str] = {}
    state: dict[str, str] = {}
    for line in map(str.strip, lines):
        tag = line.partition(":")[0]
        if tag in _BEFORE:
            tags[tag] = line
        elif tag in _ONCE:
            once[tag] = line
        elif tag == "#EXT-X-MEDIA":
            several.append(line)
        elif line and line[0] != "#":
            if "#EXTINF" in tags:
                state = {**state, **{one: tags.pop(one) for one in (_KEY, _MAP) if one in tags}}
                segments.append({**state, **tags, "": line})
            elif "#EXT-X-STREAM-INF" in tags:
                several += [tags["#EXT-X-STREAM-INF"], line]
            tags = {}
    return once, several, segments


def _explicit(segment: dict[str, str]) -> bool:
    """Whether the range of a segment, if it has one, does not begin where that of the one before it ends."""
    return "#EXT-X-BYTERANGE" not in segment or "@" in segment["#EXT-X-BYTERANGE"]


def _variants(found: Any, url: str) -> Iterator[UpstreamVariant]:  # noqa: ANN401 - m3u8 has no types
    apart = {(one.type, one.group_id) for one in found.media if one.uri}
    for one in found.playlists:
        info = one.stream_info
        parted = ("AUDIO", info.audio) in apart or ("VIDEO", info.video) in apart
        yield UpstreamVariant(urljoin(url, one.uri), int(info.bandwidth or 0), info.codecs or "", parted)


def _listing(found: Any, url: str) -> UpstreamPlaylist:  # noqa: ANN401 - m3u8 has no types
    # "The EXT-X-TARGETDURATION tag is REQUIRED" (§4.4.3.1)
    target = float(found.target_duration or 0)
    if not 0 < target <= 3600:
        raise MediaError("a playlist without a target duration")
    first = int(found.media_sequence or 0)
    if first < 0:
        raise MediaError("a playlist that begins below zero")
    pieces: list[Piece] = []
    for msn, one in enumerate((each for each in found.segments if each.uri), first):
        duration = float(one.duration or 0)
        if not (math.isfinite(duration) and 0 <= duration <= 3600):
            raise MediaError("a segment with a duration that cannot be")
        before = pieces[-1].part if pieces else None
        part = _part(urljoin(url, one.uri), one.byterange, before)
        section = one.init_section
        init = _part(urljoin(url, section.uri), section.byterange, None) if section is not None else None
        pieces.append(Piece(msn, part, duration, bool(one.discontinuity), bool(one.gap_tag), init, _key(one.key, url)))
    return UpstreamPlaylist(target, pieces, bool(found.is_endlist))


def _part(url: str, byterange: str | None, before: UpstreamPart | None) -> UpstreamPart:
    """The resource or its range: "If o is not present, the sub-range begins at the next byte" (§4.4.4.2)."""
    if not byterange:
        return UpstreamPart(url)
    size, _, start = byterange.strip('"').partition("@")
    if start:
        span = ByteSpan(int(start), int(size))
    elif before is not None and before.url == url and before.span is not None:
        span = ByteSpan(before.span.start + before.span.size, int(size))
    else:
        span = ByteSpan(0, int(size))
    if span.start < 0 or span.size <= 0:
        raise MediaError("a byte range that is none")
    return UpstreamPart(url, span)


def _key(found: Any, url: str) -> KeyTag | None:  # noqa: ANN401 - m3u8 has no types
    if found is None or not found.method or found.method == "NONE":
        return None
    iv = bytes.fromhex(found.iv[2:].rjust(32, "0")) if found.iv else None
    if iv is not None and len(iv) != 16:
        raise MediaError("an initialisation vector that is none")
    return KeyTag(str(found.method), urljoin(url, found.uri or ""), iv, found.keyformat or "identity")
