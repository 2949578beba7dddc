"""Reads what a request asks for: its path, directives, range and preferences.

Pure: bytes in, values out. Every function takes what a stranger may send; the ones that can refuse raise `BadRequest`,
no other error leaves this module. It knows our URLs and the header syntax of RFC 9110, and nothing of streams.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from hlsd.base.stream_name import RESERVED_APPS, is_name
from hlsd.ports import ViewerSession

MAX_PATH = 1024
"""Bytes of raw path: six names of 128, percent-encoded here and there."""
MAX_QUERY = 4096
"""Bytes of raw query."""
MAX_ARGUMENTS = 64
"""Arguments of a query."""
MAX_DIRECTIVE = 2**53
"""Directives are decimal integers that a JavaScript player can hold exactly."""

WANTED_HEADERS = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"cmcd-session",
        b"host",
        b"if-none-match",
        b"if-range",
        b"origin",
        b"purpose",
        b"range",
        b"referer",
        b"sec-purpose",
        b"user-agent",
        b"x-forwarded-for",
        b"x-forwarded-prefix",
        b"x-playback-session-id",
    ),
)
"""The request headers that can change an answer, or that a session is known by; a caller needs to collect no others."""

RESERVED_SUFFIXES = (".flv", ".jpg", ".webp")
"""Endings of `/{app}/{name}` that belong to other services."""

RECORD_LISTS = ("list.json", "days.json")
"""What tells of a stream's recordings, below `r`."""
_RECORD = re.compile(r"[0-9a-f]{16}(?:\.[a-z0-9]{2,4})?")
"""What stands behind `r/` in the path of a recording: its id (`hlsd.record.take.new_take_id`), and an ending."""
_FILM = re.compile(
    r"(?:index\.m3u8|[0-9]{1,2}\.jpg|[0-9]{23}s[0-9]\.(?:m3u8|vtt)|[0-9]{24}(?:\.(?:m3u8|mp4|vtt)|(?:p|a[1-8])\.m3u8))"
)
"""The same behind `v/`, of a film (`hlsd.vod.job`): the list of its renditions, a cover, a rendition, a track."""
_DATED = re.compile(r"([0-9]{23})/(?:\1[01]\.m3u8|[0-9]{1,2}\.jpg)")
"""A film's id and file behind `yyyy/mm/dd/` (`hlsd.vod.compat`)."""
_FILM_PART = re.compile(r"[0-9]{24}(?:p|a[1-8])?")
_SHIFT = re.compile(r"(?:archive|rewind|timeshift_abs|timeshift_rel)-.*\.m3u8")
"""The last step of a path of the past of a stream (`hlsd.timeshift.forms`), well formed or not."""
_DIGITS = re.compile(r"[0-9]{1,17}")
_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_CMCD_SID = re.compile(rb'(?:^|[,= ])sid="([^"]{1,64})"')
_QVALUE = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_KNOWN = frozenset(("_HLS_msn", "_HLS_part", "_HLS_skip", "audio", "dvr", "flat", "sid"))


class BadRequest(Exception):
    """The request cannot be understood: status 400, with words for the player's author."""


@dataclass(slots=True)
class Request:
    """A request as the wire had it.

    `path` and `query` are raw (percent-encoded, without `?`); `headers` maps the lower-case names of `WANTED_HEADERS`
    that were sent to their values. `peer` is the viewer's address. The judge notes in `session` whose request it is.
    `prefix` is what a proxy and the host of a mount took off the path; `mount` is the host's share of it.
    `begun` is the monotonic time when it was read, and `waited` whether it was held on purpose: for figures.
    """

    method: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    peer: str = ""
    peer_port: int = 0
    session: ViewerSession | None = None
    size: int = 0
    """Bytes of its head, or nearly."""
    begun: float = 0.0
    waited: bool = False
    prefix: str = ""
    mount: str = ""


class Target(NamedTuple):
    """What a path names.

    `kind`: "multivariant", "playlist" (media playlist), "media", "page" (`/{app}/{name}`), "foreign" (of another
    service).
    `variant` is the relative base of the media playlists' URIs in a multivariant playlist: `cam/` or nothing.
    `rendition` is which one of the run's it is of; empty in paths of before there were any, which mean the main one.
    """

    kind: Literal["multivariant", "playlist", "media", "page", "foreign"]
    app: str
    name: str
    variant: str = ""
    sid: str = ""
    run: str = ""
    resource: str = ""
    rendition: str = ""


