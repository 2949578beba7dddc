"""Knows the shapes of webhooks: what is sent for an event, and what an answer to a question means.

`HlsdFormat` is ours, a superset of Node-Media-Server's v3/v4 (contract §2.3); the others are what SRS, nginx-rtmp
and Flussonic send, so that a receiver written for them goes on working (contract §2.2). What an answer means is
`hlsd.operator.answer`'s to say; here stands which of it a shape knows. Pure: values in, values out.
"""

from __future__ import annotations

import json
from typing import Final, Protocol
from urllib.parse import urlencode

from hlsd.base import masking
from hlsd.events import Action, Event
from hlsd.events.facts import Facts
from hlsd.operator import answer
from hlsd.operator.answer import DENIED, METHOD, Said
from hlsd.operator.client import HttpReply, NoAnswer
from hlsd.ports import Grant


class PayloadFormat(Protocol):
    """One shape of webhooks."""

    content_type: str
    lists: bool
    """Whether a request holds a list, of one or more events."""

    def body(self, event: Event) -> bytes | None:
        """The event as this shape tells it; None if it has no word for it."""
        ...

    def verdict(self, event: Event, reply: HttpReply, now: float) -> Said:
        """What the answer to a `pre…` says; `now` in seconds of the epoch."""
        ...


def form_of(name: str, server_id: str, *, send_secrets: bool, batch: bool) -> PayloadFormat:
    """The shape that the setting `notify.format` names."""
    match name:
        case "srs":
            return SrsFormat(server_id, send_secrets=send_secrets)
        case "nginx-rtmp":
            return NginxFormat(send_secrets=send_secrets)
        case "flussonic":
            return FlussonicFormat(server_id, send_secrets=send_secrets)
        case _:
            return HlsdFormat(server_id, send_secrets=send_secrets, batch=batch)


class HlsdFormat:
    """Our own: one JSON object, or a list of them."""

    content_type = "application/json"

    def __init__(self, server_id: str, *, send_secrets: bool = False, batch: bool = False) -> None:
        self.lists = batch
        self._server_id = server_id
        self._send_secrets = send_secrets

    def body(self, event: Event) -> bytes:
        """The payload as JSON."""
        return _json(event.payload(self._server_id, send_secrets=self._send_secrets))

    def verdict(self, event: Event, reply: HttpReply, now: float) -> Said:
        """2xx allows and may say more in a JSON object, 3xx with Location renames, 4xx denies."""
        return answer.read(reply, event.facts.get("app", ""), now)


class SrsFormat:
    """SRS's HTTP callbacks: on_connect, on_close, on_publish, on_unpublish, on_play, on_stop; "0", {"code": 0}: yes."""

    content_type = "application/json"
    lists = False
    _WORDS: Final = {
        Action.PRE_CONNECT: "on_connect",
        Action.DONE_CONNECT: "on_close",
        Action.PRE_PUBLISH: "on_publish",
        Action.DONE_PUBLISH: "on_unpublish",
        Action.PRE_PLAY: "on_play",
        Action.DONE_PLAY: "on_stop",
    }

    def __init__(self, server_id: str, *, send_secrets: bool = False) -> None:
        self._server_id = server_id
        self._send_secrets = send_secrets

    def body(self, event: Event) -> bytes | None:
        """SRS's object, and ours beside it: send_bytes, recv_bytes, duration (seconds), reason, event_id."""
        word = self._WORDS.get(event.action)
        if word is None:
            return None
        facts = event.facts
        query = _query(event, self._send_secrets)
        param = f"?{urlencode(query)}" if query else ""
        path = facts.get("path", "")
        return _json(
            {
                "server_id": self._server_id,
                "service_id": "hlsd",
                "action": word,
                "client_id": event.id,
                "ip": host_of(facts),
                "vhost": "__defaultVhost__",
                "app": facts.get("app", ""),
                "stream": facts.get("name", ""),
                "param": param,
                "tcUrl": "",
                "pageUrl": facts.get("referer", ""),
                "stream_url": path,
                "stream_id": facts.get("stream_id", ""),
                "send_bytes": facts.get("outbytes", 0),
                "recv_bytes": facts.get("inbytes", 0),
                "duration": facts.get("duration_ms", 0) / 1000,
                "reason": facts.get("reason", ""),
                "event_id": event.event_id,
            }
        )

    def verdict(self, event: Event, reply: HttpReply, now: float) -> Said:  # noqa: ARG002 - as the others
        """Status 200 or 201 with `0` or `{"code":0}` allows; any other code is a no."""
        if reply.status in (200, 201):
            return Grant(method=METHOD) if _srs_code(reply.body) == 0 else DENIED
        return DENIED if 400 <= reply.status < 500 else NoAnswer(f"answered {reply.status}")


