"""Says for the API's document what the operations of recordings take and give."""

from __future__ import annotations

from typing import Any, Final

from hlsd.ports.described import REF, Schema, envelope, parameter, responses, schemas_of
from hlsd.record.recordings import RecordView, WishView
from hlsd.record.repair_view import RepairView

_NAME: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"}
_STEP: Final = r"[A-Za-z0-9_-][A-Za-z0-9_~-]{0,60}(\.[A-Za-z0-9_~-]{1,20}){0,2}"
_PATH: Final = {"type": "string", "pattern": f"^({_STEP}(/{_STEP})?)?$", "maxLength": 300}
_CURSOR: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,200}$"}
_TIME: Final = {"type": "integer", "minimum": 0, "maximum": 2**53}
_PROBLEM: Final = "RecordProblem"
_STREAM: Final = [
    parameter("app", "path", _NAME),
    parameter("stream", "path", _NAME, "Dots and ~ may stand in it too."),
]
_ID: Final = [
    parameter("record_id", "path", {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[0-9a-z]+$"})
]
_LIST: Final = [
    parameter(
        "stream",
        "query",
        _PATH,
        "app/stream, or an app.",
    ),
    parameter("from", "query", _TIME, "Recordings with anything after this time, ms of the epoch."),
    parameter("to", "query", _TIME, "… and before this one."),
    parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
    parameter("cursor", "query", _CURSOR, "`cursor` of the page before."),
]
_BODY: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "max_duration": {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 366 * 86_400},
                {"type": "string", "pattern": "^[1-9][0-9]{0,3}(ms|s|m|h)$"},
            ],
            "description": "Seconds of media after which it ends, 0 for none; with a unit as in the configuration.",
        },
        "path": {
            "type": "string",
            "pattern": "^([A-Za-z0-9_~-]{1,40}/){0,4}[A-Za-z0-9_~-]{0,40}\\{id\\}$",
            "description": "Name of its files, as `record.path`.",
        },
    },
}
_AWAY: Final = (503, "`index`: the list of recordings cannot be read now")
_STORE: Final = [
    (502, "`store`: it is in the store, which fails"),
    (503, "`store`: the store is late; `index`: the list of recordings cannot be read now"),
]
_LISTED: Final = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"$ref": REF.format(model="Record")}},
        "cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["items", "cursor"],
}
_NO_RECORD: Final = (404, "`no_such_record`")
_NOT_RECORDING: Final = (404, "`not_recording`")
_START: Final = [
    (400, "`bad_name`, `bad_path` or `bad_body`"),
    (409, "`recording` or `too_many`"),
    (413, "`too_large`"),
]
_REMOVE: Final = [_NO_RECORD, (409, "`recording`"), (500, "`not_deleted`"), _AWAY]
_RECORD, _WISH, _REPAIR = ({"$ref": REF.format(model=name)} for name in ("Record", "RecordWish", "RecordRepair"))
_OPERATIONS: Final[dict[str, tuple[str, int, Schema, list[Schema], list[tuple[int, str]]]]] = {
    "start": ("Records a stream from its next key picture on, or when it comes.", 201, _WISH, _STREAM, _START),
    "status": ("How a recording that the API has begun stands.", 200, _WISH, _STREAM, [_NOT_RECORDING]),
    "stop": (
        "Ends it; answers when its file is finished, or after five seconds.",
        200,
        _WISH,
        _STREAM,
        [_NOT_RECORDING, _AWAY],
    ),
    "listing": (
        "Recordings, the oldest first.",
        200,
        _LISTED,
        _LIST,
        [(400, "`bad_parameter` or `bad_cursor`"), _AWAY],
    ),
    "one": ("A recording.", 200, _RECORD, _ID, [_NO_RECORD, _AWAY]),
    "file": ("The file of a finished recording, with ranges.", 200, {}, _ID, [_NO_RECORD, *_STORE]),
    "remove": (
        "Deletes a recording that is not being written.",
        200,
        {"type": "null"},
        _ID,
        _REMOVE,
    ),
    "repair": ("Looks through all files: finishes, lists, forgets.", 202, _REPAIR, [], []),
    "repairing": ("How far that is.", 200, _REPAIR, [], []),
}
_PUBLIC: Final = {
    "RecordView": "Record",
    "UploadView": "RecordUpload",
    "WishView": "RecordWish",
    "RepairView": "RecordRepair",
}


def schemas() -> dict[str, Schema]:
    """What the operations name."""
    found = {_PUBLIC[name]: _renamed(one) for name, one in schemas_of(RecordView, WishView, RepairView).items()}
    properties: Schema = {
        "success": {"const": False},
        "data": {"type": "null"},
        "message": {"type": "string"},
        "code": {"type": "string"},
    }
    found[_PROBLEM] = {"type": "object", "properties": properties, "required": list(properties)}
    return found


def described(name: str, method: str) -> Schema:
    """The operation of that name."""
    summary, status, data, parameters, problems = _OPERATIONS[name]
    found: Schema = {
        "operationId": f"record_{name}",
        "summary": summary,
        "tags": ["record"],
        "x-scope": "read" if method == "GET" else "write",
        "parameters": parameters,
        "responses": responses(status, envelope(data), problems, _PROBLEM),
    }
    if name == "file":
        octets = {"schema": {"type": "string", "format": "binary"}}
        kinds = dict.fromkeys(("video/mp4", "video/mp2t", "video/x-flv"), octets)
        found["responses"]["200"] = {"description": "Its bytes.", "content": kinds}
        found["responses"]["206"] = {"description": "Some of them.", "content": kinds}
    if name == "start":
        found["requestBody"] = {"required": False, "content": {"application/json": {"schema": _BODY}}}
    return found


def _renamed(part: Any) -> Any:  # noqa: ANN401 - JSON
    """The same by the names that clients know."""
    if isinstance(part, dict):
        return {
            key: REF.format(model=_PUBLIC[one.rpartition("/")[2]])
            if key == "$ref"
            else _PUBLIC.get(one, one)
            if key == "title" and isinstance(one, str)
            else _renamed(one)
            for key, one in part.items()
        }
    return [_renamed(one) for one in part] if isinstance(part, list) else part
