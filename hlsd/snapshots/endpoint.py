"""Answers `/{app}/{stream}.jpg` and `.webp`: a picture of the stream as it is now, for whoever may watch it.

An ASGI endpoint. Errors and CORS are those of playlists. Who asks is judged as a viewer is, and is none: no session, no
count, no event of a play.
"""

from __future__ import annotations

import math
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from hlsd.delivery.answer import Reply
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import BadRequest, arguments, etag_matches, parse_path
from hlsd.delivery.web import read_request
from hlsd.ports import Denial
from hlsd.snapshots.portrait import Busy
from hlsd.snapshots.settings import WIDEST
from hlsd.snapshots.wire import Format, StillVariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from hlsd.delivery.cors import Headers
    from hlsd.delivery.judge import Judge
    from hlsd.delivery.request import Request, Target
    from hlsd.ports import Entrance
    from hlsd.snapshots.figures import SnapshotStats
    from hlsd.snapshots.portrait import Shot
    from hlsd.snapshots.studio import Studio

PROTOCOL: Final = "snapshot"
"""What receivers and rules are told that somebody wants."""
WIDTHS: Final = (160, 320, 480, 640, 960, 1280, WIDEST)
"""Pixels: what is asked for is rounded up to one of these."""
_SUFFIXES: Final[dict[str, Format]] = {".jpg": "jpg", ".webp": "webp"}
_TYPES: Final = {"jpg": b"image/jpeg", "webp": b"image/webp"}
_METHODS: Final = b"GET, HEAD, OPTIONS"
_DIGITS: Final = re.compile(r"[0-9]{1,5}")


class SnapshotEndpoint:
    """The endpoint; `width` is that of who says nothing, `guarded()` whether somebody decides who may watch."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        studio: Studio,
        entrance: Entrance,
        judge: Judge,
        stats: SnapshotStats,
        width: int,
        guarded: Callable[[], bool],
    ) -> None:
        self._studio = studio
        self._entrance = entrance
        self._judge = judge
        self._stats = stats
        self._width = width
        self._guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """One request."""
        reply = await self._answer(read_request(scope))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request) -> Reply:
        self._judge.locate(request)
        replies = self._judge.replies
        if request.method == "OPTIONS":
            return replies.preflight(request)
        if request.method not in {"GET", "HEAD"}:
            return replies.refuse(request, 405, more=[(b"allow", _METHODS)])
        try:
            asked = _target(request)
            if asked is None:
                return replies.refuse(request, 404)
            target, form = asked
            variant = StillVariant(self._asked_width(request), form)
            found = await self._entrance.glance(play_request(request, target, PROTOCOL), self._studio)
        except BadRequest as error:
            return replies.refuse(request, 400, words=str(error))
        requests = self._stats.requests
        if isinstance(found, Denial):
            requests["absent" if found.status == 404 else "denied"] += 1
            return replies.deny(request, found)
        if found.blind:
            requests["blind"] += 1
            return replies.refuse(request, 415, words="this stream has no picture")
        before = found.shots.get(variant)
        said = await self._studio.picture(found, variant)
        if isinstance(said, Busy):
            requests[said.result] += 1
            after = b"%d" % max(1, math.ceil(said.wait))
            return replies.refuse(request, 503, words=said.words, more=[(b"retry-after", after)])
        requests["kept" if said is before else "made"] += 1
        return self._shown(request, said)

    def _asked_width(self, request: Request) -> int:
        """Raises BadRequest."""
        said = arguments(request.query).get("width")
        if said is None:
            return self._width
        if not _DIGITS.fullmatch(said) or not int(said):
            raise BadRequest("width is not a number of pixels")
        return next((width for width in WIDTHS if width >= int(said)), WIDEST)

    def _shown(self, request: Request, shot: Shot) -> Reply:
        # What not everybody may see is for who asked; a shared cache would not ask anybody.
        cache = b"private, max-age=1" if self._guarded() else b"max-age=1"
        headers: Headers = [
            (b"cache-control", cache),
            (b"etag", shot.etag.encode()),
            (b"last-modified", formatdate(shot.taken, usegmt=True).encode()),
            *self._judge.replies.readable(request),
        ]
        if etag_matches(request.headers.get(b"if-none-match"), shot.etag):
            return Reply(304, headers)
        body = shot.picture.body
        headers.append((b"content-type", _TYPES[shot.picture.variant.form]))
        headers.append((b"content-length", b"%d" % len(body)))
        return Reply(200, headers, b"" if request.method == "HEAD" else body)


def _target(request: Request) -> tuple[Target, Format] | None:
    """The stream that the path names, and the format. Raises BadRequest."""
    target = parse_path(request.path)
    if target is None or target.kind != "foreign":
        return None
    for suffix, form in _SUFFIXES.items():
        name = target.name.removesuffix(suffix)
        if name and name != target.name:
            return target._replace(name=name), form
    return None
