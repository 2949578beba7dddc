"""Answers `/{app}/{id}/v/…`: films that were made of files, to viewers with sessions, as recordings are.

`index.m3u8` lists the renditions; `{id}{n}.m3u8`, `.mp4` and `.vtt` (thumbnails) are one of them, `{id}{n}p.m3u8` its
pictures alone and `{id}{n}a{m}.m3u8` one track of sound, `{id}s{n}.m3u8` and `.vtt` a track of text. Covers, `{n}.jpg`,
are for whoever may watch, and make no session.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hlsd.base.clock import Clock
from hlsd.delivery.answer import Reply
from hlsd.delivery.judge import Judge
from hlsd.delivery.play_request import play_request
from hlsd.delivery.request import BadRequest, Request, Target, etag_matches, parse_path
from hlsd.delivery.web import read_request
from hlsd.media.key_vault import KeyVault
from hlsd.ports import VOD, Denial, Entrance, PlayRequest, Rendering, Sessions
from hlsd.record.open_recordings import OpenRecording, OpenRecordings
from hlsd.record.playback import RecordEndpoint, RecordRequest
from hlsd.record.sprites import Sprites
from hlsd.vod.job import FilmOutcome, VodJob, is_id
from hlsd.vod.sound_tracks import GROUP as SOUNDS
from hlsd.vod.sound_tracks import shown_file, sound_tags
from hlsd.vod.text_tracks import FILE, GROUP, text_playlist, text_tags

_INDEX: Final = "index"
_METHODS: Final = b"GET, HEAD, OPTIONS"
_CACHE: Final = b"private, max-age=3600"


def multivariant(film: FilmOutcome) -> bytes:
    """The list of the renditions, the largest first (RFC 8216 §4.3.4.2)."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [*sound_tags(film.sounds), *text_tags(film.texts)]
    # "The attribute ... is REQUIRED if any other" than SDR (rfc8216bis §4.4.6.2), and says then what the others are
    ranges = any(one.video_range in {"PQ", "HLG"} for one in film.renditions)
    for one in sorted(film.renditions, key=lambda one: -one.bandwidth):
        said = [f"BANDWIDTH={one.bandwidth}"]
        if one.codecs:
            said.append(f'CODECS="{one.codecs}"')
        if one.width:
            said.append(f"RESOLUTION={one.width}x{one.height}")
        if one.frame_rate:
            said.append(f"FRAME-RATE={one.frame_rate:.3f}")
        if ranges and one.video_range:
            said.append(f"VIDEO-RANGE={one.video_range}")
        if film.sounds and one.width:
            said.append(f'AUDIO="{SOUNDS}"')
        if film.texts:
            said.append(f'SUBTITLES="{GROUP}"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(said)}", f"{shown_file(one, film.sounds)}.m3u8"]
    return ("\n".join(lines) + "\n").encode()


class FilmEndpoint(RecordEndpoint):
    """The endpoint of all but covers."""

    RUN = "v"

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        open_recordings: OpenRecordings,
        sprites: Sprites,
        judge: Judge,
        entrance: Entrance,
        sessions: Sessions,
        clock: Clock,
        find: Callable[[str], Awaitable[VodJob | None]],
        read: Callable[[str, str], Awaitable[bytes | None]],
        vault: KeyVault | None = None,
    ) -> None:
        """`read(id, name)` is a small file of a film, None if there is none."""
        super().__init__(open_recordings, sprites, judge, entrance, sessions, clock, vault)
        self._find = find
        self._file = read

    def _read(self, request: Request, target: Target, scope: Scope) -> RecordRequest:
        """Of the list of renditions, and of text, the first rendition tells whether the film is there."""
        stem, _, ending = target.resource.rpartition(".")
        known = target.resource == f"{_INDEX}.m3u8" or (FILE.fullmatch(stem) and ending in {"m3u8", "vtt"})
        within = f"{target.name}0" if known else ""
        return RecordRequest(request, target, scope, self._sessions, within)

    async def _whole(self, one: RecordRequest, recording: OpenRecording) -> Reply | None:
        text = FILE.fullmatch(one.asked)
        if one.asked != _INDEX and text is None:
            return await super()._whole(one, recording)
        job = await self._find(recording.row.name)
        if job is None or job.outcome is None:
            return self._replies.refuse(one.request, 404)
        if text is None:
            body = multivariant(job.outcome)
            rendering = Rendering(body, gzip.compress(body, 1, mtime=0), f'"{job.id}-v"')
            return self._replies.playlist(one.request, rendering, cache=_CACHE)
        if all(made.file != one.asked for made in job.outcome.texts):
            return self._replies.refuse(one.request, 404)
        if one.ending == "m3u8":
            body = text_playlist(one.asked, job.outcome.duration_ms)
            rendering = Rendering(body, gzip.compress(body, 1, mtime=0), f'"{one.asked}"')
            return self._replies.playlist(one.request, rendering, cache=_CACHE)
        return await self._text(one.request, job.id, one.asked)

    async def _text(self, request: Request, ident: str, name: str) -> Reply:
        """A track of text as it was made."""
        tag = f'"{name}-t"'
        headers = [(b"etag", tag.encode()), (b"cache-control", _CACHE), *self._replies.readable(request)]
        if etag_matches(request.headers.get(b"if-none-match"), tag):
            return Reply(304, headers)
        body = await self._file(ident, f"{name}.vtt")
        if body is None:
            return self._replies.refuse(request, 404)
        headers += [(b"content-type", b"text/vtt; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        return Reply(200, headers, b"" if request.method == "HEAD" else body)


class Looking:
    """What somebody comes for who wants a cover (`hlsd.ports.Outputs`, and the output too)."""

    ended = False
    name = ""

    def find(self, app: str, name: str) -> Looking:  # noqa: ARG002 - it is asked for afterwards
        """It is here or nowhere."""
        self.name = name
        return self

    async def ready(self, request: PlayRequest, output: Looking) -> Denial | None:  # noqa: ARG002
        """Nobody enters."""
        return None


class CoverEndpoint:
    """`{n}.jpg`. `read(id, n)` is the picture, None if there is none."""

    def __init__(self, judge: Judge, entrance: Entrance, read: Callable[[str, int], Awaitable[bytes | None]]) -> None:
        self._judge = judge
        self._entrance = entrance
        self._picture = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """One request."""
        request = read_request(scope)
        self._judge.locate(request)
        try:
            reply = await self._answer(request, scope["path_params"]["file"])
        except BadRequest as error:
            reply = self._judge.replies.refuse(request, 400, words=str(error))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _answer(self, request: Request, number: str) -> Reply:
        replies = self._judge.replies
        if request.method == "OPTIONS":
            return replies.preflight(request)
        if request.method not in {"GET", "HEAD"}:
            return replies.refuse(request, 405, more=[(b"allow", _METHODS)])
        target = parse_path(request.path)
        if target is None or not is_id(target.name) or not (number.isascii() and number.isdigit() and len(number) < 3):
            return replies.refuse(request, 404)
        found = await self._entrance.glance(play_request(request, target, VOD), Looking())
        if isinstance(found, Denial):
            return replies.deny(request, found)
        body = await self._picture(found.name, int(number))
        if body is None:
            return replies.refuse(request, 404)
        tag = f'"{found.name}-{number}"'
        headers = [
            (b"content-type", b"image/jpeg"),
            (b"etag", tag.encode()),
            (b"cache-control", _CACHE),
            *replies.readable(request),
        ]
        if etag_matches(request.headers.get(b"if-none-match"), tag):
            return Reply(304, headers)
        headers.append((b"content-length", b"%d" % len(body)))
        return Reply(200, headers, b"" if request.method == "HEAD" else body)


async def _to_page(_: HttpRequest) -> Response:
    """The app's own address leads to the page, below whatever a proxy or a host has taken off the path."""
    return RedirectResponse("_/films", 302, {"cache-control": "no-store"})


def film_routes(film: FilmEndpoint, cover: CoverEndpoint, app: str) -> list[Route]:
    """Where they answer."""
    return [
        Route(f"/{app}", _to_page),
        Route(f"/{app}/{{name}}/v/{{file}}.jpg", cover),
        Route(f"/{app}/{{name}}/v/{{file}}", film),
        Route(f"/{app}/{{name}}/{{sid}}/v/{{file}}", film),
        Route(f"/{app}/{{name}}/{{sid}}/v/{{part}}/{{file}}", film),
    ]