class Span(NamedTuple):
    """A satisfiable byte range: first byte and the one after the last."""

    start: int
    stop: int


def is_ours(path: bytes) -> bool:
    """Whether a raw path lies where streams are: `/{app}/{name}…` with an app that is not reserved."""
    if not path.startswith(b"/"):
        return False
    app, slash, rest = path[1:].partition(b"/")
    return bool(slash and app and rest) and _decode(app) not in RESERVED_APPS


def parse_path(path: bytes) -> Target | None:  # noqa: C901, PLR0912 - one line for each form
    """What a raw path names, or None where nothing of a stream can be.

    Raises:
        BadRequest: a name is none (`hlsd.base.stream_name`) after percent-decoding.
    """
    parts = [_decode(part) for part in path[1:].split(b"/")]
    page = parts[-1] == "" and len(parts) == 3  # /{app}/{name}/, a page only: below a playlist its URIs would not hold
    if page:
        parts.pop()
    _check_names(parts)
    match parts:
        case [app, name, "r"] if not page:
            return Target("foreign", app, name, run="r")
        case [app, name, "r", file] if file in RECORD_LISTS or _RECORD.fullmatch(file):
            return Target("foreign", app, name, run="r", resource=file)
        case [app, name, sid, "r", file] if sid[0] == "~" and _RECORD.fullmatch(file):
            return Target("foreign", app, name, sid=sid[1:], run="r", resource=file)
        case [app, name, sid, "r", record, file] if sid[0] == "~" and _RECORD.fullmatch(record):
            return Target("foreign", app, name, sid=sid[1:], run="r", resource=f"{record}/{file}")
        case [app, name, "v", file] if _FILM.fullmatch(file):
            return Target("foreign", app, name, run="v", resource=file)
        case [app, name, sid, "v", file] if sid[0] == "~" and _FILM.fullmatch(file):
            return Target("foreign", app, name, sid=sid[1:], run="v", resource=file)
        case [app, name, sid, "v", part, file] if sid[0] == "~" and _FILM_PART.fullmatch(part):
            return Target("foreign", app, name, sid=sid[1:], run="v", resource=f"{part}/{file}")
        case [yyyy, mm, _, ident, file] if _DATED.fullmatch(f"{ident}/{file}"):
            return Target("foreign", yyyy, mm, resource=file)
        case [app, name, file] if _SHIFT.fullmatch(file):
            return Target("foreign", app, name, run="d", resource=file)
        case [app, name, sid, "d", file] if sid[0] == "~":
            return Target("foreign", app, name, sid=sid[1:], run="d", resource=file)
        case [_, file] if page and file.endswith((".m3u8", *RESERVED_SUFFIXES)):
            return None
        case [app, file] if file.endswith(RESERVED_SUFFIXES):
            return Target("foreign", app, file)
        case [app, file] if file.endswith(".m3u8") and len(file) > len(".m3u8"):
            name = file[: -len(".m3u8")]
            return Target("multivariant", app, name, variant=f"{name}/")
        case [app, name]:
            return Target("page", app, name)
        case [app, name, "index.m3u8" | "master.m3u8"]:
            return Target("multivariant", app, name)
        case [app, name, "whip" | "whep" | "publish"]:
            return Target("foreign", app, name)
        case [app, name, "whip" | "whep" | "publish", ident]:
            return Target("foreign", app, name, resource=ident)
        case [app, name, sid, "index.m3u8"] if sid[0] == "~":
            return Target("playlist", app, name, sid=sid[1:])
        case [app, name, sid, rendition, "index.m3u8"] if sid[0] == "~":
            return Target("playlist", app, name, sid=sid[1:], rendition=rendition)
        case [app, name, sid, run, resource] if sid[0] == "~":
            return Target("media", app, name, sid=sid[1:], run=run, resource=resource)
        case [app, name, sid, rendition, run, resource] if sid[0] == "~":
            return Target("media", app, name, sid=sid[1:], run=run, resource=resource, rendition=rendition)
    return None


def parse_query(query: bytes) -> dict[str, str]:
    """The query parameters hlsd knows; others are ignored (DD13).

    Raises:
        BadRequest: a known parameter stands twice: two readers could take different ones.
    """
    known: dict[str, str] = {}
    if not query:
        return known
    for pair in query.decode("latin-1").split("&"):
        key, _, value = pair.partition("=")
        if "%" in key or "+" in key:
            key = unquote_plus(key)
        if key in _KNOWN:
            if key in known:
                raise BadRequest(f"{key} is given twice")
            known[key] = unquote_plus(value)
    return known


