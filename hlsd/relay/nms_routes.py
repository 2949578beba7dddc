"""Speaks HTTP for the relays as Node-Media-Server 2 does: `/api/relay…`, in its shapes."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hlsd.relay.relays import RelayRefused, Relays, RelayView
from hlsd.relay.routes import HEADERS, body_of, task_of


def nms_routes(relays: Relays) -> list[Route]:  # noqa: C901 - seven small handlers
    """The routes."""

    async def listing(_: Request) -> Response:
        found: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        for view in relays.every():
            found.setdefault(view.app, {}).setdefault(view.name, {"relays": []})["relays"].append(_shown(view))
        return JSONResponse(found, headers=HEADERS)

    async def by_id(request: Request) -> Response:
        found = [view for view in relays.every() if view.id == request.path_params["relay_id"]]
        return JSONResponse([_shown(view) for view in found], headers=HEADERS)

    async def by_name(request: Request) -> Response:
        found = relays.every(request.path_params["app"], request.path_params["name"])
        return JSONResponse([_shown(view) for view in found], headers=HEADERS)

    async def pull(request: Request) -> Response:
        return await add(request, "static")

    async def push(request: Request) -> Response:
        return await add(request, "push")

    async def task(request: Request) -> Response:
        """`path` and `url`: from one to the other, of which one is a stream of ours, `/app/name`."""
        try:
            body = await body_of(request)
            path, url = str(body.get("path", "")), str(body.get("url", ""))
            mode, stream, there = ("push", path, url) if path.startswith("/") else ("static", url, path)
            app, _, name = stream.removeprefix("/").partition("/")
            view = await relays.add(task_of({"mode": mode, "app": app, "name": name, "url": there}))
        except RelayRefused as error:
            return PlainTextResponse(str(error), error.status, HEADERS)
        return PlainTextResponse(view.id, headers=HEADERS)

    async def add(request: Request, mode: str) -> Response:
        try:
            body = await body_of(request)
            known = {key: body[key] for key in ("url", "app", "name", "rtsp_transport") if body.get(key)}
            view = await relays.add(task_of({**known, "mode": mode}))
        except RelayRefused as error:
            return PlainTextResponse(str(error), error.status, HEADERS)
        return PlainTextResponse(view.id, headers=HEADERS)

    async def remove(request: Request) -> Response:
        gone = relays.remove(request.path_params["relay_id"])
        return PlainTextResponse("OK" if gone else "Not Found", 200 if gone else 404, HEADERS)

    return [
        Route("/api/relay", listing, methods=["GET"]),
        Route("/api/relay/task", task, methods=["POST"]),
        Route("/api/relay/pull", pull, methods=["POST"]),
        Route("/api/relay/push", push, methods=["POST"]),
        Route("/api/relay/{relay_id}", by_id, methods=["GET"]),
        Route("/api/relay/{relay_id}", remove, methods=["DELETE"]),
        Route("/api/relay/{app}/{name}", by_name, methods=["GET"]),
    ]


def _shown(view: RelayView) -> dict[str, Any]:
    return {
        "app": view.app,
        "name": view.name,
        "url": view.url,
        "mode": view.mode,
        "id": view.id,
        "ts": view.createtime // 1000,
    }
