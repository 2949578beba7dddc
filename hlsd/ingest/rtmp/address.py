"""Reads where a publisher wants to go: app, name and arguments, out of connect and publish.

Encoders put the arguments behind the key, behind the app or into tcUrl. All are merged; the publish name wins, except
for credentials: one that comes twice with different values is refused, for which of them was checked? Names are
case-sensitive and never altered.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from hlsd.base.errors import ProtocolError
from hlsd.base.stream_name import LETTERS, is_name

CREDENTIALS = frozenset({
    "auth", "auth_key", "exp", "expires", "jwt", "key", "md5", "pass", "passwd", "password", "policy", "secret", "sign",
    "signature", "token", "txsecret", "txtime", "user", "username",
})  # fmt: skip
"""Arguments that decide about admission, compared without case."""

MAX_ARGUMENTS = 64
MAX_QUERY = 4096


class RtmpAddress(NamedTuple):
    """Where a publisher (or a player) wants to go."""

    app: str
    name: str
    query: dict[str, str]


class BadAddress(ProtocolError):
    """A name that hlsd does not give; the text is fit for the publisher's eyes and holds nothing of the query."""


class DoubtfulCredential(BadAddress):
    """One credential, two values."""


def quoted(text: str, limit: int = 256) -> str:
    """Foreign text for a log line or an answer: no control characters, no more than `limit` of it."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def _part(text: str, what: str) -> str:
    text = text.removesuffix("/")
    if not text:
        raise BadAddress(f"no {what} given: publish to rtmp://host/app/name")
    # What is given for a name may be a stream key with a slip in it: that is not for the log.
    shown = f"{what} {quoted(text, 64)}" if what == "app" else what
    if "/" in text:
        raise BadAddress(f"{shown} holds a slash: publish to rtmp://host/app/name")
    if not is_name(text):
        raise BadAddress(f"{shown} may only hold {LETTERS} and no leading dot or tilde")
    return text


def _arguments(query: str) -> list[tuple[str, str]]:
    # Not parse_qsl: its "+" for a blank breaks base64 in keys.
    pairs = [pair.partition("=") for pair in query.split("&", MAX_ARGUMENTS + 1) if pair]
    return [(unquote(key), unquote(value)) for key, _, value in pairs]


def read_app(app: str, tc_url: str) -> tuple[str, dict[str, str]]:
    """What connect alone says, for who hears of connections: the app and its arguments, whatever was sent.

    What `read_address` would refuse is left out: the app is "" then, and arguments that are too many are none.
    """
    url_path, _, url_query = tc_url.partition("?")
    app_path, _, app_query = app.partition("?")
    path = app_path or url_path.partition("://")[2].partition("/")[2]
    first = path.partition("/")[0]
    if len(url_query) + len(app_query) > MAX_QUERY:
        return first if is_name(first) else "", {}
    merged = dict([*_arguments(url_query), *_arguments(app_query)])
    return first if is_name(first) else "", merged if len(merged) <= MAX_ARGUMENTS else {}


def read_address(app: str, tc_url: str, name: str) -> RtmpAddress:
    """Splits and checks what connect (`app`, `tcUrl`) and publish (`name`) said; raises BadAddress."""
    url_path, _, url_query = tc_url.partition("?")
    app_path, _, app_query = app.partition("?")
    name_path, _, name_query = name.partition("?")
    if not app_path:  # some clients leave the app to tcUrl
        app_path = url_path.partition("://")[2].partition("/")[2]
    if len(url_query) + len(app_query) + len(name_query) > MAX_QUERY:
        raise BadAddress("arguments too long")
    merged: dict[str, str] = {}
    for query in (url_query, app_query, name_query):
        seen: set[str] = set()
        for key, value in _arguments(query):
            if key.lower() in CREDENTIALS and merged.get(key, value) != value:
                raise DoubtfulCredential(f"argument {quoted(key, 64)} is given twice with different values")
            if key in seen:
                continue
            seen.add(key)
            merged[key] = value
    if len(merged) > MAX_ARGUMENTS:
        raise BadAddress("too many arguments")
    return RtmpAddress(_part(app_path, "app"), _part(name_path, "name"), merged)
