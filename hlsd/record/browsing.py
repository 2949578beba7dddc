"""Answers `/{app}/{stream}/r/list.json` and `days.json`: what there is of recordings, to whoever may watch the stream.

Who asks is judged as a viewer is, and is none: no session, no count. Law: an answer has at most `MOST` recordings and a
cursor behind them, or the sums of at most `DAYS` days, whatever there is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hlsd.base import cursor
from hlsd.base.clock import Clock
from hlsd.delivery.answer import Reply
from hlsd.delivery.judge import Judge
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import RECORD_LISTS, BadRequest, Request, arguments, parse_path
from hlsd.delivery.web import read_request
from hlsd.ports import VOD, Denial, Entrance, PlayRequest
from hlsd.record.index import IndexAway
from hlsd.record.recordings import Recordings, RecordRefused, RecordView
from hlsd.record.routes import after_of

MOST: Final = 1000
DAYS: Final = 62
_METHODS: Final = b"GET, HEAD, OPTIONS"
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


class Reading:
    """What somebody comes for who wants to know what there is (`hlsd.ports.Outputs`, and the output too)."""

    ended = False
    app = name = ""
    """Of the stream that may be watched."""

    def find(self, app: str, name: str) -> Reading:
        """Whether there are any is not asked here."""
        self.app, self.name = app, name
        return self

    async def ready(self, request: PlayRequest, output: Reading) -> Denial | None:  # noqa: ARG002
        """Nobody enters."""
        return None


class BrowseEndpoint:
    """The endpoint of both."""

    def __init__(self, recordings: Recordings, judge: Judge, entrance: Entrance, clock: Clock) -> None:
        self._recordings = recordings
        self._judge = judge
        self._entrance = entrance
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        replies = self._judge.replies
        try:
            if request.method == "OPTIONS":
                reply = replies.preflight(request)
            elif request.method not in {"GET", "HEAD"}:
                reply = replies.refuse(request, 405, more=[(b"allow", _METHODS)])
            else:
                reply = await self._answer(request)
        except (BadRequest, RecordRefused) as error:
            reply = replies.refuse(request, 400, words=str(error))
        except IndexAway:
            reply = replies.unavailable(request)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request) -> Reply:
        target = parse_path(request.path)
        if target is None or target.resource not in RECORD_LISTS:
            return self._judge.replies.refuse(request, 404)
        asked = arguments(request.query)
        found = await self._entrance.glance(play_request(request, target, VOD), Reading())
        if isinstance(found, Denial):
            return self._judge.replies.deny(request, found)
        told = await (self._list(found, asked) if target.resource == "list.json" else self._days(found, asked))
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *self._judge.replies.readable(request),
        ]
        return Reply(200, headers, b"" if request.method == "HEAD" else body)

    async def _list(self, found: Reading, asked: dict[str, str]) -> dict[str, Any]:
        """`?from=&to=&limit=&cursor=`: times in ms of the epoch, recordings with anything between them."""
        most = min(MOST, max(1, _number(asked, "limit", 100)))
        views, more = await self._recordings.page(
            app=found.app,
            name=found.name,
            since=_number(asked, "from"),
            until=_number(asked, "to"),
            after=after_of(asked.get("cursor", "")),
            most=most,
        )
        items = [_item(view) for view in views if view.state != "broken"]
        return {"now": int(self._clock.wall() * 1000), "items": items, "cursor": cursor.written(more)}

    async def _days(self, found: Reading, asked: dict[str, str]) -> dict[str, Any]:
        """`?at=`: times (ms of the epoch, in order, with commas between), where one day ends and the next begins."""
        bounds = [int(one) for one in asked.get("at", "").split(",") if _NUMBER.fullmatch(one)]
        if bounds != sorted(bounds) or len(bounds) > DAYS + 1:
            raise BadRequest(f"at should be {DAYS + 1} times at most, in order")
        sums, first, last = await self._recordings.calendar(found.app, found.name, bounds)
        return {"first": first, "last": last, "days": [{"count": count, "ms": length} for count, length in sums]}


def browse_routes(endpoint: BrowseEndpoint) -> list[Route]:
    """Where it answers."""
    return [Route(f"/{{app}}/{{name}}/r/{what}", endpoint) for what in RECORD_LISTS]


def _item(view: RecordView) -> dict[str, Any]:
    """What a viewer is told of a recording: nothing of rules, folders or disks."""
    return {
        "id": view.id,
        "start": view.createtime,
        "duration": view.duration_ms,
        "bytes": view.bytes,
        "state": view.state,
        "format": view.format,
        "codecs": view.codecs,
    }


def _number(asked: dict[str, str], name: str, default: int = 0) -> int:
    text = asked.get(name, "")
    if not text:
        return default
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"{name} should be a whole number")
    return int(text)
