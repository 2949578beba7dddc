"""Words a question to the operator's back end, and reads its answer: our dialect and Flussonic's.

`hlsd`: POST of a JSON object, prePlay or prePublish, whose fields are those of Node-Media-Server's notifications and
more (contract §2.3), the credentials in `query` included: they are what is asked about. `flussonic`: GET with
arguments for a viewer, POST of JSON for a publisher (§3.4). With a secret, a question carries `X-Hlsd-Signature:
t=<unix>,v1=<hex HMAC-SHA256(secret, "<t>." + body)>`, over the query string where there is no body.

Answers: 2xx in, 3xx in under the name that Location gives, 4xx out, anything else is no answer. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlencode, urlsplit

from hlsd.auth.sign import stream_path
from hlsd.auth.verdict import Fault, Pass

METHOD = "callback"
Dialect = Literal["hlsd", "flussonic"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}", re.ASCII)
_MOST_SESSIONS = 1_000_000
_LONGEST_TIME = 30 * 86_400.0
_MAX_USER = 128


@dataclass(frozen=True, slots=True)
class BackendQuestion:
    """Whom it is about. `token` is the credential shown, `session` names the bearer from one question to the next."""

    action: Literal["play", "publish"]
    app: str
    name: str
    protocol: str
    ip: str
    port: int
    query: Mapping[str, str] = field(repr=False)
    user_agent: str = ""
    referer: str = ""
    host: str = ""
    token: str = field(default="", repr=False)
    user_id: str = ""
    session: str = ""
    number: int = 0
    """How often the back end was asked about it before."""


@dataclass(frozen=True, slots=True)
class Post:
    """What goes on the wire; `url` with its arguments, `body` None for a GET."""

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """The back end has not decided: 5xx, or words that make no sense. The text is for the log."""


def session_of(asked: BackendQuestion) -> str:
    """A UUID that the same viewer keeps: of stream, address, protocol and token, as Flussonic makes it."""
    text = f"{asked.action}/{asked.app}/{asked.name} {asked.ip} {asked.protocol} {asked.token}"
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode(errors="replace")).digest()[:16], version=4))


def word(  # noqa: PLR0913 - what a question is made of
    dialect: Dialect, url: str, asked: BackendQuestion, *, secret: str, event_id: str, wall: float, server_id: str
) -> Post:
    """The question. `wall` in seconds since the epoch."""
    headers: dict[str, str] = {}
    body: bytes | None = None
    if dialect == "hlsd":
        body = _json(_ours(asked, event_id, wall, server_id))
        headers["X-Hlsd-Event-Id"] = event_id
    else:
        fields = _flussonic(asked)
        if asked.action == "publish":
            body = _json(fields)
        else:
            url = f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    if secret:
        headers["X-Hlsd-Signature"] = seal(secret, int(wall), urlsplit(url).query.encode() if body is None else body)
    return Post("GET" if body is None else "POST", url, headers, body)


def seal(secret: str, at: int, body: bytes) -> str:
    """The value of X-Hlsd-Signature."""
    digest = hmac.digest(secret.encode(), b"%d." % at + body, "sha256").hex()
    return f"t={at},v1={digest}"


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _ours(asked: BackendQuestion, event_id: str, wall: float, server_id: str) -> dict[str, object]:
    here = f"[{asked.ip}]" if ":" in asked.ip else asked.ip
    return {
        "action": "prePlay" if asked.action == "play" else "prePublish",
        "id": asked.session,
        "ip": f"{here}:{asked.port}",
        "app": asked.app,
        "name": asked.name,
        "query": dict(asked.query),
        "protocol": asked.protocol,
        "createtime": int(wall * 1000),
        "endtime": 0,
        "inbytes": 0,
        "outbytes": 0,
        "event_id": event_id,
        "event_ts": int(wall * 1000),
        "seq": asked.number + 1,
        "server_id": server_id,
        "path": f"/{asked.app}/{asked.name}",
        "token": asked.token,
        "user_id": asked.user_id,
        "user_agent": asked.user_agent,
        "referer": asked.referer,
    }


def _flussonic(asked: BackendQuestion) -> dict[str, object]:
    return {
        "name": f"{asked.app}/{asked.name}",
        "proto": asked.protocol,
        "ip": asked.ip,
        "token": asked.token,
        "session_id": asked.session,
        "request_type": "update_session" if asked.number else "new_session",
        "request_number": asked.number,
        "stream_clients": 0,
        "total_clients": 0,
        "duration": 0,
        "bytes": 0,
        "qs": urlencode(dict(asked.query)),
        "user_agent": asked.user_agent,
        "referer": asked.referer,
        "host": asked.host,
    }


def read(answer: Answer, app: str, default_duration: float, now: float) -> Pass | Fault:
    """The verdict; `auth_duration` of the answer or `default_duration`. Raises NoAnswer.

    `now` in seconds since the epoch, for `lifetime`.
    """
    status = answer.status
    if 400 <= status < 500:
        return Fault(f"back end said {status}")
    if not 200 <= status < 400:
        raise NoAnswer(f"back end said {status}")
    said = _said(answer.body) if status < 300 else {}
    headers = answer.headers
    user = said.get("user_id", headers.get("x-userid", ""))
    if isinstance(user, int) and not isinstance(user, bool):
        user = str(user)  # a database's number
    if not isinstance(user, str):
        raise NoAnswer("user_id is no text")
    duration = _amount(said, "auth_duration", headers.get("x-authduration"), _LONGEST_TIME)
    lifetime = _amount(said, "lifetime", None, _LONGEST_TIME * 12)
    sessions = _amount(said, "max_sessions", headers.get("x-max-sessions"), _MOST_SESSIONS)
    end = now + lifetime if lifetime else 0.0
    return Pass(
        METHOD,
        user_id=user[:_MAX_USER],
        max_sessions=int(sessions or 0),
        unique=_switch(said.get("unique", headers.get("x-unique", False))),
        auth_duration=default_duration if duration is None else duration,
        expires=end,
        ends=end,
        name=_target(headers.get("location", ""), app) if status >= 300 else _name(said.get("name", ""), app),
    )


def duration_of(answer: Answer) -> float | None:
    """How long the back end wants its answer to hold, seconds; None where it does not say."""
    try:
        said = _said(answer.body) if answer.status < 500 else {}
        return _amount(said, "auth_duration", answer.headers.get("x-authduration"), _LONGEST_TIME)
    except NoAnswer:
        return None


def _said(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; what is none says nothing: old receivers answer "ok"."""
    if body.lstrip()[:1] != b"{":
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer("answer is broken JSON") from None
    return found if isinstance(found, dict) else {}


def _amount(said: Mapping[str, Any], key: str, header: str | None, most: float) -> float | None:
    """A number of the body or of a header, 0 to `most`. What is no such number must not pass for "no bound"."""
    value = said.get(key, header)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not number >= 0:
        raise NoAnswer(f"{key} is no number")
    return min(number, most)


def _switch(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in {"true", "1", "yes"})


def _name(value: object, app: str) -> str:
    """The stream to use instead: `name`, or `app/name` of the same app."""
    if not isinstance(value, str):
        raise NoAnswer("name is no text")
    parts = value.strip("/").split("/")
    if len(parts) > 2 or (len(parts) == 2 and parts[0] != app):
        raise NoAnswer("name leads out of the app")
    if parts[-1] and (not _NAME.fullmatch(parts[-1]) or ".." in parts[-1]):
        raise NoAnswer("name is none")  # it goes into playlists and headers
    return parts[-1]


def _target(location: str, app: str) -> str:
    """The stream that Location names: a name, a path or a URL of any scheme, in the same app."""
    try:
        path = unquote(urlsplit(location).path)
    except ValueError:
        raise NoAnswer("Location is no address") from None
    return _name(stream_path(path), app)
