"""Writes the OpenAPI 3.1 document of the operations: everything in it is read from the code that answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from starlette.routing import BaseRoute

from hlsd import __version__
from hlsd.api.operations import Operation
from hlsd.api.problems import PROBLEM_TYPE, Code, Problem
from hlsd.ports.described import REF, DescribedRoute, Schema

_PART = re.compile(r"\{([a-z_]+)\}")
_ALWAYS = (Code.UNAUTHORIZED, Code.INSUFFICIENT_SCOPE, Code.TOO_MANY_FAILURES)
"""What the door may answer to any request."""


def document(operations: Iterable[Operation], more: Iterable[BaseRoute] = ()) -> Schema:
    """The document, ready for JSON; `more` are other services', of which those are in it that say what they do."""
    listed = list(operations)
    inputs: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
        (index, "serialization", TypeAdapter(operation.result)) for index, operation in enumerate(listed)
    ]
    bodies = {index: taken for index, operation in enumerate(listed) if (taken := operation.body) is not None}
    inputs += [(index, "validation", TypeAdapter(taken)) for index, taken in bodies.items()]
    results, shared = TypeAdapter.json_schemas(inputs, ref_template=REF)
    schemas: Schema = dict(shared.get("$defs", {}))
    _, problem = models_json_schema([(Problem, "serialization")], ref_template=REF)
    schemas.update(problem["$defs"])
    schemas = {_public(name): _renamed(schema) for name, schema in schemas.items()}
    paths: Schema = {}
    for index, operation in enumerate(listed):
        described = _operation(operation, _renamed(results[index, "serialization"]))
        if index in bodies:
            body = {"application/json": {"schema": _renamed(results[index, "validation"])}}
            described["requestBody"] = {"required": True, "content": body}
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    for route in more:
        if isinstance(route, DescribedRoute):
            door = [*_ALWAYS, *([] if route.method == "get" else [Code.FOREIGN_ORIGIN])]
            said = {**route.described, "responses": {**_problems(door), **route.described["responses"]}}
            paths.setdefault(route.path, {})[route.method] = said
            schemas.update(route.schemas())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hlsd",
            "version": __version__,
            "description": "The operator's API of a live HLS server. Errors are RFC 9457 problems with a `code`.",
        },
        # "MAY be relative, to indicate that the host location is relative to the location where the OpenAPI document is
        # being served" (§4.8.5): behind a proxy it may stand below a path that nobody here knows.
        "servers": [{"url": "../../"}],
        "security": [{"bearer": []}, {"basic": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "User: the token's name."},
            },
        },
    }


def _public(name: str) -> str:
    """What clients know a schema by: `Stream`, where the class is StreamView, `Streams` for StreamList."""
    return re.sub(r"(\w+?)List(?=_|$)", r"\1s", re.sub(r"View(?=_|$)", "", name))


def _renamed(part: Any) -> Any:  # noqa: ANN401 - JSON
    """The same, with every reference and title in it by its public name."""
    if isinstance(part, dict):
        return {
            key: _public(one) if key in ("$ref", "title") and isinstance(one, str) else _renamed(one)
            for key, one in part.items()
        }
    return [_renamed(one) for one in part] if isinstance(part, list) else part


def _operation(operation: Operation, result: JsonSchemaValue) -> Schema:
    parameters = [
        {
            "name": part,
            "in": "path",
            "required": True,
            "description": operation.parts.get(part, ""),
            "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        }
        for part in _PART.findall(operation.path)
    ]
    parameters += _query(operation)
    codes = [*_ALWAYS, *operation.errors]
    if parameters:
        codes.append(Code.BAD_PARAMETER)
    if operation.method not in ("GET", "HEAD"):
        codes.append(Code.FOREIGN_ORIGIN)
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "x-scope": "read" if operation.method == "GET" else "write",
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": result}}},
            **_problems(codes),
        },
    }


def _query(operation: Operation) -> list[Schema]:
    model = operation.query
    properties: Mapping[str, Schema] = model.model_json_schema(
        mode="validation", schema_generator=GenerateJsonSchema, ref_template=REF
    ).get("properties", {})
    found = []
    for name, schema in properties.items():
        own = {key: value for key, value in schema.items() if key not in ("title", "description")}
        if own.get("default", 0) is None:
            del own["default"]
        if "anyOf" in own:  # an optional parameter is left out, never null
            members = [member for member in own.pop("anyOf") if member != {"type": "null"}]
            assert len(members) == 1
            own |= members[0]
        found.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.get("description", ""),
                "schema": own,
            }
        )
    return found


def _problems(codes: Iterable[Code]) -> Schema:
    by_status: dict[int, list[Code]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(code.status, []).append(code)
    return {
        str(status): {
            "description": " or ".join(f"`{code}`" for code in members),
            "content": {PROBLEM_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
        }
        for status, members in sorted(by_status.items())
    }
