"""Reads what a service of the operator's says to a question: one meaning, whoever asked and in whatever shape.

2xx is a yes, and may say more in a JSON object or in headers; 3xx a yes under the name that Location gives; 4xx a no;
all else is no answer. Law: a field that is there and cannot be read makes the whole of it no answer, for a bound that
is not understood must not pass for "no bound"; null counts as not there. A bound above its limit is the limit. Pure.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from hlsd.base.stream_name import bare, is_name
from hlsd.operator.client import HttpReply, NoAnswer
from hlsd.ports import Denial, Grant

METHOD: Final = "callback"
DENIED: Final = Denial(403, "not allowed")
MAX_SESSIONS: Final = 1_000_000
MAX_DURATION: Final = 30 * 86_400.0
"""Seconds at most until a viewer is asked about again, where that is wanted."""
MAX_LIFETIME: Final = 366 * 86_400.0
"""Seconds at most until a session is over, where that is wanted."""
MAX_USER: Final = 256
"""Characters of a user's id that are kept."""
MAX_LOCATION: Final = 1024
"""Characters of a Location that are looked at."""

Said = Grant | Denial | NoAnswer
_YES: Final = frozenset({"true", "1", "yes"})
_NO: Final = frozenset({"", "false", "0", "no"})
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""What JSON of two or four bytes a character begins with, if it says so."""


class _Unreadable(ValueError):
    """A field is not what it should be; the text is for the log."""


def read(reply: HttpReply, app: str, now: float, *, duration: float = 0.0) -> Said:
    """What a service says about a peer of `app`; `duration` is the `auth_duration` of an answer that has none.

    `now` in seconds of the epoch, for `lifetime`.
    """
    if not 200 <= reply.status < 300:
        return by_status(reply, app)
    try:
        return _granted(said(reply.body), reply.headers, app, now, duration)
    except _Unreadable as error:
        return NoAnswer(str(error))


def by_status(reply: HttpReply, app: str) -> Said:
    """What the status says, and Location: for services whose bodies mean nothing."""
    status = reply.status
    if 200 <= status < 300:
        return Grant(method=METHOD)
    if 400 <= status < 500:
        return DENIED
    if not 300 <= status < 400:
        return NoAnswer(f"answered {status}")
    try:
        return Grant(name=_target(reply.headers.get("location", ""), app), method=METHOD)
    except _Unreadable as error:
        return NoAnswer(str(error))


def hold_of(reply: HttpReply) -> float | None:
    """How long the service wants its refusal to hold, seconds; None where it does not say, or not so that one knows."""
    try:
        return _amount(said(reply.body), "auth_duration", reply.headers.get("x-authduration"), MAX_DURATION)
    except _Unreadable:
        return None


def said(body: bytes) -> Mapping[str, object]:
    """The JSON object of an answer; what is none says nothing: old receivers answer "ok". ValueError if broken."""
    text = body.removeprefix(codecs.BOM_UTF8).strip()
    if text[:1] != b"{" and not text.startswith(_WIDE):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _Unreadable("answer is broken JSON") from None
    return found if isinstance(found, dict) else {}


def _granted(told: Mapping[str, object], headers: Mapping[str, str], app: str, now: float, duration: float) -> Grant:
    lifetime = _amount(told, "lifetime", None, MAX_LIFETIME)
    again = _amount(told, "auth_duration", headers.get("x-authduration"), MAX_DURATION)
    name = told.get("name")
    end = now + lifetime if lifetime else 0.0
    return Grant(
        user_id=_user(told, headers.get("x-userid")),
        max_sessions=_count(told, "max_sessions", headers.get("x-max-sessions"), MAX_SESSIONS),
        unique=_switch(told, "unique", headers.get("x-unique")),
        auth_duration=duration if again is None else again,
        expires=end,
        ends=end,
        name="" if name is None else _name(name, app),
        method=METHOD,
    )


def _value(told: Mapping[str, object], key: str, header: str | None) -> object:
    """A field of the body, or else of a header; None if it is in neither, or null."""
    value = told.get(key)
    return header if value is None else value


def _amount(told: Mapping[str, object], key: str, header: str | None, most: float) -> float | None:
    """A number, also one that is written as text; None where there is none."""
    value = _value(told, key, header)
    if value is None:
        return None
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not number >= 0:
        raise _Unreadable(f"{key} is no number from 0")
    return min(number, most)


def _count(told: Mapping[str, object], key: str, header: str | None, most: int) -> int:
    """A whole number; 0 where there is none."""
    number = _amount(told, key, header, most) or 0.0
    if number != int(number):
        raise _Unreadable(f"{key} is no whole number")  # 0.5 cut off would be no bound
    return int(number)


def _switch(told: Mapping[str, object], key: str, header: str | None) -> bool:
    value = _value(told, key, header)
    if value is None or isinstance(value, bool):
        return bool(value)
    word = str(value).strip().lower() if isinstance(value, int | str) else "?"
    if word not in _YES | _NO:
        raise _Unreadable(f"{key} is neither yes nor no")
    return word in _YES


def _user(told: Mapping[str, object], header: str | None) -> str:
    value = _value(told, "user_id", header)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):  # a number is a database's
        raise _Unreadable("user_id is no text")
    return str(value)[:MAX_USER]


def _name(value: object, app: str) -> str:
    """The stream to use instead: `name`, or `app/name` of the same app; empty for none."""
    if not isinstance(value, str):
        raise _Unreadable("name is no text")
    parts = value.strip("/").split("/")
    if len(parts) > 2 or (len(parts) == 2 and parts[0] != app):
        raise _Unreadable("name leads out of the app")
    if parts[-1] and not is_name(parts[-1]):
        raise _Unreadable("name is none")  # it goes into playlists and headers
    return parts[-1]


def _target(location: str, app: str) -> str:
    """The stream that Location names: a name, a path or a URL of any scheme, in the same app."""
    try:
        path = unquote(urlsplit(location[: MAX_LOCATION + 1]).path)
    except ValueError:
        raise _Unreadable("Location is no address") from None
    name = _name(bare(path), app) if len(location) <= MAX_LOCATION else ""
    if not name:
        raise _Unreadable("Location names no stream")
    return name
