"""Says how an address may be shown, and what of a text may: the one place that knows where secrets stand in a URL.

Law: of an address that others gave us or that we go to, scheme, host and port are shown, the names of its arguments,
and in RTMP the application. The rest may be a secret and is starred out: user and password, the values of arguments,
the path (an RTMP URL ends in the stream key; webhooks and players' lists have tokens in theirs). In a template fields
are shown, for they are no values yet. What has been masked once stays as it is. Never raises. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
SECRETS: Final = frozenset({
    "access_token", "api_key", "apikey", "auth", "auth_key", "authorization", "hdnts", "id_token", "jwt", "key",
    "lal_secret", "md5", "pass", "passwd", "password", "policy", "pwd", "secret", "sign", "signature", "token",
    "txsecret", "wmsauthsign",
})  # fmt: skip
"""Arguments of a request that are masked wherever they leave the process."""
LONGEST: Final = 512
"""Characters of an address that are shown."""
_SHORTEST: Final = 4
"""Characters from which on a part of an address is looked for in a text: shorter ones are found in every word."""

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.IGNORECASE | re.DOTALL)
_IN_TEXT: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]*", re.IGNORECASE)
_PLACE: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]*\]|[A-Za-z0-9._-]*)(?::[0-9]{0,5})?")
_FIELD: Final = re.compile(r"\{[^{}]*\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_PLAIN: Final = re.compile(r"[._~-]*|\.(?:flv|m3u8|ts)|(?:index|master)\.m3u8")
"""What may stand beside fields."""


def address(url: str) -> str:
    """The address as it may be shown anywhere."""
    shown = "".join(char if char.isprintable() else "_" for char in url[:LONGEST])
    parts = _URL.fullmatch(shown)
    if parts is None:
        return shown if shown.startswith(("file:", "/")) and "?" not in shown else MASK
    scheme, authority, path, query, fragment = parts.groups()
    if scheme == "file":
        return shown
    user, at, place = authority.rpartition("@")
    if not _PLACE.fullmatch(place):  # no host and port: it may be half of a password with a slash in it
        return f"{scheme}://{MASK}"
    found = f"{scheme}://{MASK if user else ''}{at}{place}{_path(path, scheme)}"
    if query is not None:
        found += "?" + "&".join(map(_argument, query.split("&")))
    return found + (f"#{MASK}" if fragment else "")


def text(words: str) -> str:
    """A text with every address in it as `address` shows it."""
    return _IN_TEXT.sub(lambda match: address(match[0]), words) if "://" in words else words


def without(words: str, *urls: str) -> str:
    """A text of somebody else's (a server's refusal) without what is secret in the addresses that it may speak of."""
    for secret in sorted({part for url in urls for part in _hidden(url)}, key=len, reverse=True):
        words = words.replace(secret, MASK)
    return text(words)


def arguments(query: Mapping[str, str]) -> dict[str, str]:
    """A peer's arguments with secrets replaced, by their names."""
    return {name: MASK if name.lower() in SECRETS else value for name, value in query.items()}


def page(url: str) -> str:
    """The address of a page that refers to us, with the values of secret arguments replaced."""
    head, mark, query = url.partition("?")
    if not mark or not any(pair.partition("=")[0].lower() in SECRETS for pair in query.split("&")):
        return url
    pairs = [pair.partition("=") for pair in query.split("&")]
    shown = [f"{key}={MASK}" if key.lower() in SECRETS else key + mid + value for key, mid, value in pairs]
    return f"{head}?{'&'.join(shown)}"


def _path(path: str, scheme: str) -> str:
    steps = path.split("/")
    found: list[str] = []
    for number, step in enumerate(steps):
        is_app = number == 1 and len(steps) > 2 and scheme.lower() in {"rtmp", "rtmps"}
        shown = step if not step or is_app or _is_open(step) else MASK
        if shown != MASK or found[-1] != MASK:
            found.append(shown)
    return "/".join(found)


def _is_open(part: str) -> bool:
    """Whether it is made of fields alone."""
    return ("{" in part and all(_PLAIN.fullmatch(piece) for piece in _FIELD.split(part))) or part == "index.m3u8"


def _argument(pair: str) -> str:
    name, _, value = pair.partition("=")
    if not pair or _is_open(pair):
        return pair
    if not value or not _NAME.fullmatch(name):  # a token alone, and base64 ends in "="
        return MASK
    return pair if _is_open(value) else f"{name}={MASK}"


def _hidden(url: str) -> Iterator[str]:
    """The parts of an address that `address` does not show, as they are written and as they are meant."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return
    scheme, authority, path, query, _ = parts.groups()
    user, _, _ = authority.rpartition("@")
    steps = path.split("/")[1:]
    if scheme.lower() in {"rtmp", "rtmps"} and len(steps) > 1:
        steps = steps[1:]
    pieces = [*user.split(":"), *steps, "/".join(steps)]
    for pair in (query or "").split("&"):
        name, equals, value = pair.partition("=")
        pieces += [value, pair] if equals else [name]
    if query:
        pieces.append(query)
    for piece in pieces:
        if len(piece) >= _SHORTEST and not _is_open(piece):
            yield piece
            yield unquote(piece)
