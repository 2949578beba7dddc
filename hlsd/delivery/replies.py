"""Makes the bytes of every answer to a player: playlists, media, redirections, refusals; headers and all.

Pure: what is to be said is decided elsewhere (`hlsd.delivery.judge`, the entrance); here is how HTTP says it, with CORS
and what caches may do with it. Ids such as HT16 name the rules of docs/hls-rules.md.
"""

from __future__ import annotations

import gzip

from hlsd.delivery.answer import Reply
from hlsd.delivery.cors import Cors, Headers
from hlsd.delivery.request import Request, Span, Target, accepts_gzip, etag_matches, parse_range
from hlsd.delivery.settings import HttpSettings
from hlsd.ports import MAIN, MEDIA, MORE, Denial, Media, Playable, Rendering, RenditionBody, ViewerSession

PLAYLIST_TYPE = b"application/vnd.apple.mpegurl"
NOT_READY = Denial(503, "not ready, ask again", "not_ready")
"""The stream has no playlist yet, or there is no place left to wait for it: no more than any other 503 to a player."""

_TOLD = frozenset(("banned", "expired", "limit", "address", "late"))
"""Reasons for a refusal that its viewer is told; what else there is, is nobody's business."""
_FULL = b"10"
"""Seconds after which somebody else may have gone."""

_MAIN = frozenset(("", MAIN))
_NO_STORE = b"no-store"
MEDIA_CACHE = b"max-age=3600, immutable"
_REASONS = {
    400: "bad request",
    403: "session not accepted",
    404: "not found",
    405: "method not allowed",
    414: "address too long",
    416: "range outside of the resource",
    503: "not ready, ask again",
}


