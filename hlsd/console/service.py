"""Is the console as a service: the page `/console`, its files, and what the API has for it alone."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hlsd.base import stream_name
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, sweep
from hlsd.console.history import EVERY, History
from hlsd.console.settings import ConsoleSettings
from hlsd.delivery.request import accepts_gzip, etag_matches
from hlsd.ports import Service
from hlsd.ports.described import REF, DescribedRoute, Schema, envelope, parameter, responses, schemas_of

FILES: Final = Path(__file__).parent / "files"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}
_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_NO_STORE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "success": {"const": False},
        "data": {"type": "null"},
        "message": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["success", "data", "message", "code"],
}


class StreamHistory(BaseModel):
    """The last hour of a stream, or less; the last point is the newest."""

    model_config = ConfigDict(defer_build=True)

    first: int = Field(description="When the first point was taken, ms of the epoch.")
    every_ms: int = Field(description="From point to point.")
    bitrate: list[int] = Field(description="Bits per second that came in.")
    sessions: list[int] = Field(description="Viewers.")


def _schemas() -> dict[str, Schema]:
    """What the operation names."""
    return schemas_of(StreamHistory) | {"ConsoleProblem": _PROBLEM}


class ConsoleService(Service):
    """Of one server; `api`: whether there is one."""

    def __init__(self, settings: ConsoleSettings, history: History, faults: Faults, *, api: bool) -> None:
        self._on = settings.enabled and api
        self._history = history
        self._faults = faults
        self._sweeping: asyncio.Task[None] | None = None
        self._files = {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in _TYPES}
        # One version for all: modules import one another by name.
        joined = b"".join(body for _, body in sorted(self._files.items()))
        self._etag = hashlib.sha256(joined).hexdigest()[:20]
        self._zipped = {name: gzip.compress(body, 9, mtime=0) for name, body in self._files.items()}

    async def start(self) -> None:
        """Begins to remember."""
        if self._on:
            self._sweeping = sweep(EVERY, self._history.turn, "console_history", self._faults)

    async def stop(self, deadline: float) -> None:  # noqa: ARG002 - it ends at once
        """Ends."""
        await end(self._sweeping)

    def routes(self) -> Sequence[BaseRoute]:
        """The page and its files."""
        if not self._on:
            return ()
        return [Route("/console", self._page), Route("/_/console/{name}", self._file)]

    def operations(self) -> Sequence[Route]:
        """The curves."""
        if not self._on:
            return ()
        part = {"type": "string", "pattern": f"^{stream_name.PATTERN}$", "maxLength": stream_name.LONGEST}
        described = {
            "operationId": "console_history",
            "summary": "The last hour of a stream: bit rate and viewers. Empty for one that was not there.",
            "tags": ["console"],
            "x-scope": "read",
            "parameters": [parameter(name, "path", part) for name in ("app", "stream")],
            "responses": responses(200, envelope({"$ref": REF.format(model="StreamHistory")}), [], "ConsoleProblem"),
        }
        path = "/api/v1/streams/{app}/{stream}/history"
        return [DescribedRoute("GET", path, self._past, described, _schemas)]

    async def _past(self, request: Request) -> Response:
        first, bitrate, viewers = self._history.of(f"/{request.path_params['app']}/{request.path_params['stream']}")
        told = StreamHistory(first=first, every_ms=int(EVERY * 1000), bitrate=bitrate, sessions=viewers)
        return JSONResponse({"success": True, "data": told.model_dump(), "message": ""}, headers=_NO_STORE)

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - it names its files beside itself
        headers = {**_HEADERS, "cache-control": "no-cache"}
        return Response(self._files["console.html"], media_type=_TYPES[".html"], headers=headers)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        body = self._files.get(name)
        if body is None or name.endswith(".html"):
            return PlainTextResponse("404 not found\n", 404, headers=_NO_STORE)
        zipped = accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1"))
        headers = {**_HEADERS, "cache-control": "no-cache", "vary": "Accept-Encoding"}
        headers["etag"] = f'"{self._etag}{"-gzip" if zipped else ""}"'
        if etag_matches(request.headers.get("if-none-match", "").encode("latin-1"), headers["etag"]):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["content-encoding"] = "gzip"
        return Response(self._zipped[name] if zipped else body, media_type=_TYPES[Path(name).suffix], headers=headers)
