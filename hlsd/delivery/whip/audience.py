"""Tells a publisher how many watch, and by which name: `GET /{app}/{stream}/publish/{session}`.

The session's id is the key to it, as it is to the session. The name is the stream's public one: a publisher who came by
a stream key has to know what to send to viewers, and it is not the key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hlsd.delivery.request import BadRequest, is_ours, parse_path
from hlsd.delivery.web import read_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from hlsd.delivery.judge import Judge
    from hlsd.delivery.request import Request


class PublisherAudience:
    """An ASGI endpoint; `whose(app, ident)` is the name that a session publishes, `viewers(path)` how many watch it."""

    def __init__(self, judge: Judge, whose: Callable[[str, str], str], viewers: Callable[[str], int]) -> None:
        self._judge = judge
        self._whose = whose
        self._viewers = viewers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        status, told = self._answer(request)
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *self._judge.replies.readable(request),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    def _answer(self, request: Request) -> tuple[int, dict[str, str | int]]:
        try:
            target = parse_path(request.path) if is_ours(request.path) else None
        except BadRequest:
            target = None
        if request.method not in ("GET", "HEAD"):
            return 405, {"detail": "this is only read"}
        name = self._whose(target.app, target.resource) if target is not None else ""
        if target is None or not name:
            return 404, {"detail": "no such session"}
        path = f"/{target.app}/{name}"
        return 200, {"path": path, "viewers": self._viewers(path)}
