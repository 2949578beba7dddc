"""Speaks HTTP for receivers: `/api/v1/receivers[/{receiver_id}]`.

`operations(desk)` are mounted by whoever guards the API: nothing here asks for a key. Bodies are JSON of at most 4 kB.
Answers are the envelope `{success, data, message}`, errors have `code` too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hlsd.base.quantities import Duration
from hlsd.base.stream_name import fault
from hlsd.ingest.gb28181.order import ReceiverOrder
from hlsd.ports.described import REF, DescribedRoute, Schema, envelope, parameter, responses, schemas_of

BODY_LIMIT: Final = 4 * 1024
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PROBLEM: Final = "ReceiverProblem"


class ReceiverView(BaseModel):
    """A receiver. `ssrc` is null where any is taken; `created` in ms of the epoch."""

    model_config = ConfigDict(defer_build=True)

    id: str
    app: str
    stream: str
    port: int = Field(description="TCP and UDP.")
    ssrc: int | None
    sender: str = Field(description="Who sends; empty until the first packet.")
    packets: int
    bytes: int
    lost: int
    strays: int
    created: int


class ReceiverBody(BaseModel):
    """What a receiver is opened with. `ssrc`: its ten digits as in `y=`, or its number."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    app: str = Field(max_length=128)
    stream: str = Field(max_length=128)
    ssrc: int | None = Field(default=None, ge=0, le=0xFFFFFFFF)
    timeout: Duration = Field(default=0.0, ge=0, le=3600)

    @field_validator("ssrc", mode="before")
    @classmethod
    def _digits(cls, value: object) -> object:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
            return int(value)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value  # 60.0 is an integer to JSON Schema, and to pydantic
        raise ValueError("should be up to ten digits")


class ReceiverRefused(Exception):
    """What was asked for is not done: an HTTP status, a code for programs, words."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.code = code


class ReceiverDesk(Protocol):
    """Who has the receivers. All of it raises ReceiverRefused."""

    @property
    def views(self) -> list[ReceiverView]:
        """All of them."""
        ...

    def view(self, ident: str) -> ReceiverView:
        """One of them."""
        ...

    async def open(self, order: ReceiverOrder) -> ReceiverView:
        """Opens one."""
        ...

    def close(self, ident: str) -> None:
        """Closes one."""
        ...


def operations(desk: ReceiverDesk) -> Sequence[DescribedRoute]:
    """The routes."""

    async def open_one(request: Request) -> Response:
        try:
            view = await desk.open(await _order(request))
        except ReceiverRefused as error:
            return _refused(error)
        return _done(view.model_dump(), status=201)

    async def listing(_: Request) -> Response:
        return _done([view.model_dump() for view in desk.views])

    async def one(request: Request) -> Response:
        try:
            return _done(desk.view(request.path_params["receiver_id"]).model_dump())
        except ReceiverRefused as error:
            return _refused(error)

    async def close(request: Request) -> Response:
        try:
            desk.close(request.path_params["receiver_id"])
        except ReceiverRefused as error:
            return _refused(error)
        return _done(None)

    every, single = "/api/v1/receivers", "/api/v1/receivers/{receiver_id}"
    return [
        DescribedRoute("POST", every, open_one, _described("open"), _schemas),
        DescribedRoute("GET", every, listing, _described("list"), _schemas),
        DescribedRoute("GET", single, one, _described("get"), _schemas),
        DescribedRoute("DELETE", single, close, _described("close"), _schemas),
    ]


async def _order(request: Request) -> ReceiverOrder:
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise ReceiverRefused(413, "too_large", "the body is larger than 4 kB")
    try:
        asked = ReceiverBody.model_validate(json.loads(octets))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise ReceiverRefused(400, "bad_body", f"{where[:64]}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise ReceiverRefused(400, "bad_body", "the body is not JSON") from None
    if wrong := fault(asked.app, asked.stream):
        raise ReceiverRefused(400, "bad_name", wrong)
    return ReceiverOrder(asked.app, asked.stream, asked.ssrc, asked.timeout)


def _done(data: Any, *, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return JSONResponse({"success": True, "data": data, "message": ""}, status, _HEADERS)


def _refused(error: ReceiverRefused) -> Response:
    body = {"success": False, "data": None, "message": str(error), "code": error.code}
    return JSONResponse(body, error.status, _HEADERS)


# -- for the API's document

_NAME: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}
_BODY: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "app": _NAME,
        "stream": _NAME,
        "ssrc": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 0xFFFFFFFF},
                {"type": "string", "pattern": "^[0-3][0-9]{0,9}$"},
                {"type": "null"},
            ],
            "description": "As in y= of the SDP; left out: whatever comes first.",
        },
        "timeout": {
            "type": "number",
            "minimum": 0,
            "maximum": 3600,
            "description": "Seconds for the first packet, and without media; 0: gb28181.timeout.",
        },
    },
    "required": ["app", "stream"],
}
_RECEIVER: Final = {"$ref": REF.format(model="Receiver")}
_ID: Final = [
    parameter("receiver_id", "path", {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9a-f]+$"})
]
_ABSENT: Final = (404, "`no_such_receiver`")
_OPEN_PROBLEMS: Final = [
    (400, "`bad_body` or `bad_name`"),
    (409, "`off`, `too_many` or `busy`"),
    (413, "`too_large`"),
    (503, "`no_port`"),
]
_OPERATIONS: Final[dict[str, tuple[str, int, Schema, list[Schema], list[tuple[int, str]]]]] = {
    "open": ("Opens a port for the media of a GB/T 28181 device.", 201, _RECEIVER, [], _OPEN_PROBLEMS),
    "list": ("Receivers that are open, the oldest first.", 200, {"type": "array", "items": _RECEIVER}, [], []),
    "get": ("A receiver.", 200, _RECEIVER, _ID, [_ABSENT]),
    "close": ("Closes a receiver, and ends what it publishes.", 200, {"type": "null"}, _ID, [_ABSENT]),
}


def _schemas() -> dict[str, Schema]:
    properties: Schema = {
        "success": {"const": False},
        "data": {"type": "null"},
        "message": {"type": "string"},
        "code": {"type": "string"},
    }
    problem = {"type": "object", "properties": properties, "required": list(properties)}
    return {"Receiver": schemas_of(ReceiverView)["ReceiverView"], _PROBLEM: problem}


def _described(name: str) -> Schema:
    summary, status, data, parameters, problems = _OPERATIONS[name]
    found: Schema = {
        "operationId": f"receiver_{name}",
        "summary": summary,
        "tags": ["receivers"],
        "x-scope": "read" if name in {"list", "get"} else "write",
        "parameters": parameters,
        "responses": responses(status, envelope(data), problems, _PROBLEM),
    }
    if name == "open":
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _BODY}}}
    return found
