"""Speaks HTTP for uploads: `/api/v1/uploads[/id]`, resumable by the tus protocol, 1.0.0.

POST begins one (`Upload-Length`), HEAD says how much is there (`Upload-Offset`), PATCH goes on at an offset, DELETE
ends it. Then a job names it. Behind the API's door: nothing here asks for a key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from hlsd.ports.described import DescribedRoute, envelope, parameter, responses
from hlsd.vod.desk import JobRefused, VodDesk
from hlsd.vod.uploads import OpenUpload, UploadRefused

VERSION: Final = "1.0.0"
PIECE: Final = 1 << 20
HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_TUS: Final = HEADERS | {"tus-resumable": VERSION}
_CHUNK: Final = "application/offset+octet-stream"
_CODES: Final = {404: "no_such_upload", 409: "wrong_offset", 413: "too_large", 423: "locked", 507: "disk"}
Handler = Callable[[Request], Awaitable[Response]]
_ID: Final = [parameter("upload_id", "path", {"type": "string", "pattern": "^[0-9a-f]{32}$"})]


def refused(error: JobRefused | UploadRefused, more: dict[str, str] | None = None) -> Response:
    """A refusal as the API words it."""
    code = error.code if isinstance(error, JobRefused) else _CODES.get(error.status, "bad_upload")
    body = {"success": False, "data": None, "message": str(error), "code": code}
    return JSONResponse(body, error.status, HEADERS | (more or {}))


async def pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What comes, gathered: a thread's turn for each read would cost more than the writing."""
    pending = bytearray()
    async for octets in body:
        pending += octets
        if len(pending) >= PIECE:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)


def upload_operations(desk: VodDesk, named: Callable[[], Mapping[str, Any]]) -> list[DescribedRoute]:  # noqa: C901 - small handlers
    """The routes."""
    uploads = desk.uploads

    def guarded(handler: Handler) -> Handler:
        async def run(request: Request) -> Response:
            try:
                return await handler(request)
            except (JobRefused, UploadRefused) as error:
                return refused(error, {"tus-resumable": VERSION})
            except OSError as error:
                return refused(JobRefused(507, "disk", f"it cannot be written: {error.strerror}"), _TUS)

        return run

    async def create(request: Request) -> Response:
        size = _number(request, "upload-length")
        ident = await desk.do(lambda: uploads.create(size))
        headers = _TUS | {"location": f"{request.url.path.rstrip('/')}/{ident}"}
        return JSONResponse({"success": True, "data": {"id": ident}, "message": ""}, 201, headers)

    async def measure(request: Request) -> Response:
        there, size = await desk.do(lambda: uploads.measure(request.path_params["upload_id"]))
        data = {"id": request.path_params["upload_id"], "offset": there, "size": size}
        headers = _TUS | {"upload-offset": str(there), "upload-length": str(size)}
        return JSONResponse({"success": True, "data": data, "message": ""}, 200, headers)

    async def go_on(request: Request) -> Response:
        if request.headers.get("content-type") != _CHUNK:
            raise UploadRefused(415, f"the body should be {_CHUNK}")
        offset, ident = _number(request, "upload-offset"), request.path_params["upload_id"]
        upload = await desk.do(lambda: uploads.go_on(ident, offset))
        try:
            await store(desk, upload, request.stream())
        except ClientDisconnect:
            pass  # what has come is there
        finally:
            upload.close()
        return Response(None, 204, _TUS | {"upload-offset": str(upload.offset)})

    async def remove(request: Request) -> Response:
        await desk.do(lambda: uploads.remove(request.path_params["upload_id"]))
        return Response(None, 204, _TUS)

    all_of_them, one = "/api/v1/uploads", "/api/v1/uploads/{upload_id}"
    return [
        DescribedRoute(method, path, guarded(does), _described(does.__name__, method), named)
        for method, path, does in (
            ("POST", all_of_them, create),
            ("GET", one, measure),
            ("PATCH", one, go_on),
            ("DELETE", one, remove),
        )
    ]


async def store(desk: VodDesk, upload: OpenUpload, body: AsyncIterator[bytes]) -> None:
    """Writes what comes by a thread. Raises UploadRefused, ClientDisconnect, OSError."""
    async for piece in pieces(body):
        await desk.do(lambda piece=piece: upload.write(piece))  # type: ignore[misc]


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UploadRefused(400, f"{name.title()} should say a number of bytes")
    return int(text)


def _described(name: str, method: str) -> dict[str, Any]:
    summary = {
        "create": "Begins an upload of `Upload-Length` bytes (tus 1.0.0).",
        "measure": "How much of an upload is there.",
        "go_on": "Goes on with an upload at `Upload-Offset`; what has come when it breaks off is kept.",
        "remove": "Ends an upload.",
    }[name]
    header = {"create": "Upload-Length", "go_on": "Upload-Offset"}.get(name)
    size = {"type": "string", "pattern": "^[0-9]{1,12}$"}
    found: dict[str, Any] = {
        "operationId": f"upload_{name}",
        "summary": summary,
        "tags": ["vod"],
        "x-scope": "read" if method == "GET" else "write",
        "parameters": ([] if name == "create" else _ID) + ([_header(header, size)] if header else []),
    }
    one = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    problems = [(400, "it was not understood"), (404, "`no_such_upload`"), (413, "`too_large`"), (503, "busy")]
    more = [(409, "`wrong_offset`"), (415, "another type"), (423, "`locked`"), (507, "`disk`")]
    status = 201 if name == "create" else 200
    found["responses"] = responses(status, envelope(one), problems + more, "JobProblem")
    if name in {"go_on", "remove"}:
        del found["responses"]["200"]
        found["responses"]["204"] = {"description": "Done."}
    if name == "go_on":
        octets = {"schema": {"type": "string", "format": "binary", "maxLength": 1000}}
        found["requestBody"] = {"required": True, "content": {_CHUNK: octets}}
    return found


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return parameter(name, "header", schema) | {"required": True}
