"""Answers `/{app}/{stream}/whip` (RFC 9725), `…/whep` (draft-ietf-wish-whep), and the sessions that they open.

An ASGI endpoint, so that HTTP/1.1, TLS and HTTP/2 are alike. Law: a refusal names what would have been taken; a page of
another host may publish only if `http.allow_origin` names it, and `*` names nobody, but says who may play; the id of a
session is its key and stands in no log; passwords of TURN servers are told to those who are let in only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from hlsd.delivery.answer import Reply
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import BadRequest, Target, accepts_html, is_ours, parse_path
from hlsd.delivery.web import read_request
from hlsd.ports.whip import WhipAnswer, WhipRefusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from hlsd.delivery.cors import Headers
    from hlsd.delivery.judge import Judge
    from hlsd.delivery.request import Request
    from hlsd.ports.whip import WhipDesk

LIMIT: Final = 64 << 10
"""Bytes of an offer; a browser's has 6 KiB."""
_METHODS: Final = b"POST, PATCH, DELETE, OPTIONS"
_SDP: Final = b"application/sdp"
_FRAGMENT: Final = b"application/trickle-ice-sdpfrag"
_EXPOSED: Final = (b"access-control-expose-headers", b"Location, ETag, Link, Accept-Patch, Retry-After, HLSD-Refused")
_STATUSES: Final = {
    "bad_offer": 400, "bad_name": 400, "denied": 403, "gone": 404, "busy": 409, "tag": 412, "unacceptable": 422,
    "limit": 429, "pending": 429, "error:internal": 500, "off": 501, "full": 503, "draining": 503,
}  # fmt: skip
"""What HTTP says of a refusal; of any other 403: somebody does not want it here."""
_TITLES: Final = {
    400: "bad request", 401: "who are you", 403: "not allowed", 404: "not found", 405: "method not allowed",
    409: "the name is in use", 412: "another ICE session", 413: "too long", 415: "not the type that is taken",
    422: "nothing that is taken", 429: "too many", 500: "something went wrong here", 501: "not offered here",
    503: "no room now",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manner:
    """What tells the two protocols from each other."""

    protocol: str
    """Its name, as the last step of its paths and in events."""
    page: str
    """Where a person is led who has come to a program's address, behind the stream's path."""
    foreign: str
    """What a page is told that may not come here."""


WHIP: Final = Manner("whip", "/publish", "this page may not publish here")
WHEP: Final = Manner("whep", "", "this page may not play here")
_TOLD: Final = frozenset(("banned", "expired", "limit", "address"))
"""Reasons for a refusal that a viewer's page words itself, as `hlsd.delivery.replies` tells them."""


class SdpEndpoint:
    """The endpoint; `desk` lets in. `ice_servers` are values of Link headers, `open_servers` those for everybody."""

    def __init__(
        self,
        manner: Manner,
        desk: WhipDesk,
        judge: Judge,
        ice_servers: Sequence[str] = (),
        open_servers: Sequence[str] = (),
    ) -> None:
        self._manner = manner
        self._desk = desk
        self._judge = judge
        self._links: Headers = [(b"link", link.encode()) for link in ice_servers]
        self._open_links: Headers = [(b"link", link.encode()) for link in open_servers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        reply = await self._answer(request, scope, receive)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request, scope: Scope, receive: Receive) -> Reply:
        try:
            target = parse_path(request.path) if is_ours(request.path) else None
            if target is None or target.kind != "foreign":
                return self._refuse(request, 404, "there is nothing here")
            replies = self._judge.replies
            if not (replies.may_send(request) if self._manner is WHIP else replies.may_read(request)):
                return self._refuse(request, 403, self._manner.foreign)
            if request.method == "OPTIONS":
                return self._options(request, scope)
            if target.resource:
                return await self._session(request, target, scope, receive)
            return await self._open(request, target, scope, receive)
        except BadRequest as error:
            return self._refuse(request, 400, str(error))

    async def _open(self, request: Request, target: Target, scope: Scope, receive: Receive) -> Reply:
        """What is asked of a stream's endpoint. Raises BadRequest."""
        if request.method in ("GET", "HEAD"):
            if accepts_html(request.headers.get(b"accept")):  # a person, who has come to the encoder's address
                return self._judge.replies.redirect(request, f"/{target.app}/{target.name}{self._manner.page}")
            return self._reply(request, 204, [(b"accept-post", _SDP)])
        if request.method != "POST":
            return self._refuse(request, 405, "an offer comes by POST", [(b"allow", b"POST, OPTIONS")])
        if _type(scope) != _SDP:
            return self._refuse(request, 415, "an offer is application/sdp", [(b"accept-post", _SDP)])
        asked = play_request(request, target, self._manner.protocol)
        body = await _body(receive)
        if body is None:
            return self._refuse(request, 413, "an offer is no longer than 64 KiB")
        server = scope.get("server")
        verdict = await self._desk.enter(asked, body, str(server[0]) if server else "")
        if isinstance(verdict, WhipRefusal):
            bare = verdict.reason in ("denied", "auth_denied") and not asked.bearer and not asked.query
            return self._denied(request, verdict, bare=bare)
        # By its name, for what was asked for may have been its key: addresses are shown, and handed on.
        location = f"{request.prefix}/{target.app}/{verdict.name}/{self._manner.protocol}/{verdict.ident}"
        return self._reply(request, 201, [(b"location", location.encode()), *self._links], verdict, _SDP)

    async def _session(self, request: Request, target: Target, scope: Scope, receive: Receive) -> Reply:
        """What is asked of a session that is open."""
        ident = target.resource
        if request.method == "DELETE":
            # OBS warns of anything but 200, and an unsteady client asks twice.
            if self._desk.leave(target.app, ident):
                return self._reply(request, 200, [])
            return self._refuse(request, 404, "no such session")
        if request.method != "PATCH":
            allow = [(b"allow", b"PATCH, DELETE, OPTIONS")]
            return self._refuse(request, 405, "a session takes PATCH and DELETE", allow)
        if _type(scope) != _FRAGMENT:
            return self._refuse(request, 415, "a fragment is application/trickle-ice-sdpfrag",
                                [(b"accept-patch", _FRAGMENT)])  # fmt: skip
        body = await _body(receive)
        if body is None:
            return self._refuse(request, 413, "a fragment is no longer than 64 KiB")
        verdict = self._desk.patch(target.app, ident, body, _tag(scope))
        if verdict is None:
            return self._reply(request, 204, [])
        if isinstance(verdict, WhipRefusal):
            return self._denied(request, verdict, bare=False)
        return self._reply(request, 200, [], verdict, _FRAGMENT)

    def _options(self, request: Request, scope: Scope) -> Reply:
        """A preflight, or the question of RFC 9725 §4.6 for ICE servers."""
        preflight = any(name == b"access-control-request-method" for name, _ in scope["headers"])
        more: Headers = [
            (b"accept-post", _SDP),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", b"Authorization, Content-Type, If-Match"),
            (b"access-control-max-age", b"600"),
        ]
        return self._reply(request, 204, more if preflight else [*more, *self._open_links])

    def _reply(
        self, request: Request, status: int, more: Headers, verdict: WhipAnswer | None = None, kind: bytes = b""
    ) -> Reply:
        headers: Headers = [(b"cache-control", b"no-store"), *self._readable(request), *more]
        body = b""
        if verdict is not None:
            body = verdict.body.encode()
            headers += [(b"content-type", kind), (b"etag", f'"{verdict.tag}"'.encode()), (b"accept-patch", _FRAGMENT)]
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        return Reply(status, headers, body)

    def _denied(self, request: Request, refusal: WhipRefusal, *, bare: bool) -> Reply:
        status = 401 if bare else refusal.status or _STATUSES.get(refusal.reason, 403)
        more: Headers = []
        if self._manner is WHEP and status in (401, 403, 429, 503):
            more.append((b"hlsd-refused", refusal.reason.encode() if refusal.reason in _TOLD else b"denied"))
        if status == 401:
            more.append((b"www-authenticate", b"Bearer"))
        elif status in (429, 503):
            more.append((b"retry-after", b"10" if status == 429 else b"5"))
        return self._refuse(request, status if status in _TITLES else 403, refusal.words, more)

    def _refuse(self, request: Request, status: int, words: str, more: Headers | None = None) -> Reply:
        """RFC 9457, which RFC 9725 §4.2 recommends."""
        told = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": words}
        body = json.dumps(told, separators=(",", ":")).encode()
        headers: Headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *self._readable(request),
            *(more or ()),
        ]
        return Reply(status, headers, b"" if request.method == "HEAD" else body)

    def _readable(self, request: Request) -> Headers:
        """CORS; a page must be able to read where its session is."""
        cors = self._judge.replies.readable(request)
        return [_EXPOSED if line[0] == _EXPOSED[0] else line for line in cors]


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None if it is longer than any that is taken."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # its client has gone: nobody will read what comes of it
        pieces.append(cast("bytes", message.get("body", b"")))
        size += len(pieces[-1])
        if size > LIMIT:
            return None
        if not message.get("more_body", False):
            return b"".join(pieces)


def _type(scope: Scope) -> bytes:
    """The media type of the body, without its parameters."""
    value = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return cast("bytes", value).partition(b";")[0].strip().lower()


def _tag(scope: Scope) -> str:
    """What If-Match holds, without quotes: clients write `*` with them and without."""
    value = next((value for name, value in scope["headers"] if name == b"if-match"), b"")
    return cast("bytes", value).decode("latin-1").strip().removeprefix("W/").strip('"')[:256]
