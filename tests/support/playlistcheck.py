"""Judges the text of HLS playlists by the rules of draft-pantos-hls-rfc8216bis and of Apple's authoring specification.

Rule ids are those of the project's rule list: P playlist text, MV multivariant, MP media playlist. Level M must,
A Apple's must, S should. Nothing here parses with a library: a lenient parser would hide what a strict player sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Violation(NamedTuple):
    """A rule that does not hold, and where."""

    rule: str
    text: str


class Snapshot(NamedTuple):
    """A playlist as it was at a moment (seconds, any epoch)."""

    at: float
    text: str


_MULTIVARIANT = {"EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA"}
_MEDIA = {
    "EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-GAP", "EXT-X-PART", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-PART-INF", "EXT-X-SERVER-CONTROL", "EXT-X-SKIP",
    "EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT",
}  # fmt: skip
_ONCE = {
    "EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-PLAYLIST-TYPE", "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-SKIP", "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-START", "EXT-X-ENDLIST",
}  # fmt: skip
_ATTRIBUTE_TAGS = {
    "EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-MAP", "EXT-X-KEY", "EXT-X-PART",
    "EXT-X-PART-INF", "EXT-X-SERVER-CONTROL", "EXT-X-SKIP", "EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT",
    "EXT-X-START", "EXT-X-SESSION-DATA",
}  # fmt: skip
_QUOTED = {"URI", "CODECS", "NAME", "GROUP-ID", "BYTERANGE", "AUDIO", "SUBTITLES", "VIDEO", "LANGUAGE"}
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)')
_DECIMAL = re.compile(r"\d+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:?\d\d)")
_BEFORE_SEGMENT = ("EXT-X-DISCONTINUITY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-PART", "EXTINF", "URI")


@dataclass(slots=True)
class ListedSegment:
    """A segment of a media playlist with its tags in their order of appearance."""

    msn: int
    uri: str
    duration: float
    duration_text: str
    discontinuity_number: int
    tags: list[str]
    date: datetime | None
    init: str | None
    gap: bool

    @property
    def discontinuity(self) -> bool:
        """Whether EXT-X-DISCONTINUITY stands before it."""
        return "EXT-X-DISCONTINUITY" in self.tags


@dataclass(slots=True)
class MediaPlaylist:
    """A media playlist as plain values."""

    version: int = 1
    target: int = 0
    first: int = 0
    discontinuity_sequence: int = 0
    ended: bool = False
    tags: list[str] = field(default_factory=list)
    segments: list[ListedSegment] = field(default_factory=list)


def parse_attributes(text: str) -> dict[str, str]:
    """An attribute list as a mapping; values keep their quotes. ValueError if it breaks §4.2."""
    found: dict[str, str] = {}
    at = 0
    while True:
        match = _ATTRIBUTE.match(text, at)
        if not match:
            msg = f"no attribute at {text[at:]!r}"
            raise ValueError(msg)
        if match[1] in found:
            msg = f"{match[1]} twice"
            raise ValueError(msg)
        found[match[1]] = match[2]
        at = match.end()
        if at == len(text):
            return found
        if text[at] != ",":
            msg = f"no comma at {text[at:]!r}"
            raise ValueError(msg)
        at += 1


def check_playlist(
    text: str, history: Sequence[Snapshot] = (), at: float | None = None, *, variants: int = 1
) -> list[Violation]:
    """Judges a playlist of either kind.

    `history` holds the earlier texts of the same playlist, oldest first; `at` is the time of this one, for MP09.
    `variants`: how many a multivariant playlist is to have, no more and no fewer.
    """
    found = _check_text(text)
    lines = text.splitlines()
    names = [_name(line) for line in lines if line.startswith("#EXT")]
    if "EXT-X-STREAM-INF" in names:
        return found + _check_multivariant(lines, variants)
    try:
        playlist = _read(text)
    except ValueError as error:
        return [*found, Violation("P03", str(error))]
    found += _check_media(playlist)
    if history:
        found += _check_change(playlist, history, at)
    else:
        found += _check_first(playlist)
    return found


@lru_cache(maxsize=8192)  # as `_check_tag`
def _name(line: str) -> str:
    return line[1:].split(":", 1)[0]


def _check_text(text: str) -> list[Violation]:
    found = []
    if not text.startswith(("#EXTM3U\n", "#EXTM3U\r\n")):
        found.append(Violation("P01", f"the first line is {text[:20]!r}"))
    if text.startswith("\ufeff") or re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", text):
        found.append(Violation("P01", "a byte order mark or a control character"))
    if not text.endswith("\n"):
        found.append(Violation("P01", "no newline at the end"))
    lines = [line for line in text.splitlines() if line.startswith("#EXT")]
    names = [_name(line) for line in lines]
    if set(names) & _MULTIVARIANT and set(names) & _MEDIA:
        found.append(Violation("P05", f"{set(names) & _MULTIVARIANT} beside {set(names) & _MEDIA}"))
    found += [Violation("P06", f"{name} {names.count(name)} times") for name in _ONCE if names.count(name) > 1]
    for line in lines:
        found += _check_tag(line)
    return found + _check_version(lines, names)


@lru_cache(maxsize=4096)  # most lines of a playlist stood in the one before
def _check_tag(line: str) -> tuple[Violation, ...]:
    return tuple(_faults_of(line))


def _faults_of(line: str) -> list[Violation]:
    name, _, value = line[1:].partition(":")
    if name == "EXTINF":
        duration, comma, _ = value.partition(",")
        if not comma or not _DECIMAL.fullmatch(duration):
            return [Violation("P03", line)]
    if name not in _ATTRIBUTE_TAGS:
        return []
    try:
        attributes = parse_attributes(value)
    except ValueError as error:
        return [Violation("P03", f"{line}: {error}")]
    found = []
    for key, content in attributes.items():
        quoted = content.startswith('"')
        if key in _QUOTED and not quoted:
            found.append(Violation("P03", f"{key} must be quoted in {line}"))
        if key not in _QUOTED and quoted and (key in {"TYPE", "RESOLUTION"} or content[1:-1] in {"YES", "NO"}):
            found.append(Violation("P03", f"{key} must not be quoted in {line}"))
        if not quoted and re.fullmatch(r"[\d.]+[eE][+-]?\d+", content):
            found.append(Violation("P03", f"{key} is not in plain notation in {line}"))
    return found


def _check_version(lines: list[str], names: list[str]) -> list[Violation]:
    stated = [line.partition(":")[2] for line in lines if _name(line) == "EXT-X-VERSION"]
    if len(stated) != 1 or not stated[0].isdigit():
        return [Violation("P04", f"EXT-X-VERSION is {stated}")]
    needed = 1
    if any(_name(line) == "EXTINF" and "." in line for line in lines):
        needed = 3
    for tag, version in (("EXT-X-BYTERANGE", 4), ("EXT-X-MAP", 6), ("EXT-X-DEFINE", 8), ("EXT-X-SKIP", 9)):
        if tag in names:
            needed = max(needed, version)
    return [Violation("P04", f"version {stated[0]}, needs {needed}")] if int(stated[0]) < needed else []


def _check_multivariant(lines: list[str], wanted: int) -> list[Violation]:
    found = []
    groups: dict[str, set[str]] = {}
    for line in lines:
        if _name(line) == "EXT-X-MEDIA":
            attributes = _attributes(line)
            if not {"TYPE", "GROUP-ID", "NAME"} <= set(attributes):
                found.append(Violation("MV11", line))
            groups.setdefault(attributes.get("TYPE", ""), set()).add(attributes.get("GROUP-ID", ""))
    if "#EXT-X-INDEPENDENT-SEGMENTS" not in lines:
        found.append(Violation("MV10", "no EXT-X-INDEPENDENT-SEGMENTS"))
    variants = 0
    for number, line in enumerate(lines):
        if _name(line) != "EXT-X-STREAM-INF":
            continue
        variants += 1
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not following or following.startswith("#"):
            found.append(Violation("MV01", "no URI line after EXT-X-STREAM-INF"))
        found += _check_variant(_attributes(line), groups)
    uris = [line for line in lines if line and not line.startswith("#")]
    sized = [_attributes(line).get("RESOLUTION") for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
    if variants != wanted or len(set(uris)) < len(uris) or sized.count(None) > 1:
        found.append(Violation("MV13", f"{variants} variants, {sized}"))
    return found


def _attributes(line: str) -> dict[str, str]:
    try:
        return parse_attributes(line.partition(":")[2])
    except ValueError:
        return {}


def _check_variant(attributes: dict[str, str], groups: dict[str, set[str]]) -> list[Violation]:
    found = []
    if not attributes.get("BANDWIDTH", "").isdigit():
        found.append(Violation("MV01", f"BANDWIDTH={attributes.get('BANDWIDTH')}"))
    codecs = attributes.get("CODECS", '""').strip('"').split(",")
    if codecs == [""]:
        return [*found, Violation("MV02", "no CODECS")]
    video = [codec for codec in codecs if codec.startswith(("avc1", "hvc1", "hev1", "av01"))]
    forms = r"avc1\.[0-9a-f]{6}|mp4a\.40\.\d+|hvc1\.[ABC]?\d+\.[0-9A-F]+\.[LH]\d+(\.[0-9A-F]{1,2}){0,6}"
    forms += r"|av01\.[012]\.\d\d[MH]\.(08|10|12)"  # the short form, which every browser takes
    found += [Violation("MV15", codec) for codec in codecs if not re.fullmatch(forms, codec)]
    wanted = (("RESOLUTION", "MV04", r"\d+x\d+"), ("FRAME-RATE", "MV06", r"\d+\.\d{3}"))
    for name, rule, form in wanted:
        value = attributes.get(name)
        if video and not (value and re.fullmatch(form, value)):
            found.append(Violation(rule, f"{name}={value}"))
        if not video and value:
            found.append(Violation("MV13", f"{name}={value} without video"))
    if not attributes.get("AVERAGE-BANDWIDTH", "").isdigit():
        found.append(Violation("MV09", f"AVERAGE-BANDWIDTH={attributes.get('AVERAGE-BANDWIDTH')}"))
    for kind in ("AUDIO", "SUBTITLES"):
        if kind in attributes and attributes[kind] not in groups.get(kind, set()):
            found.append(Violation("MV11", f"{kind}={attributes[kind]} names no group"))
    return found


def parse_media(text: str) -> MediaPlaylist:  # noqa: PLR0912 - one branch a tag
    """Reads a media playlist; ValueError for what has no meaning."""
    playlist = MediaPlaylist()
    pending: list[str] = []
    duration = ""
    date: datetime | None = None
    init: str | None = None
    discontinuities = 0
    for line in text.splitlines():
        if line.startswith("#EXT"):
            name, _, value = line[1:].partition(":")
            playlist.tags.append(name)
            match name:
                case "EXT-X-PART":  # most lines
                    pass
                case "EXT-X-VERSION":
                    playlist.version = int(value)
                case "EXT-X-TARGETDURATION":
                    playlist.target = int(value)
                case "EXT-X-MEDIA-SEQUENCE":
                    playlist.first = int(value)
                case "EXT-X-DISCONTINUITY-SEQUENCE":
                    playlist.discontinuity_sequence = int(value)
                case "EXT-X-ENDLIST":
                    playlist.ended = True
                case "EXTINF":
                    duration = value.partition(",")[0]
                case "EXT-X-PROGRAM-DATE-TIME":
                    date = datetime.fromisoformat(value)
                case "EXT-X-MAP":
                    init = parse_attributes(value)["URI"].strip('"')
                case "EXT-X-DISCONTINUITY":
                    discontinuities += 1
            if name in _BEFORE_SEGMENT or name == "EXT-X-GAP":
                pending.append(name if name != "EXT-X-PROGRAM-DATE-TIME" or _DATE.fullmatch(value) else "BAD-DATE")
        elif line and not line.startswith("#"):
            number = playlist.first + len(playlist.segments)
            seconds = float(duration) if _DECIMAL.fullmatch(duration) else -1.0
            playlist.segments.append(
                ListedSegment(
                    number, line, seconds, duration, discontinuities, pending, date, init, "EXT-X-GAP" in pending
                )
            )
            pending, duration, date = [], "", None
    for segment in playlist.segments:
        segment.discontinuity_number += playlist.discontinuity_sequence
    return playlist


_read = lru_cache(maxsize=8)(parse_media)
"""For those here, who change nothing of it: each playlist is read twice, as the new one and then as the one before."""


def _check_media(playlist: MediaPlaylist) -> list[Violation]:
    found = []
    if playlist.target < 1:
        found.append(Violation("MP01", f"EXT-X-TARGETDURATION {playlist.target}"))
    if "EXT-X-MEDIA-SEQUENCE" not in playlist.tags:
        found.append(Violation("MP04", "no EXT-X-MEDIA-SEQUENCE"))
    if "EXT-X-PLAYLIST-TYPE" in playlist.tags:
        found.append(Violation("MP10", "EXT-X-PLAYLIST-TYPE in a live playlist"))
    if "EXT-X-DISCONTINUITY-SEQUENCE" not in playlist.tags:
        found.append(Violation("MP17", "no EXT-X-DISCONTINUITY-SEQUENCE"))
    elif "EXTINF" in playlist.tags and playlist.tags.index("EXT-X-DISCONTINUITY-SEQUENCE") > playlist.tags.index(
        "EXTINF"
    ):
        found.append(Violation("MP17", "EXT-X-DISCONTINUITY-SEQUENCE after a segment"))
    uris = [segment.uri for segment in playlist.segments]
    found += [Violation("MP19", f"{uri} listed twice") for uri in set(uris) if uris.count(uri) > 1]
    before: ListedSegment | None = None
    for segment in playlist.segments:
        found += _check_segment(playlist, segment, before)
        before = segment
    return found


def _check_segment(playlist: MediaPlaylist, segment: ListedSegment, before: ListedSegment | None) -> list[Violation]:
    found = []
    where = f"segment {segment.msn}"
    if int(segment.duration + 0.5) > playlist.target:
        found.append(Violation("MP02", f"{where}: {segment.duration} s, target {playlist.target}"))
    if segment.duration > playlist.target + 0.5:
        found.append(Violation("MP20", f"{where}: {segment.duration} s, target {playlist.target}"))
    if len(segment.duration_text.partition(".")[2]) < 5:
        found.append(Violation("MP13", f"{where}: EXTINF {segment.duration_text}"))
    if "EXT-X-PROGRAM-DATE-TIME" not in segment.tags:
        found.append(Violation("MP14", f"{where}: no (well-formed) EXT-X-PROGRAM-DATE-TIME"))
    if before is None:
        if segment.init is None and re.search(r"\.(m4s|mp4|m4v|cmfv)$", segment.uri):
            found.append(Violation("MP18", f"{where}: fMP4 without EXT-X-MAP"))
    elif not segment.discontinuity:
        found += _check_run(segment, before, where)
    order = [_BEFORE_SEGMENT.index(tag) for tag in segment.tags if tag in _BEFORE_SEGMENT]
    if order != sorted(order):
        found.append(Violation("MP21", f"{where}: {segment.tags}"))
    return found


def _check_run(segment: ListedSegment, before: ListedSegment, where: str) -> list[Violation]:
    """What runs on from one segment to the next while no discontinuity stands between them."""
    found = []
    if before.init != segment.init:
        found.append(Violation("MP18", f"{where}: another EXT-X-MAP without EXT-X-DISCONTINUITY"))
    if before.date and segment.date:
        drift = (segment.date - before.date).total_seconds() - before.duration
        if abs(drift) > 0.5:
            found.append(Violation("MP15", f"{where}: the date jumps by {drift:.3f} s"))
        elif abs(drift) > 0.1:
            found.append(Violation("MP16", f"{where}: the date is {drift:.3f} s off"))
    return found


def _check_first(playlist: MediaPlaylist) -> list[Violation]:
    found = []
    if playlist.first < 1:
        found.append(Violation("MP22", "the media sequence starts at 0"))
    return found


def _check_change(playlist: MediaPlaylist, history: Sequence[Snapshot], at: float | None) -> list[Violation]:
    before = _read(history[-1].text)
    found = _check_kept(before, playlist) + _check_removed(before, playlist)
    if before.target != playlist.target:
        found.append(Violation("MP03", f"EXT-X-TARGETDURATION {before.target} became {playlist.target}"))
    if playlist.first < before.first:
        found.append(Violation("MP04", f"EXT-X-MEDIA-SEQUENCE fell from {before.first} to {playlist.first}"))
    if before.ended and len(playlist.segments) != len(before.segments):
        found.append(Violation("EN01", "the playlist changed after EXT-X-ENDLIST"))
    # EN03: while the publisher is away and at the end nothing new can come in time.
    if at is not None and playlist.segments and before.segments and not playlist.ended:
        latest = before.segments[-1].msn
        newest = next(
            (number for number in reversed(range(len(history))) if _last(history[number].text) < latest), None
        )
        if playlist.segments[-1].msn > latest and newest is not None:
            late = at - history[newest + 1].at
            if late > 1.5 * playlist.target:
                found.append(Violation("MP09", f"segment {latest + 1} came {late:.2f} s after the one before it"))
    return found


def _check_kept(before: MediaPlaylist, playlist: MediaPlaylist) -> list[Violation]:
    """What is still listed is as it was; what is new is at the end."""
    found = []
    old = {segment.msn: segment for segment in before.segments}
    new = {segment.msn: segment for segment in playlist.segments}
    for msn in old.keys() & new.keys():
        was, now = old[msn], new[msn]
        if (was.uri, was.duration_text, was.discontinuity_number) != (
            now.uri, now.duration_text, now.discontinuity_number,
        ):  # fmt: skip
            found.append(Violation("MP05", f"segment {msn} was {was}, is {now}"))
        # Parts of a segment may go (LL18); everything else about a listed segment stays.
        elif (was.date, was.init, was.gap, _without_parts(was)) != (now.date, now.init, now.gap, _without_parts(now)):
            found.append(Violation("MP06", f"the tags of segment {msn} changed: {was.tags}, {now.tags}"))
    if new and old and min(new) > max(old) + 1:
        found.append(Violation("MP06", f"segments {max(old) + 1}..{min(new) - 1} were never listed"))
    if new and old and max(new) < max(old):
        found.append(Violation("MP06", f"segment {max(old)} vanished from the end"))
    uris = {segment.uri: msn for msn, segment in old.items()}
    found += [
        Violation("MP19", f"{segment.uri} was segment {uris[segment.uri]}, is {msn}")
        for msn, segment in new.items()
        if uris.get(segment.uri, msn) != msn
    ]
    return found


def _check_removed(before: MediaPlaylist, playlist: MediaPlaylist) -> list[Violation]:
    """What left the playlist left it in time and was counted."""
    if playlist.first <= before.first:
        return []
    found = []
    length = sum(segment.duration for segment in playlist.segments)
    if length < 3 * playlist.target:
        found.append(Violation("MP07", f"trimmed to {length:.3f} s"))
    if len(playlist.segments) < 6:
        found.append(Violation("MP08", f"trimmed to {len(playlist.segments)} segments"))
    raised = playlist.discontinuity_sequence - before.discontinuity_sequence
    tags = sum(segment.discontinuity for segment in before.segments if segment.msn < playlist.first)
    if raised != tags:
        found.append(Violation("MP17", f"{tags} EXT-X-DISCONTINUITY removed, sequence raised by {raised}"))
    return found


def _last(text: str) -> int:
    segments = parse_media(text).segments
    return segments[-1].msn if segments else -1


def _without_parts(segment: ListedSegment) -> list[str]:
    """The tags that stay. EXT-X-MAP moves to whichever segment is the first; what it names is compared apart."""
    return [tag for tag in segment.tags if tag not in {"EXT-X-PART", "EXT-X-MAP"}]