class NginxFormat:
    """nginx-rtmp's notifications: a form with call, addr, clientid, app, name and the client's own arguments."""

    content_type = "application/x-www-form-urlencoded"
    lists = False
    _CALLS: Final = {
        Action.PRE_CONNECT: "connect",
        Action.DONE_CONNECT: "disconnect",
        Action.PRE_PUBLISH: "publish",
        Action.DONE_PUBLISH: "publish_done",
        Action.PRE_PLAY: "play",
        Action.DONE_PLAY: "play_done",
        Action.UPDATE_PUBLISH: "update_publish",
        Action.UPDATE_PLAY: "update_play",
    }

    def __init__(self, *, send_secrets: bool = False) -> None:
        self._send_secrets = send_secrets

    def body(self, event: Event) -> bytes | None:
        """The form; our own fields stand after theirs, the client's arguments last and never instead of a field."""
        call = self._CALLS.get(event.action)
        if call is None:
            return None
        facts = event.facts
        fields: dict[str, object] = {
            "call": call,
            "addr": host_of(facts),
            "clientid": event.id,
            "app": facts.get("app", ""),
            "flashver": facts.get("user_agent", ""),
            "swfurl": "",
            "tcurl": "",
            "pageurl": facts.get("referer", ""),
            "name": facts.get("name", ""),
        }
        if call == "publish":
            fields["type"] = "live"
        elif call == "play":
            fields |= {"start": -2000, "duration": 0, "reset": 0}
        elif call.startswith("update"):
            seconds = facts.get("duration_ms", 0) // 1000
            fields |= {"time": seconds, "timestamp": facts.get("duration_ms", 0)}
        fields |= {
            "event_id": event.event_id,
            "bytes_in": facts.get("inbytes", 0),
            "bytes_out": facts.get("outbytes", 0),
        }
        for name, value in _query(event, self._send_secrets).items():
            fields.setdefault(name, value)
        return urlencode(fields).encode()

    def verdict(self, event: Event, reply: HttpReply, now: float) -> Said:  # noqa: ARG002 - as the others
        """2xx allows, 3xx with Location renames, the rest drops."""
        return answer.by_status(reply, event.facts.get("app", ""))


class FlussonicFormat:
    """Flussonic's event sink: always a list."""

    content_type = "application/json"
    lists = True
    _WORDS: Final = {
        Action.PRE_PLAY: "play_opened",
        Action.POST_PLAY: "play_started",
        Action.UPDATE_PLAY: "play_updated",
        Action.DONE_PLAY: "play_closed",
        Action.PRE_PUBLISH: "publish_opened",
        Action.POST_PUBLISH: "publish_started",
        Action.UPDATE_PUBLISH: "publish_updated",
        Action.DONE_PUBLISH: "publish_closed",
        Action.STREAM_START: "stream_started",
        Action.STREAM_STOP: "stream_stopped",
    }

    def __init__(self, server_id: str, *, send_secrets: bool = False) -> None:
        self._server_id = server_id
        self._send_secrets = send_secrets

    def body(self, event: Event) -> bytes | None:
        """One element of the list; times in milliseconds of the epoch."""
        word = self._WORDS.get(event.action)
        if word is None:
            return None
        facts = event.facts
        query = _query(event, self._send_secrets)
        at = int(event.at * 1000)
        told: dict[str, object] = {
            "event": word,
            "event_id": event.event_id,
            "utc_ms": at,
            "server": self._server_id,
            "media": facts.get("path", "").removeprefix("/"),
            "id": event.id,
            "type": facts.get("protocol", ""),
            "proto": facts.get("protocol", ""),
            "ip": host_of(facts),
            "bytes": facts.get("outbytes", 0) or facts.get("inbytes", 0),
            "opened_at": facts.get("createtime", 0),
            "updated_at": at,
            "closed_at": facts.get("endtime", 0) or None,
            "duration": facts.get("duration_ms", 0),
            "token": query.get("token", ""),
            "user_id": facts.get("user_id", ""),
            "user_agent": facts.get("user_agent", ""),
            "referer": facts.get("referer", ""),
            "query_string": urlencode(query),
        }
        if word.endswith(("closed", "stopped")):
            told["reason"] = facts.get("reason", "")
        return _json(told)

    def verdict(self, event: Event, reply: HttpReply, now: float) -> Said:  # noqa: ARG002 - as the others
        """A sink is told, not asked; one that refuses is taken at its word all the same."""
        return answer.by_status(reply, event.facts.get("app", ""))


def _srs_code(body: bytes) -> object:
    if body.strip() == b"0":
        return 0
    try:
        return answer.said(body).get("code")
    except ValueError:
        return None


def _query(event: Event, send_secrets: bool) -> dict[str, str]:
    return dict(event.query) if send_secrets else masking.arguments(event.query)


def host_of(facts: Facts) -> str:
    """The address without its port; whoever came through a proxy has none."""
    text = facts.get("ip", "")
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, _ = text.rpartition(":")
    return host if colon else text


def _json(told: dict[str, object]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
