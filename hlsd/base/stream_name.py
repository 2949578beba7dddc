"""Says what an app and a stream may be called: one rule for URLs, publishers, relays, settings, answers and the API.

A name is made of RFC 3986's unreserved characters, so that it stands in a URL as it is ("ALPHA / DIGIT / "-" / "." /
"_" / "~"", §2.3). It does not begin with `.` (a step up, a hidden file) nor with `~` (what a session's step of a URL
begins with), holds no `..`, and is at most `LONGEST` characters. Names are case-sensitive and never altered.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 128
"""Characters of an app and of a stream."""
LETTERS: Final = f"1 to {LONGEST} of A-Z a-z 0-9 . _ ~ -"
"""What a name is made of, in words for who chose another."""
PATTERN: Final = r"[A-Za-z0-9_-][A-Za-z0-9_~-]*(?:\.[A-Za-z0-9_~-]+)*\.?"
"""A name as a regular expression for settings and schemas (any dialect, in linear time); `LONGEST` goes beside it."""
PATH_PATTERN: Final = f"/?{PATTERN}/{PATTERN}"
"""`app/stream` likewise, with or without a slash before it."""
RESERVED_APPS: Final = frozenset({"_", "api", "healthz", "metrics", "readyz"})
"""First steps of paths that are the server's own."""
SUFFIXES: Final = ("/index.m3u8", "/master.m3u8", ".m3u8", ".flv")
"""What a URL may have behind a stream's path."""

_NAME: Final = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._~-]{{0,{LONGEST - 1}}}")  # with the look for `..`: faster


def is_name(text: str) -> bool:
    """Whether an app or a stream may be called so."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def read_path(text: str) -> tuple[str, str] | None:
    """App and name of `app/stream` or `/app/stream`; None if it is no such path."""
    app, _, name = text.removeprefix("/").partition("/")
    return (app, name) if is_name(app) and is_name(name) else None


def bare(path: str, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """The path of a stream's URL without one known suffix: `/live/cam` of `/live/cam/index.m3u8`."""
    for suffix in suffixes:
        if path.endswith(suffix):
            return path[: -len(suffix)]
    return path


def fault(app: str, name: str) -> str:
    """What is wrong with the name of a stream, in words for who chose it; empty if nothing is."""
    for what, text in (("app", app), ("stream", name)):
        if not is_name(text):
            return f"{what} name must be {LETTERS}"
    return f"app name {app!r} belongs to the server" if app in RESERVED_APPS else ""
