"""Speaks HTTP for the relays: `/api/v1/relays[/{id}]`, `/api/v1/relays/presets`.

`operations(relays)` are mounted by whoever guards the API: nothing here asks for a key. Bodies are JSON of at most
64 kB. Answers are the envelope `{success, data, message}`, errors have `code` too.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hlsd.base import cursor, stream_name
from hlsd.ports.described import DescribedRoute
from hlsd.relay.described import described, schemas
from hlsd.relay.presets import PresetError, presets
from hlsd.relay.relays import RelayRefused, Relays
from hlsd.relay.tasks import Task

BODY_LIMIT: Final = 64 * 1024
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
MOST: Final = 500
"""Entries of a page."""


_PART: Final = rf"^({stream_name.PATTERN})?$"


class RelayFilter(BaseModel):
    """Of a list: of one app, of one stream's name."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    app: str = Field(default="", pattern=_PART, max_length=stream_name.LONGEST)
    name: str = Field(default="", pattern=_PART, max_length=stream_name.LONGEST)
    limit: int = Field(default=100, ge=1, le=MOST)
    cursor: str = Field(default="", max_length=200)


def operations(relays: Relays, known: Path | None = None) -> list[DescribedRoute]:
    """The routes. `known`: the file with the addresses of cameras by make; None: the one that comes with hlsd."""

    async def listing(request: Request) -> Response:
        try:
            asked = _filter(request)
            after = cursor.read(asked.cursor)
        except RelayRefused as error:
            return _refused(error)
        except ValueError as error:
            return _refused(RelayRefused(400, "bad_cursor", str(error)))
        views, more = relays.page(asked.app, asked.name, after=after, most=asked.limit)
        return _done({"items": [view.model_dump() for view in views], "cursor": cursor.written(more)})

    async def one(request: Request) -> Response:
        view = relays.get(request.path_params["relay_id"])
        return _missing() if view is None else _done(view.model_dump())

    async def add(request: Request) -> Response:
        try:
            view = await relays.add(task_of(await body_of(request)))
        except RelayRefused as error:
            return _refused(error)
        return _done(view.model_dump(), status=201)

    async def remove(request: Request) -> Response:
        return _done(None) if relays.remove(request.path_params["relay_id"]) else _missing()

    async def cameras(request: Request) -> Response:  # noqa: ARG001
        try:
            found = await asyncio.to_thread(presets, known)
        except PresetError as error:
            return _refused(RelayRefused(500, "no_presets", str(error)))
        return _done({"items": [{"make": make, **patterns} for make, patterns in sorted(found.items())]})

    every, single = "/api/v1/relays", "/api/v1/relays/{relay_id}"
    return [
        DescribedRoute(method, path, does, described(does.__name__, method), schemas)
        for method, path, does in (
            ("GET", every, listing),
            ("POST", every, add),
            ("GET", f"{every}/presets", cameras),  # before what would take it for an id
            ("GET", single, one),
            ("DELETE", single, remove),
        )
    ]


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises RelayRefused."""
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise RelayRefused(413, "too_large", "the body is larger than 64 kB")
    try:
        body = json.loads(octets)
    except (ValueError, RecursionError):
        raise RelayRefused(400, "bad_body", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise RelayRefused(400, "bad_body", "the body is not a JSON object")
    return body


def task_of(body: dict[str, Any]) -> Task:
    """The task that a body asks for. Raises RelayRefused that names the first thing that is wrong."""
    for key in ("id", "created"):
        if key in body:
            raise RelayRefused(400, "bad_body", f"{key} is given by the server")
    try:
        return Task.model_validate(body)
    except ValidationError as error:
        raise _bad("bad_body", error) from None


def _filter(request: Request) -> RelayFilter:
    given = request.query_params.multi_items()
    if len(dict(given)) < len(given):
        raise RelayRefused(400, "bad_parameter", "a parameter is given twice")
    try:
        return RelayFilter.model_validate(dict(given))
    except ValidationError as error:
        raise _bad("bad_parameter", error) from None


def _bad(code: str, error: ValidationError) -> RelayRefused:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "it"
    return RelayRefused(400, code, f"{where[:64]}: {first['msg']}")


def _done(data: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return JSONResponse({"success": True, "data": data, "message": ""}, status, HEADERS)


def _refused(error: RelayRefused) -> Response:
    body = {"success": False, "data": None, "message": str(error), "code": error.code}
    return JSONResponse(body, error.status, HEADERS)


def _missing() -> Response:
    return _refused(RelayRefused(404, "no_such_relay", "there is no relay of that id"))