class Replies:
    """The answers of one server."""

    def __init__(self, settings: HttpSettings) -> None:
        self._cors = Cors(settings)
        self._vary_origin: Headers = [(b"vary", b"Origin")] if self._cors.varies else []
        self._vary_both: Headers = [(b"vary", b"Accept-Encoding, Origin" if self._cors.varies else b"Accept-Encoding")]

    @property
    def varies(self) -> bool:
        """Whether answers differ by Origin."""
        return self._cors.varies

    def knows_origin(self, origin: bytes) -> bool:
        """Whether `origin` is answered differently from a request without one."""
        return self._cors.varies and self._cors.lists(origin)

    # -- refusals

    def refuse(
        self, request: Request, status: int, *, words: str = "", cache: bytes = _NO_STORE, more: Headers | None = None
    ) -> Reply:
        """An error: small plain text that no player takes for a playlist (SE05)."""
        body = f"{status} {words or _REASONS[status]}\n".encode()
        headers: Headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", cache),
            *self.readable(request),
            *(more or ()),
        ]
        if status == 503 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"retry-after", b"1"))
        return Reply(status, headers, b"" if request.method == "HEAD" else body)

    def unavailable(self, request: Request) -> Reply:
        """The answer when this server cannot hold one more request, or is about to stop."""
        return self.refuse(request, 503)

    def deny(self, request: Request, denial: Denial) -> Reply:
        """A refusal, with what a page needs to say why in its own words (`HLSD-Refused`) and when to ask again."""
        if denial.status == 404 or denial is NOT_READY:
            return self.refuse(request, denial.status, words=denial.words)
        more: Headers = [(b"hlsd-refused", denial.reason.encode() if denial.reason in _TOLD else b"denied")]
        if denial.reason == "limit":
            more.append((b"retry-after", _FULL))
        return self.refuse(request, denial.status, words=denial.words, more=more)

    def no_media(self, request: Request, playable: Playable) -> Reply:
        """404; where parts appear by the second, nobody may remember it for longer than one (B.1)."""
        life = 1 if playable.low_latency else max(1, playable.target_duration)
        return self.refuse(request, 404, cache=b"max-age=%d" % life)

    # -- other answers

    def preflight(self, request: Request) -> Reply:
        """The answer to OPTIONS."""
        return Reply(204, [*self.readable(request), *self._cors.preflight(), (b"cache-control", _NO_STORE)])

    def readable(self, request: Request) -> Headers:
        """CORS, with the Vary it may need."""
        return [*self._cors.headers(request.headers.get(b"origin")), *self._vary_origin]

    def may_read(self, request: Request) -> bool:
        """Whether the page that asks may read what it gets: for WebSockets, where the browser does not see to it."""
        origin = request.headers.get(b"origin")
        if origin is None or self._cors.headers(origin):
            return True
        return origin.partition(b"://")[2] == request.headers.get(b"host")

    def may_send(self, request: Request) -> bool:
        """Whether the page that asks may publish here: `*` says who may play, and names nobody."""
        origin = request.headers.get(b"origin")
        if origin is None or self._cors.lists(origin):
            return True
        return origin.partition(b"://")[2] == request.headers.get(b"host")

    def redirect(self, request: Request, location: str) -> Reply:
        """Sends the client to another path of ours."""
        return Reply(
            302,
            [
                (b"location", f"{request.prefix}{location}".encode()),
                (b"cache-control", _NO_STORE),
                (b"content-length", b"0"),
                *([(b"vary", b"Accept, Origin" if self._cors.varies else b"Accept")]),
                *self._cors.headers(request.headers.get(b"origin")),
            ],
        )

    # -- playlists and media

    def looked(self, request: Request) -> Reply:
        """The answer to HEAD for a multivariant playlist, which is not made for it."""
        return Reply(200, self._multivariant_headers(request))

    def _multivariant_headers(self, request: Request) -> Headers:
        return [
            (b"content-type", PLAYLIST_TYPE),
            (b"cache-control", b"private, no-store"),
            *self._vary_both,
            *self._cors.headers(request.headers.get(b"origin")),
        ]

    def entered(
        self, request: Request, target: Target, playable: Playable, session: ViewerSession, *, flat: bool
    ) -> Reply | None:
        """What a viewer with a session gets at the way in; None if there is nothing to be played yet."""
        if session.name != target.name:  # it was led to another stream
            target = _renamed(target, session.name)
        if flat:
            return self.redirect(request, f"{session.prefix.decode()}{target.rendition or MAIN}/index.m3u8")
        body = playable.multivariant(f"{target.variant}~{session.sid.decode()}/", target.rendition)
        if body is None:
            return None
        headers = self._multivariant_headers(request)
        if accepts_gzip(request.headers.get(b"accept-encoding")):
            body = gzip.compress(body, 1, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", b"%d" % len(body)))
        return Reply(200, headers, body)

    def playlist(
        self, request: Request, rendering: Rendering, *, cache: bytes = b"private, no-cache", conditional: bool = True
    ) -> Reply:
        """A media playlist. It is `private`: its path holds a session (SE04)."""
        zipped = accepts_gzip(request.headers.get(b"accept-encoding"))
        # "strong": bytes that differ by coding need tags that differ (RFC 9110 §8.8.3.3)
        etag = f'{rendering.etag[:-1]}-gzip"' if zipped else rendering.etag
        headers: Headers = [
            (b"cache-control", cache),
            (b"etag", etag.encode()),
            *self._vary_both,
            *self._cors.headers(request.headers.get(b"origin")),
        ]
        if conditional and etag_matches(request.headers.get(b"if-none-match"), etag):
            return Reply(304, headers)
        body = rendering.gzip if zipped else rendering.body
        headers.append((b"content-type", PLAYLIST_TYPE))
        headers.append((b"content-length", b"%d" % len(body)))
        if zipped:
            headers.append((b"content-encoding", b"gzip"))
        return Reply(200, headers, b"" if request.method == "HEAD" else body)

    def resource(self, request: Request, media: Media) -> Reply:
        """A segment, part or initialisation section; immutable, so every cache may keep it."""
        get = request.headers.get
        headers: Headers = [
            (b"cache-control", _NO_STORE if media.secret else MEDIA_CACHE),
            (b"etag", media.etag.encode()),
            (b"accept-ranges", b"bytes"),
            *self.readable(request),
        ]
        if etag_matches(get(b"if-none-match"), media.etag):
            return Reply(304, headers)
        size = len(media.body)
        kind: int = MORE if media.init else MEDIA
        if media.rendition not in _MAIN:
            kind = RenditionBody.of(kind, media.rendition)
        wanted = get(b"range")
        condition = get(b"if-range")
        if wanted is None or request.method == "HEAD" or (condition and condition.strip() != media.etag.encode()):
            span: Span | str = "whole"
        else:
            span = parse_range(wanted, size)
        if span == "outside":
            return self.refuse(request, 416, more=[(b"content-range", b"bytes */%d" % size)])
        headers.append((b"content-type", media.content_type.encode()))
        if isinstance(span, Span):
            headers.append((b"content-range", b"bytes %d-%d/%d" % (span.start, span.stop - 1, size)))
            headers.append((b"content-length", b"%d" % (span.stop - span.start)))
            return Reply(206, headers, memoryview(media.body)[span.start : span.stop], media=kind)
        headers.append((b"content-length", b"%d" % size))
        return Reply(200, headers, b"" if request.method == "HEAD" else media.body, media=kind)


def _renamed(target: Target, name: str) -> Target:
    """The same for another stream of the app; what is relative to its path goes there."""
    inside = not target.variant or target.variant.startswith("../")
    return target._replace(name=name, variant=f"{'../' if inside else ''}{name}/")
