"""Serves the page of a publisher: `/{app}/{stream}/publish`. Its files are beside those of the player (`/_/…`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.delivery.pages import PLAYER, find_publisher
from hlsd.delivery.request import BadRequest, is_ours, parse_path
from hlsd.delivery.web import read_request

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hlsd.delivery.judge import Judge
    from hlsd.ports.whip import WhipDesk

_POLICY = (
    b"default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'self'"
)
_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY),
    (b"permissions-policy", b"camera=(self), microphone=(self), display-capture=(self)"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class PublishPage:
    """An ASGI endpoint; `https_port` is where the page is to be had by https, 0: nowhere."""

    def __init__(self, judge: Judge, desk: WhipDesk, https_port: int) -> None:
        self._judge = judge
        self._desk = desk
        text = (PLAYER / "publish.html").read_text(encoding="utf-8")
        # Without it the page has a script of its own, and says what is missing.
        library = "{{prefix}}/_/publish.js" if find_publisher() is not None else ""
        self._text = text.replace("{{https_port}}", str(https_port)).replace("{{library}}", library)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        try:
            known = is_ours(request.path) and parse_path(request.path) is not None
        except BadRequest:
            known = False
        status, body, headers = (
            404,
            b"404 not found\n",
            [(b"content-type", b"text/plain"), (b"cache-control", b"no-store")],
        )
        if request.method not in ("GET", "HEAD"):
            status, body, headers = 405, b"405 method not allowed\n", [*headers, (b"allow", b"GET, HEAD")]
        elif known:
            from html import escape  # noqa: PLC0415 - it loads a table of two thousand names

            # Of a request only a trusted proxy's plain path comes into it; names of streams are the script's.
            text = self._text.replace("{{prefix}}", escape(request.prefix))
            text = text.replace("{{closed}}", escape(self._desk.closed))
            status, body, headers = 200, text.encode(), _HEADERS
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
