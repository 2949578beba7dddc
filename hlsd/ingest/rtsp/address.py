"""Reads RTSP URLs: which stream, which arguments, and which of its tracks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

from hlsd.base.stream_name import fault

ARGUMENTS: Final = 64


class RtspTarget(NamedTuple):
    """A stream, as a URL names it; `query` holds secrets: never log it."""

    app: str
    name: str
    query: Mapping[str, str] = {}


def read_url(url: str) -> RtspTarget | str:
    """The stream of `rtsp://host[:port]/app/name[?query]`, or why it is none, in words for who asked."""
    scheme, found, rest = url.partition("://")
    if not found or scheme.lower() not in ("rtsp", "rtspu", "rtsps"):
        return "the URL must begin with rtsp://"
    _, _, behind = rest.partition("/")
    path, _, query = behind.partition("?")
    app, _, name = unquote(path.strip("/")).partition("/")
    wrong = fault(app, name)
    if wrong:
        return wrong
    arguments: dict[str, str] = {}
    for piece in query.rstrip("/").split("&")[:ARGUMENTS]:
        key, _, value = piece.partition("=")
        if key:
            arguments.setdefault(unquote(key), unquote(value.replace("+", " ")))
    return RtspTarget(app, name, arguments)


def control_of(url: str, controls: list[str]) -> int:
    """Which of these tracks a SETUP is for, by what its URL ends with; -1: none.

    Clients put a relative control behind the whole URL, its query included (ffmpeg, live555), so only the end is looked
    at. One track alone may be asked for by the stream's own URL.
    """
    for number, control in enumerate(controls):
        if url == control or url.rstrip("/").endswith("/" + control.rpartition("/")[2]):
            return number
    return 0 if len(controls) == 1 else -1
