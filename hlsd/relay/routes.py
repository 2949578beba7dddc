"""Speaks HTTP for the relays: `/api/v1/relays[/id]`, and Node-Media-Server v2's `/api/relay…`.

`routes(relays)` are mounted by whoever guards the API: nothing here asks for a key. Bodies are JSON of at most 64 kB.
Answers of v1 are the envelope `{success, data, message}`, errors have `code` too (contract §6).
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hlsd.relay.relays import RelayRefused, Relays, RelayView
from hlsd.relay.tasks import Task

BODY_LIMIT: Final = 64 * 1024
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(relays: Relays) -> list[Route]:
    """The routes of both dialects."""
    return [*_v1_routes(relays), *_v2_routes(relays)]


def _v1_routes(relays: Relays) -> list[Route]:
    async def listing(request: Request) -> Response:
        query = request.query_params
        return _done([view.model_dump() for view in relays.list(query.get("app", ""), query.get("name", ""))])

    async def one(request: Request) -> Response:
        view = relays.get(request.path_params["relay_id"])
        return _missing() if view is None else _done(view.model_dump())

    async def add(request: Request) -> Response:
        try:
            view = await relays.add(_task(await _body(request)))
        except RelayRefused as error:
            return _refused(error)
        return _done(view.model_dump(), status=201)

    async def remove(request: Request) -> Response:
        return _done(None) if relays.remove(request.path_params["relay_id"]) else _missing()

    return [
        Route("/api/v1/relays", listing, methods=["GET"]),
        Route("/api/v1/relays", add, methods=["POST"]),
        Route("/api/v1/relays/{relay_id}", one, methods=["GET"]),
        Route("/api/v1/relays/{relay_id}", remove, methods=["DELETE"]),
    ]


def _v2_routes(relays: Relays) -> list[Route]:  # noqa: C901 - seven small handlers
    """Node-Media-Server's: answers are shaped as it shapes them."""

    async def v2_listing(_: Request) -> Response:
        found: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        for view in relays.list():
            found.setdefault(view.app, {}).setdefault(view.name, {"relays": []})["relays"].append(_v2(view))
        return JSONResponse(found, headers=_HEADERS)

    async def v2_by_id(request: Request) -> Response:
        found = [view for view in relays.list() if view.id == request.path_params["relay_id"]]
        return JSONResponse([_v2(view) for view in found], headers=_HEADERS)

    async def v2_by_name(request: Request) -> Response:
        found = relays.list(request.path_params["app"], request.path_params["name"])
        return JSONResponse([_v2(view) for view in found], headers=_HEADERS)

    async def v2_pull(request: Request) -> Response:
        return await v2_add(request, "static")

    async def v2_push(request: Request) -> Response:
        return await v2_add(request, "push")

    async def v2_task(request: Request) -> Response:
        """`path` and `url`: from one to the other, of which one is a stream of ours, `/app/name`."""
        try:
            body = await _body(request)
            path, url = str(body.get("path", "")), str(body.get("url", ""))
            mode, stream, there = ("push", path, url) if path.startswith("/") else ("static", url, path)
            app, _, name = stream.removeprefix("/").partition("/")
            task = {"mode": mode, "app": app, "name": name, "url": there}
            view = await relays.add(_task(task))
        except RelayRefused as error:
            return PlainTextResponse(str(error), error.status, _HEADERS)
        return PlainTextResponse(view.id, headers=_HEADERS)

    async def v2_add(request: Request, mode: str) -> Response:
        try:
            body = await _body(request)
            known = {key: body[key] for key in ("url", "app", "name", "rtsp_transport") if body.get(key)}
            view = await relays.add(_task({**known, "mode": mode}))
        except RelayRefused as error:
            return PlainTextResponse(str(error), error.status, _HEADERS)
        return PlainTextResponse(view.id, headers=_HEADERS)

    async def v2_remove(request: Request) -> Response:
        gone = relays.remove(request.path_params["relay_id"])
        return PlainTextResponse("OK" if gone else "Not Found", 200 if gone else 404, _HEADERS)

    return [
        Route("/api/relay", v2_listing, methods=["GET"]),
        Route("/api/relay/task", v2_task, methods=["POST"]),
        Route("/api/relay/pull", v2_pull, methods=["POST"]),
        Route("/api/relay/push", v2_push, methods=["POST"]),
        Route("/api/relay/{relay_id}", v2_by_id, methods=["GET"]),
        Route("/api/relay/{relay_id}", v2_remove, methods=["DELETE"]),
        Route("/api/relay/{app}/{name}", v2_by_name, methods=["GET"]),
    ]


async def _body(request: Request) -> dict[str, Any]:
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


def _task(body: dict[str, Any]) -> Task:
    for key in ("id", "created"):
        if key in body:
            raise RelayRefused(400, "bad_body", f"{key} is given by the server")
    try:
        return Task.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RelayRefused(400, "bad_body", f"{where[:64]}: {first['msg']}") from None


def _done(data: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return JSONResponse({"success": True, "data": data, "message": ""}, status, _HEADERS)


def _refused(error: RelayRefused) -> Response:
    body = {"success": False, "data": None, "message": str(error), "code": error.code}
    return JSONResponse(body, error.status, _HEADERS)


def _missing() -> Response:
    return _refused(RelayRefused(404, "no_such_relay", "there is no relay of that id"))


def _v2(view: RelayView) -> dict[str, Any]:
    return {
        "app": view.app,
        "name": view.name,
        "url": view.url,
        "mode": view.mode,
        "id": view.id,
        "ts": int(view.created),
    }
