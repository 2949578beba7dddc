"""Speaks HTTP for recordings: `/api/v1/streams/{app}/{stream}/record` and `/api/v1/records[/{id}]`.

`operations(recordings)` are mounted by whoever guards the API: nothing here asks for a key. Bodies are JSON of at most
64 kB. Answers are the envelope `{success, data, message}`, errors have `code` too.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from hlsd.base import cursor as base_cursor
from hlsd.base import stream_name
from hlsd.base.quantities import Duration
from hlsd.ports.described import DescribedRoute
from hlsd.record.described import described, schemas
from hlsd.record.index import IndexAway
from hlsd.record.recordings import Recordings, RecordRefused

Handler = Callable[[Request], Awaitable[Response]]
BODY_LIMIT: Final = 64 * 1024
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
MOST: Final = 1000


class Start(BaseModel):
    """What a recording is begun with. `max_duration`: seconds of media after which it ends, 0 for none."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    max_duration: Duration = Field(default=0.0, ge=0, le=366 * 86_400)
    path: str = Field(default="", max_length=512)


class Filter(BaseModel):
    """Of a list: `from` and `to` in ms of the epoch, recordings with anything between them."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    stream: str = Field(default="", max_length=300)
    since: int = Field(default=0, ge=0, le=2**53, alias="from")
    until: int = Field(default=0, ge=0, le=2**53, alias="to")
    limit: int = Field(default=100, ge=1, le=MOST)
    cursor: str = Field(default="", max_length=200)


def operations(recordings: Recordings) -> list[DescribedRoute]:  # noqa: C901 - small handlers
    """The routes."""

    async def start(request: Request) -> Response:
        asked = await _start(request)
        view = recordings.start(*_stream(request), max_duration=asked.max_duration, path=asked.path)
        return _done(view.model_dump(), status=201)

    async def status(request: Request) -> Response:
        view = recordings.status(*_stream(request))
        if view is None:
            raise RecordRefused(404, "not_recording", "the API does not have this stream recorded")
        return _done(view.model_dump())

    async def stop(request: Request) -> Response:
        view = await recordings.finish(*_stream(request))
        return _done(view.model_dump())

    async def listing(request: Request) -> Response:
        asked = _filter(request)
        app, name = _path(asked.stream)
        views, more = await recordings.page(
            app=app, name=name, since=asked.since, until=asked.until, after=after_of(asked.cursor), most=asked.limit
        )
        return _done({"items": [view.model_dump() for view in views], "cursor": base_cursor.written(more)})

    async def one(request: Request) -> Response:
        view = await recordings.get(request.path_params["record_id"])
        if view is None:
            raise RecordRefused(404, "no_such_record", "there is no recording of that id")
        return _done(view.model_dump())

    async def file(request: Request) -> Response:
        ident = request.path_params["record_id"]
        path = await recordings.file(ident)
        if path is None and (found := await recordings.stored(ident)) is not None:
            far, copy = found
            from hlsd.record.remote.download import download  # noqa: PLC0415 - only who has a store needs it

            return await download(request, far, copy.key, copy.bytes, _HEADERS)
        if path is None:
            raise RecordRefused(404, "no_such_record", "there is no finished recording of that id")
        return FileResponse(path, headers=_HEADERS, filename=path.name)

    async def remove(request: Request) -> Response:
        await recordings.remove(request.path_params["record_id"])
        return _done(None)

    async def repair(_: Request) -> Response:
        return _done(recordings.begin_repair().model_dump(), status=202)

    async def repairing(_: Request) -> Response:
        return _done(recordings.repair.model_dump())

    of_stream, one_record = "/api/v1/streams/{app}/{stream}/record", "/api/v1/records/{record_id}"
    return [
        DescribedRoute(method, path, _answering(does), described(does.__name__, method), schemas)
        for method, path, does in (
            ("POST", of_stream, start),
            ("GET", of_stream, status),
            ("DELETE", of_stream, stop),
            ("GET", "/api/v1/records", listing),
            ("POST", "/api/v1/records/repair", repair),
            ("GET", "/api/v1/records/repair", repairing),
            ("GET", one_record, one),
            ("GET", f"{one_record}/file", file),
            ("DELETE", one_record, remove),
        )
    ]


def _answering(does: Handler) -> Handler:
    """The same, which says what is refused instead of raising it."""

    async def answer(request: Request) -> Response:
        try:
            return await does(request)
        except RecordRefused as error:
            return _refused(error)
        except IndexAway as error:
            return _refused(RecordRefused(503, "index", str(error)))

    return answer


def _stream(request: Request) -> tuple[str, str]:
    return request.path_params["app"], request.path_params["stream"]


async def _start(request: Request) -> Start:
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise RecordRefused(413, "too_large", "the body is larger than 64 kB")
    try:
        return Start.model_validate(json.loads(octets) if octets.strip() else {})
    except ValidationError as error:
        raise _bad("bad_body", error) from None
    except (ValueError, RecursionError):
        raise RecordRefused(400, "bad_body", "the body is not JSON") from None


def _filter(request: Request) -> Filter:
    given = request.query_params.multi_items()
    if len(dict(given)) < len(given):
        raise RecordRefused(400, "bad_parameter", "a parameter is given twice")
    try:
        return Filter.model_validate(dict(given))
    except ValidationError as error:
        raise _bad("bad_parameter", error) from None


def _bad(code: str, error: ValidationError) -> RecordRefused:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "it"
    return RecordRefused(400, code, f"{where[:64]}: {first['msg']}")


def _path(stream: str) -> tuple[str | None, str | None]:
    """App and name of a filter; an app alone is one too."""
    if not stream:
        return None, None
    app, slash, name = stream.strip("/").partition("/")
    if not stream_name.is_name(app) or (slash and not stream_name.is_name(name)):
        raise RecordRefused(400, "bad_parameter", "stream should be app/stream, or an app")
    return app, name or None


def after_of(cursor: str) -> tuple[int, str] | None:
    """What a cursor stands for. Raises RecordRefused."""
    try:
        return base_cursor.read(cursor)
    except ValueError as error:
        raise RecordRefused(400, "bad_cursor", str(error)) from None


def _done(data: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return JSONResponse({"success": True, "data": data, "message": ""}, status, _HEADERS)


def _refused(error: RecordRefused) -> Response:
    body = {"success": False, "data": None, "message": str(error), "code": error.code}
    return JSONResponse(body, error.status, _HEADERS)
