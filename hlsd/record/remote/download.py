"""Sends the operator a file that is in the store alone, whole or in part: what `FileResponse` is for local ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from hlsd.delivery.request import Span, parse_range
from hlsd.record.open_recordings import Far
from hlsd.record.remote.bucket import StoreFault
from hlsd.record.remote.upload import KINDS

PIECE = 1 << 20
"""Bytes that are asked for at a time."""


async def download(request: Request, far: Far, key: str, size: int, headers: dict[str, str]) -> Response:
    """The object `key` of `size` bytes; 502 or 503 with words where the store does not give its first bytes."""
    wanted = parse_range(request.headers.get("range", "").encode("latin-1") or None, size)
    if wanted == "outside":
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    span = wanted if isinstance(wanted, Span) else Span(0, size)
    name = key.rpartition("/")[2]
    more = {
        "content-length": str(span.stop - span.start),
        "content-disposition": f'attachment; filename="{name}"',
        "accept-ranges": "bytes",
    }
    if isinstance(wanted, Span):
        more["content-range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    try:
        first = await far.read(key, span.start, min(PIECE, span.stop - span.start)) if span.stop > span.start else b""
    except StoreFault as error:
        body = {"success": False, "data": None, "message": str(error), "code": "store"}
        return JSONResponse(body, error.status, headers)

    async def rest() -> AsyncIterator[bytes]:
        at = span.start + len(first)
        yield first
        while at < span.stop:  # what the store does not give ends the connection, and the client asks for the rest
            piece = await far.read(key, at, min(PIECE, span.stop - at))
            at += len(piece)
            yield piece

    status = 206 if isinstance(wanted, Span) else 200
    kind = KINDS.get(key.rpartition(".")[2], "application/octet-stream")
    return StreamingResponse(rest(), status, {**headers, **more}, kind)
