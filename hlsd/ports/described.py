"""Is a route of the API that says what it takes and gives, so that the API's document has it beside its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import Route

REF = "#/components/schemas/{model}"
Schema = dict[str, Any]


class DescribedRoute(Route):
    """One method of one path. `described` is its Operation Object (OpenAPI 3.1), `schemas()` are what it names.

    The latter are asked for by the document alone: they are made of models, which are built for that.
    """

    def __init__(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        described: Schema,
        schemas: Callable[[], Mapping[str, Schema]],
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.method = method.lower()
        self.described = described
        self.schemas = schemas


def schemas_of(*models: type[BaseModel]) -> dict[str, Schema]:
    """The schemas of what is answered, by the models' names."""
    _, found = models_json_schema([(model, "serialization") for model in models], ref_template=REF)
    return dict(found["$defs"])


def envelope(data: Schema) -> Schema:
    """`{success, data, message}` with such data."""
    properties = {"success": {"const": True}, "data": data, "message": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def parameter(name: str, where: str, schema: Schema, words: str = "") -> Schema:
    """A Parameter Object; what stands in the path is required."""
    return {"name": name, "in": where, "required": where == "path", "description": words, "schema": schema}


def responses(status: int, schema: Schema, problems: Sequence[tuple[int, str]], problem: str) -> Schema:
    """What may come of it: an answer of JSON, or a refusal as the schema `problem` has it."""
    refused = {"application/json": {"schema": {"$ref": REF.format(model=problem)}}}
    found: Schema = {str(status): {"description": "Done.", "content": {"application/json": {"schema": schema}}}}
    return found | {str(code): {"description": words, "content": refused} for code, words in problems}
