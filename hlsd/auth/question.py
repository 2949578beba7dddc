"""Words a question to the operator's back end: our dialect and Flussonic's.

`hlsd`: POST of a JSON object, prePlay or prePublish, whose fields are those of Node-Media-Server's notifications and
more (contract §2.3), the credentials in `query` included: they are what is asked about. `flussonic`: GET with
arguments for a viewer, POST of JSON for a publisher (§3.4). What is answered `hlsd.operator.answer` reads. Pure.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from hlsd.events.facts import address
from hlsd.operator import memory
from hlsd.operator.client import HttpQuestion

Dialect = Literal["hlsd", "flussonic"]


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


def session_of(asked: BackendQuestion) -> str:
    """A UUID that the same viewer keeps: of stream, address, protocol and token, as Flussonic makes it."""
    text = f"{asked.action}/{asked.app}/{asked.name} {asked.ip} {asked.protocol} {asked.token}"
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode(errors="replace")).digest()[:16], version=4))


def word(  # noqa: PLR0913 - what a question is made of
    dialect: Dialect, url: str, asked: BackendQuestion, *, event_id: str, wall: float, server_id: str
) -> HttpQuestion:
    """The question as it is sent, before it is signed. `wall` in seconds since the epoch."""
    if dialect == "hlsd":
        headers = {"X-Hlsd-Event-Id": event_id, "Content-Type": "application/json"}
        return HttpQuestion("POST", url, headers, _json(_ours(asked, event_id, wall, server_id)))
    fields = _flussonic(asked)
    if asked.action == "publish":
        return HttpQuestion("POST", url, {"Content-Type": "application/json"}, _json(fields))
    return HttpQuestion("GET", f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}")


def key_of(asked: BackendQuestion, *, numbered: bool = True) -> bytes:
    """What makes two questions the same: all that the back end could decide by, and which time it is asked."""
    parts = (
        asked.action, asked.app, asked.name, asked.protocol, asked.ip, asked.token, asked.user_agent, asked.referer,
        asked.host, asked.user_id, str(asked.number) if numbered else "",
    )  # fmt: skip
    return memory.key_of(parts, asked.query)


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _ours(asked: BackendQuestion, event_id: str, wall: float, server_id: str) -> dict[str, object]:
    return {
        "action": "prePlay" if asked.action == "play" else "prePublish",
        "id": asked.session,
        "ip": address(asked.ip, asked.port),
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