def arguments(query: bytes) -> dict[str, str]:
    """Every argument of a raw query, decoded: what authorisation and events see.

    Raises:
        BadRequest: more than `MAX_ARGUMENTS`, or one stands twice with two values, of which two readers could take
            different ones.
    """
    found: dict[str, str] = {}
    for pair in query.decode("latin-1").split("&") if query else ():
        key, _, value = pair.partition("=")
        key, value = unquote_plus(key), unquote_plus(value)
        if found.setdefault(key, value) != value:
            raise BadRequest("an argument is given twice")
    if len(found) > MAX_ARGUMENTS:
        raise BadRequest("too many arguments")
    return found


def parse_directive(name: str, value: str) -> int:
    """A delivery directive's decimal integer.

    Raises:
        BadRequest: it is malformed, negative or beyond `MAX_DIRECTIVE` (DD06).
    """
    if not _DIGITS.fullmatch(value) or int(value) > MAX_DIRECTIVE:
        raise BadRequest(f"{name} is not a decimal integer")
    return int(value)


def is_prefetch(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks ahead, for a page that nobody may ever open (Sec-Purpose, formerly Purpose)."""
    purpose = headers.get(b"sec-purpose", b"") or headers.get(b"purpose", b"")
    return purpose.strip().lower().startswith(b"prefetch")


def playback_id(headers: Mapping[bytes, bytes], query: bytes) -> str:
    """The player's own idea of its session: Apple's header, or `sid` of its CMCD report (CTA-5004); empty if none."""
    own = headers.get(b"x-playback-session-id")
    if own is None:
        report = headers.get(b"cmcd-session", b"")
        if not report and b"CMCD=" in query:
            report = unquote_to_bytes(query)
        found = _CMCD_SID.search(report)
        own = found[1] if found is not None else b""
    return own.decode("latin-1")[:128]


def accepts_gzip(header: bytes | None) -> bool:
    """Whether Accept-Encoding allows gzip; an explicit `gzip` outweighs `*`, q=0 forbids (RFC 9110 §12.5.3)."""
    if not header:
        return False
    if header == b"gzip, deflate, br, zstd" or header == b"gzip":  # noqa: PLR1714 - what browsers and ffmpeg send
        return True
    star = False
    for item in header.decode("latin-1").lower().split(","):
        coding, *parameters = (field.strip() for field in item.split(";"))
        if coding in ("gzip", "x-gzip"):
            return _quality(parameters) > 0
        if coding == "*":
            star = _quality(parameters) > 0
    return star


def accepts_html(header: bytes | None) -> bool:
    """Whether the Accept header names text/html: a browser's address bar, not a player."""
    return header is not None and b"text/html" in header.lower()


def etag_matches(header: bytes | None, etag: str) -> bool:
    """Whether If-None-Match holds `etag` by weak comparison (RFC 9110 §13.1.2)."""
    if header is None:
        return False
    text = header.decode("latin-1")
    if text.strip() == "*":
        return True
    return any(candidate.strip().removeprefix("W/") == etag for candidate in text.split(","))


def parse_range(header: bytes | None, size: int) -> Span | Literal["whole", "outside"]:
    """What of `size` bytes a Range header asks for.

    "whole" where there is no range, or one this server may ignore: another unit, several ranges, bad syntax
    (RFC 9110 §14.2: "a server MAY ignore the Range header field"); "outside" is status 416.
    """
    found = _RANGE.fullmatch(header.decode("latin-1").strip()) if header else None
    if found is None or found.group(0).endswith("=-"):
        return "whole"
    first, last = found.groups()
    if not first and not last:
        return "whole"
    if not first:
        suffix = _clamp(last)
        return Span(max(0, size - suffix), size) if suffix and size else "outside"
    start = _clamp(first)
    if last and _clamp(last) < start:
        return "whole"  # "invalid if the last-pos value is present and less than first-pos" (§14.1.1)
    if start >= size:
        return "outside"
    return Span(start, min(size, _clamp(last) + 1) if last else size)


def _clamp(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < 18 else 10**18


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QVALUE.fullmatch(value) else 0.0
    return 1.0


def _decode(part: bytes) -> str:
    return (unquote_to_bytes(part) if b"%" in part else part).decode("latin-1")


def _check_names(parts: list[str]) -> None:
    for index, part in enumerate(parts):
        if not is_name(part[1:] if index == 2 and part[:1] == "~" else part):
            raise BadRequest("a name in the path is not allowed")
