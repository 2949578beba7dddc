"""Speaks HTTP for jobs: `/api/v1/jobs[/id[/events]]`. Behind the API's door: nothing here asks for a key.

Bodies are JSON of at most 64 kB, or a form with the film in it. Answers are the envelope `{success, data, message}`,
errors have `code` too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from hlsd.ports.described import REF, DescribedRoute, envelope, parameter, responses, schemas_of
from hlsd.vod.desk import JobRefused, VodDesk
from hlsd.vod.job import FINAL, VodJob, Wish, is_id
from hlsd.vod.multipart import FormReader, boundary_of
from hlsd.vod.upload_routes import HEADERS, refused, upload_operations
from hlsd.vod.uploads import UploadRefused
from hlsd.vod.views import JobView

BODY_LIMIT: Final = 64 * 1024
MOST: Final = 1000
LOOK: Final = 0.5
"""Seconds between two looks at a job for who listens to it."""
LISTENERS: Final = 64
"""Who listen to jobs at once."""
LONGEST: Final = 600.0
"""Seconds after which who listens is to ask again."""
_STATES: Final = ("queued", "running", "done", "failed", "cancelled")
_LISTS: Final = frozenset({"covers", "renditions"})


class JobProblem(BaseModel, defer_build=True):
    """Why something was not done: `code` is for programs."""

    success: bool = False
    data: None = None
    message: str
    code: str


def job_operations(desk: VodDesk) -> list[DescribedRoute]:  # noqa: C901, PLR0915 - small handlers
    """The routes of jobs and uploads."""
    app, listening = desk.settings.app, set[object]()

    def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def run(request: Request) -> Response:
            try:
                return await handler(request)
            except (JobRefused, UploadRefused) as error:
                return refused(error)
            except ClientDisconnect:
                return refused(JobRefused(400, "bad_body", "the connection was cut off"))
            except OSError as error:
                return refused(JobRefused(507, "disk", f"it cannot be written: {error.strerror}"))

        return run

    async def add(request: Request) -> Response:
        if request.headers.get("content-type", "").startswith("multipart/"):
            fields, upload = await form_with_film(desk, request)
            said = {name: values if name in _LISTS else values[-1] for name, values in fields.items()}
            wish = read_wish({**said, "upload": upload})
        else:
            wish = read_wish(await _json(request))
        job = await desk.add(wish, owner_of(request))
        return _done(JobView.of(job, app), 201)

    async def listing(request: Request) -> Response:
        asked = request.query_params
        state, after, limit = asked.get("state", ""), asked.get("cursor", ""), asked.get("limit", "100")
        good = state in {"", *_STATES} and (not after or is_id(after)) and limit.isascii() and limit.isdigit()
        if not good or len(dict(asked)) < len(asked.multi_items()) or not 1 <= int(limit[:9]) <= MOST:
            raise JobRefused(400, "bad_parameter", "state, cursor or limit is none")
        if set(asked) - {"state", "cursor", "limit", "owner"}:
            raise JobRefused(400, "bad_parameter", "state, owner, cursor and limit are known")
        most = int(limit)
        jobs = await desk.page(state=state, owner=asked.get("owner", ""), after=after, most=most + 1)
        items = [JobView.of(job, app).model_dump(mode="json") for job in jobs[:most]]
        return _done({"items": items, "cursor": jobs[most - 1].id if len(jobs) > most else None})

    async def one(request: Request) -> Response:
        return _done(JobView.of(await desk.get(request.path_params["job_id"]), app))

    async def remove(request: Request) -> Response:
        job = await desk.remove(request.path_params["job_id"])
        return _done(JobView.of(job, app) if job is not None else None)

    async def finish(request: Request) -> Response:
        return _done(JobView.of(await desk.finish(request.path_params["job_id"]), app), 202)

    async def events(request: Request) -> Response:
        job = await desk.get(request.path_params["job_id"])
        if len(listening) >= LISTENERS:
            raise JobRefused(503, "busy", "many listen to jobs already")
        return StreamingResponse(told(job), headers=HEADERS, media_type="text/event-stream")

    async def told(job: VodJob) -> AsyncIterator[str]:
        """Each change of a job as an event (WHATWG HTML: server-sent events), the last one when it is over."""
        me = object()
        listening.add(me)
        loop = asyncio.get_running_loop()
        until, version = loop.time() + LONGEST, -1
        try:
            while loop.time() < until:
                if job.version != version:
                    version = job.version
                    yield f"data: {JobView.of(job, app).model_dump_json()}\n\n"
                if job.state in FINAL:
                    return
                await asyncio.sleep(LOOK)
                found = await desk.find(job.id)
                if found is None:
                    return
                job = found
        except JobRefused:
            return
        finally:
            listening.discard(me)

    named = cache(lambda: schemas_of(JobView, JobProblem))
    all_of_them, this = "/api/v1/jobs", "/api/v1/jobs/{job_id}"
    found = [
        DescribedRoute(method, path, guarded(does), _described(does.__name__, method), named)
        for method, path, does in (
            ("POST", all_of_them, add),
            ("GET", all_of_them, listing),
            ("GET", this, one),
            ("DELETE", this, remove),
            ("GET", f"{this}/events", events),
            ("POST", f"{this}/finish", finish),
        )
    ]
    return [*found, *upload_operations(desk, named)]


async def form_with_film(desk: VodDesk, request: Request) -> tuple[dict[str, list[str]], str]:
    """The fields of a form, and the upload that its film has become. Raises UploadRefused, JobRefused."""
    boundary = boundary_of(request.headers.get("content-type", ""))
    length = request.headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
    if size > desk.settings.max_bytes + BODY_LIMIT:  # before the disk is used
        raise UploadRefused(413, "it is larger than vod.max_bytes")
    ident = await desk.do(lambda: desk.uploads.create(-1, size))
    try:
        upload = await desk.do(lambda: desk.uploads.go_on(ident, 0))
        try:
            form = FormReader(boundary, lambda octets: desk.do(lambda: upload.write(octets)))
            await form.read(request.stream())
        finally:
            upload.close()
        if not form.film:
            raise UploadRefused(400, "the form has no file")  # noqa: TRY301 - what was begun is removed below
        await desk.do(lambda: desk.uploads.finish(ident))
    except BaseException:
        desk.folder.remove_upload(ident)
        desk.uploads.forget(ident)
        raise
    return form.fields, ident


def owner_of(request: Request) -> str:
    """Whose quota it counts for: the name of the token."""
    caller = getattr(request.state, "caller", None)
    return str(getattr(caller, "name", "") or "-")


def read_wish(said: dict[str, Any]) -> Wish:
    """What is asked for. Raises JobRefused."""
    try:
        return Wish.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise JobRefused(400, "bad_body", f"{where[:64]}: {first['msg']}") from None


async def _json(request: Request) -> dict[str, Any]:
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise JobRefused(413, "too_large", "the body is larger than 64 kB")
    try:
        body = json.loads(octets)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise JobRefused(400, "bad_body", "the body is not a JSON object")
    return body


def _done(data: BaseModel | dict[str, Any] | None, status: int = 200) -> Response:
    shown = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    return JSONResponse({"success": True, "data": shown, "message": ""}, status, HEADERS)


def _described(name: str, method: str) -> dict[str, Any]:
    job: dict[str, Any] = {"$ref": REF.format(model="JobView")}
    ident = [parameter("job_id", "path", {"type": "string", "pattern": "^[0-9]{23}$"})]
    listed = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": job},
            "cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["items", "cursor"],
    }
    lists = [
        parameter("state", "query", {"type": "string", "enum": list(_STATES)}),
        parameter("owner", "query", {"type": "string", "maxLength": 128}, "Name of the token that asked for it."),
        parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST, "default": 100}),
        parameter("cursor", "query", {"type": "string", "pattern": "^[0-9]{23}$"}, "`cursor` of the page before."),
    ]
    summary, status, data, parameters = {
        "add": ("Asks for a film to be made of a file, a URL or an upload.", 201, job, []),
        "listing": ("Jobs, the newest first.", 200, listed, lists),
        "one": ("A job.", 200, job, ident),
        "remove": (
            "Cancels a job; of one that is over, deletes it and all that was made.",
            200,
            {"anyOf": [job, {"type": "null"}]},
            ident,
        ),
        "finish": ("Records a live playlist no further: what it has brought becomes the film.", 202, job, ident),
        "events": ("Each change of a job, as server-sent events, until it is over.", 200, job, ident),
    }[name]
    problems = [(400, "it was not understood"), (404, "`no_such_job`"), (503, "`busy`, `no_database`")]
    more = [(403, "what may not be named"), (413, "`too_large`"), (415, "no form"), (429, "`quota`"), (507, "`disk`")]
    found: dict[str, Any] = {
        "operationId": f"job_{name}",
        "summary": summary,
        "tags": ["vod"],
        "x-scope": "read" if method == "GET" else "write",
        "parameters": parameters,
        "responses": responses(
            status,
            envelope(data),
            problems + {"add": more, "finish": [(409, "`no_recording`")]}.get(name, []),
            "JobProblem",
        ),
    }
    if name == "events":
        found["responses"]["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    if name == "add":
        schema = Wish.model_json_schema(ref_template=REF)
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found
