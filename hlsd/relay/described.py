"""Says for the API's document what the operations of relays take and give."""

from __future__ import annotations

from typing import Final

from hlsd.base import stream_name
from hlsd.ports.described import REF, Schema, envelope, parameter, responses, schemas_of
from hlsd.relay.relays import RelayView

_PROBLEM: Final = "RelayProblem"
_NAME: Final = {"type": "string", "pattern": f"^{stream_name.PATTERN}$", "maxLength": stream_name.LONGEST}
_PART: Final = {"type": "string", "pattern": rf"^({stream_name.PATTERN})?$", "maxLength": stream_name.LONGEST}
_CURSOR: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,200}$"}
_HOST: Final = r"://[A-Za-z0-9-]{1,60}(\.[A-Za-z0-9-]{1,60}){0,4}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~?=&-]*){1,6}$"
_FROM: Final = {"type": "string", "pattern": f"^(rtmps?|https?|rtsps?){_HOST}"}
_TO: Final = {"type": "string", "pattern": f"^rtmps?{_HOST}"}
_ID: Final = [
    parameter("relay_id", "path", {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9a-z-]+$"})
]
_LIST: Final = [
    parameter("app", "query", _PART, "Those of this app."),
    parameter("name", "query", _PART, "Those of streams of this name."),
    parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
    parameter(
        "cursor", "query", {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,200}$"}, "`cursor` of the page before."
    ),
]


def _task(modes: Schema, address: Schema, words: str, more: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["mode", "app", "name", "url"],
        "properties": {
            "mode": modes,
            "app": _NAME,
            "name": _NAME,
            "url": {**address, "description": f"{words}; secrets in it are kept and never shown."},
            "urls": {"type": "array", "maxItems": 15, "items": address, "description": "Tried in order after it."},
            **more,
        },
    }


_HOW: Final = {
    "format": {"enum": ["auto", "flv", "hls", "mpegts"], "description": "What HTTP carries."},
    "rtsp_transport": {"enum": ["tcp", "udp"]},
}
_BODY: Final = {
    "oneOf": [
        _task({"enum": ["pull", "static"], "description": "On demand, or always."}, _FROM, "Where from", _HOW),
        _task({"const": "push"}, _TO, "Where to", {}),
    ]
}
_LISTED: Final = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": REF.format(model="Relay")}},
        "cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["items", "cursor"],
}
_CAMERA: Final = {
    "type": "object",
    "properties": {"make": {"type": "string"}, "main": {"type": "string"}, "sub": {"type": "string"}},
    "required": ["make"],
}
_CAMERAS: Final = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": _CAMERA}},
    "required": ["items"],
}
_RELAY: Final = {"$ref": REF.format(model="Relay")}
_NO_RELAY: Final = (404, "`no_such_relay`")
_FILTER: Final = [(400, "`bad_parameter` or `bad_cursor`")]
_ADD: Final = [
    (400, "`bad_name`, `bad_url` or `bad_body`"),
    (403, "`forbidden_host`: `relay.allow_hosts` does not list it"),
    (409, "`too_many`: `relay.max_tasks` is reached"),
    (413, "`too_large`"),
]
_OPERATIONS: Final[dict[str, tuple[str, int, Schema, list[Schema], list[tuple[int, str]]]]] = {
    "listing": (
        "Tasks, and whatever runs, the oldest first.",
        200,
        _LISTED,
        _LIST,
        [(400, "`bad_parameter` or `bad_cursor`")],
    ),
    "cameras": (
        "Addresses of cameras by their make, with {credentials}, {host} and {channel} to fill in.",
        200,
        _CAMERAS,
        [],
        [(500, "`no_presets`: `relay.presets` cannot be read")],
    ),
    "one": ("A relay.", 200, _RELAY, _ID, [_NO_RELAY]),
    "add": ("Begins a relay, and keeps it over restarts.", 201, _RELAY, [], _ADD),
    "remove": ("Takes a task away, or ends what a rule runs.", 200, {"type": "null"}, _ID, [_NO_RELAY]),
}


def schemas() -> dict[str, Schema]:
    """What the operations name."""
    view = schemas_of(RelayView)["RelayView"] | {"title": "Relay"}
    properties: Schema = {
        "success": {"const": False},
        "data": {"type": "null"},
        "message": {"type": "string"},
        "code": {"type": "string"},
    }
    problem = {"type": "object", "properties": properties, "required": list(properties)}
    return {"Relay": view, _PROBLEM: problem}


def described(name: str, method: str) -> Schema:
    """The operation of that name."""
    summary, status, data, parameters, problems = _OPERATIONS[name]
    found: Schema = {
        "operationId": f"relay_{name}",
        "summary": summary,
        "tags": ["relay"],
        "x-scope": "read" if method == "GET" else "write",
        "parameters": parameters,
        "responses": responses(status, envelope(data), problems, _PROBLEM),
    }
    if name == "add":
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _BODY}}}
    return found
