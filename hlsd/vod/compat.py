"""Answers as a pull server for VOD does: `/version`, `/hls`, `/update`, `/recording`, for programs written for one.

Arguments come in the query, as JSON or in a form, by GET and by POST. Every answer has status 200 and the envelope
`{code, data, msg}`, with a code of text: 200, 444 (no key), 40500 (it went wrong here), 40501 (no MP4), 40502 (no
callback), 40503 (no such file), 40504 (no such URL). Addresses are told at once, before the job runs; until the film is
there they answer 503.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from hlsd import __version__
from hlsd.relay.dial import SourceError
from hlsd.vod.desk import JobRefused, VodDesk
from hlsd.vod.fetch import check_url, way_out
from hlsd.vod.fetch_playlist import is_playlist
from hlsd.vod.folder import UPLOADS, below
from hlsd.vod.forms import LOOK, is_mp4
from hlsd.vod.job import MOST_COVERS, VodJob, Wish, cover_at, folder_of, is_id, new_id
from hlsd.vod.routes import form_with_film
from hlsd.vod.settings import CompatSettings
from hlsd.vod.uploads import UploadRefused

BODY_LIMIT: Final = 64 * 1024
RESOLVE: Final = 5.0
"""Seconds within which the host of a URL must be found."""
OWNER: Final = "compat"
"""Whose quota these jobs count for."""
NO_KEY, FAULT, NO_MP4, NO_CALLBACK, NO_FILE, NO_URL = "444", "40500", "40501", "40502", "40503", "40504"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_RENDITION: Final = re.compile(r"([0-9]{23})([01])\.m3u8", re.ASCII)
_COVER: Final = re.compile(r"([0-9]{1,2})\.jpg", re.ASCII)
Said = dict[str, list[str]]
"""Arguments, each with every value that it was given."""


class CompatRefused(Exception):
    """What the answer's `code` and `msg` say."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class CompatRoutes:
    """The routes of one server."""

    def __init__(self, desk: VodDesk, settings: CompatSettings) -> None:
        self._desk = desk
        self._keys = [key.get_secret_value().encode() for key in settings.keys]
        self._open = frozenset(settings.open_routes)
        self._base = settings.base

    def routes(self) -> list[Route]:
        """Where they answer."""
        both = ["GET", "POST"]
        return [
            Route("/version", self._guarded(self._version), methods=both),
            Route("/hls", self._guarded(self._hls), methods=both),
            Route("/update", self._guarded(self._update), methods=["POST"]),
            Route("/recording", self._guarded(self._recording), methods=both),
            Route("/{yyyy:int}/{mm:int}/{dd:int}/{ident}/{file}", self._lead, methods=["GET"]),
        ]

    def _guarded(self, do: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def run(request: Request) -> Response:
            try:
                self._judge(request)
                return _answer("200", await do(request), None)
            except CompatRefused as error:
                return _answer(error.code, None, str(error))
            except (JobRefused, UploadRefused) as error:
                return _answer(FAULT, None, str(error))
            except ClientDisconnect:
                return _answer(FAULT, None, "the connection was cut off")

        return run

    def _judge(self, request: Request) -> None:
        """Raises CompatRefused unless who asks shows a key, or needs none. All are compared: time tells nothing."""
        if request.url.path in self._open:
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = [bearer if scheme.lower() == "bearer" else "", request.headers.get("token", "")]
        shown.append(request.query_params.get("token", ""))
        good = [hmac.compare_digest(key, one.encode()) for key in self._keys for one in shown if one]
        if not any(good):
            raise CompatRefused(NO_KEY, "the key is missing or wrong")

    # -- what is asked

    async def _version(self, request: Request) -> str:  # noqa: ARG002 - as of the others
        return __version__

    async def _hls(self, request: Request) -> dict[str, Any]:
        said = await _arguments(request)
        way, uri = _one(said, "way"), _one(said, "uri")
        callback = self._callback(said)
        if way == "disk":
            await self._look_at_file(uri)
            wish = self._wish(said, callback, file=uri)
        elif way == "url":
            await self._look_at_url(uri)
            wish = self._wish(said, callback, url=uri)
        else:
            raise CompatRefused(FAULT, "way should be disk or url")
        return self._told(request, await self._desk.add(wish, OWNER, form="get"))

    async def _recording(self, request: Request) -> dict[str, Any]:
        """A live playlist, of this server or another one, to MP4; its callback says where that is."""
        said = await _arguments(request)
        uri, callback, ident = _one(said, "m3u8"), self._callback(said), new_id()
        await self._look_at_url(uri)
        if not is_playlist(uri):
            raise CompatRefused(NO_URL, "m3u8 should be the URL of a playlist: it ends with .m3u8")
        if callback:
            own = {key for key, _ in parse_qsl(urlsplit(callback).query, keep_blank_values=True)}
            file, settings = f"{ident}0.mp4", self._desk.settings
            disk = "" if settings.store else str(self._desk.folder.root / folder_of(ident) / ident / file)
            told = {"diskuri": disk, "neturi": f"{self._origin(request)}/{settings.app}/{ident}/v/{file}"}
            ours = urlencode({key: one for key, one in told.items() if key not in own})
            bare, hash_, fragment = callback.partition("#")
            callback = f"{bare}{'&' if '?' in bare else '?'}{ours}{hash_}{fragment}"
        wish = self._wish(said, callback, renditions=[], url=uri, max_duration=_one(said, "max_duration") or 0)
        return self._told(request, await self._desk.add(wish, OWNER, form="rec", ident=ident))

    async def _update(self, request: Request) -> dict[str, Any]:
        fields, upload = await form_with_film(self._desk, request)
        try:
            for key, value in request.query_params.multi_items():
                fields.setdefault(key, []).append(value)
            callback = self._callback(fields)
            if not is_mp4(await self._desk.do(lambda: self._head(upload))):
                raise CompatRefused(NO_MP4, "only MP4 is taken")  # noqa: TRY301 - the upload is removed below
            job = await self._desk.add(self._wish(fields, callback, upload=upload), OWNER, form="get")
        except BaseException:
            self._desk.folder.remove_upload(upload)
            self._desk.uploads.forget(upload)
            raise
        return self._told(request, job)

    def _head(self, upload: str) -> bytes:
        fd = os.open(self._desk.folder.root / UPLOADS / upload, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return os.read(fd, LOOK)
        finally:
            os.close(fd)

    async def _look_at_file(self, uri: str) -> None:
        def look() -> bytes:
            fd = below(self._desk.settings.roots, uri)
            try:
                return os.read(fd, LOOK)
            finally:
                os.close(fd)

        try:
            head = await self._desk.do(look)
        except (OSError, ValueError):
            raise CompatRefused(NO_FILE, "there is no such file") from None
        if not is_mp4(head):
            raise CompatRefused(NO_MP4, "only MP4 is taken")

    async def _look_at_url(self, uri: str) -> None:
        """Looks whether it may be fetched at all; whether it can be, the job finds out."""
        try:
            if not self._desk.settings.urls:
                raise ValueError("vod.urls is off")  # noqa: TRY301 - it is refused like the others
            async with asyncio.timeout(RESOLVE):
                await way_out(self._desk.settings).resolve(check_url(uri))
        except (ValueError, SourceError, TimeoutError) as error:
            raise CompatRefused(NO_URL, str(error) or "its host cannot be found") from None

    def _callback(self, said: Said) -> str:
        callback = _one(said, "callback")
        if callback:
            try:
                check_url(callback)
            except ValueError as error:
                raise CompatRefused(NO_CALLBACK, str(error)) from None
        return callback

    def _wish(self, said: Said, callback: str, **source: object) -> Wish:
        try:
            wish = {"renditions": ["sd", "hd"], "covers": covers_of(said), "callback": callback, **source}
            return Wish.model_validate(wish)
        except ValueError:
            raise CompatRefused(FAULT, "an argument is no good") from None

    # -- what is answered

    def _told(self, request: Request, job: VodJob) -> dict[str, Any]:
        place = f"{self._origin(request)}/{folder_of(job.id)}/{job.id}"
        return {
            "id": job.id,
            "liveAddress": f"{place}/{job.id}0.m3u8",
            "hdAddress": f"{place}/{job.id}1.m3u8",
            "cover": [f"{place}/{at}.jpg" for at in range(len(job.wish.covers))],
        }

    def _origin(self, request: Request) -> str:
        return self._base or f"{request.url.scheme}://{request.headers.get('host', '')}"

    async def _lead(self, request: Request) -> Response:
        """From the address that was told to the film: 503 until it is there, 404 if it never will be."""
        ident, file = request.path_params["ident"], request.path_params["file"]
        rendition, cover = _RENDITION.fullmatch(file), _COVER.fullmatch(file)
        if not is_id(ident) or (rendition is None and cover is None):
            return PlainTextResponse("404 not found\n", 404, _HEADERS)
        try:
            job = await self._desk.find(ident)
        except JobRefused as error:
            return PlainTextResponse(f"503 {error}\n", 503, _HEADERS | {"retry-after": "2"})
        if job is None or job.state in {"failed", "cancelled"}:
            return PlainTextResponse("404 not found\n", 404, _HEADERS)
        if job.outcome is None:
            return PlainTextResponse("503 not ready, ask again\n", 503, _HEADERS | {"retry-after": "2"})
        if rendition is not None:
            wanted = "hd" if rendition[2] == "1" else "sd"
            made = job.outcome.renditions
            file = f"{next((one for one in made if one.name == wanted), made[0]).file}.m3u8"
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{self._desk.settings.app}/{ident}/v/{file}{query}", 302, _HEADERS)


def covers_of(said: Mapping[str, list[str]]) -> list[str]:
    """Times of covers: `cover` or `cover[]`, repeated, a JSON array, or with commas; what is no time is left out."""
    found: list[str] = []
    for text in [*said.get("cover", ()), *said.get("cover[]", ())]:
        try:
            values = json.loads(text) if text.startswith("[") else text.split(",")
        except (ValueError, RecursionError):
            values = []
        found += [str(one).strip() for one in values if isinstance(one, str | int | float)]
    good = []
    for one in found:
        try:
            cover_at(one, 1.0)
        except ValueError:
            continue
        good.append(one)
    return good[:MOST_COVERS]


def _one(said: Said, name: str) -> str:
    return said.get(name, [""])[-1]


async def _arguments(request: Request) -> Said:
    """Those of the query, and of a body of JSON or a form. Raises CompatRefused."""
    found: Said = {}
    for key, value in request.query_params.multi_items():
        found.setdefault(key, []).append(value)
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise CompatRefused(FAULT, "the body is larger than 64 kB")
    if not octets.strip():
        return found
    if octets.lstrip()[:1] == b"{":
        try:
            said = json.loads(octets)
        except (ValueError, RecursionError):
            raise CompatRefused(FAULT, "the body is not JSON") from None
        for key, value in said.items():
            values = value if isinstance(value, list) else [value]
            found.setdefault(str(key), []).extend(str(one) for one in values if isinstance(one, str | int | float))
        return found
    try:
        pairs = parse_qsl(octets.decode(), keep_blank_values=True, max_num_fields=256)
    except ValueError:
        raise CompatRefused(FAULT, "the body is no form") from None
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _answer(code: str, data: Any, words: str | None) -> Response:  # noqa: ANN401 - JSON
    return JSONResponse({"code": code, "data": data, "msg": words}, headers=_HEADERS)
