"""Is what the API can do, one `Operation` each: the same table makes the routes and the OpenAPI document.

What an operation takes and gives stands in the annotations of its handler, `async def f(call, query: Q) -> R`, and
nowhere else: the query string is read by Q, the answer is checked against R, and the document shows the schemas of
both. So it cannot say what the code does not do. One that takes a body has it as a third one, `body: B`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hlsd.api.access import Caller
from hlsd.api.models import Body, Envelope, NoQuery, Query
from hlsd.api.problems import ApiError, Code

R = TypeVar("R")
BODY_LIMIT = 64 * 1024
"""Bytes of a request's body."""
NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an operation."""

    caller: Caller
    path: Mapping[str, str]
    """The named parts of the path."""
    peer: str


Handler = Callable[..., Awaitable[Any]]


class Streamed(Generic[R]):
    """An answer that is written piece by piece; the pieces together are the JSON of an R."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = pieces


@dataclass(frozen=True, slots=True)
class Operation:
    """`method` and `path` (as Starlette and OpenAPI both write it), and who does it.

    `plain`: the answer is R as it is (Node-Media-Server's shapes), not R in the envelope.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    errors: Sequence[Code] = ()
    plain: bool = False
    tag: str = "hlsd"
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the named parts of the path are."""

    @property
    def id(self) -> str:
        """The operationId."""
        return f"{self.tag}_{self.handler.__name__}"

    @property
    def query(self) -> type[Query]:
        """What the query string is read by."""
        found = get_type_hints(self.handler).get("query", NoQuery)
        assert isinstance(found, type)
        assert issubclass(found, Query)
        return found

    @property
    def result(self) -> Any:  # noqa: ANN401 - a type
        """What the body of a 200 is."""
        found = get_type_hints(self.handler)["return"]
        if get_origin(found) is Streamed:
            found = get_args(found)[0]
        return found if self.plain else Envelope[found]  # type: ignore[valid-type]

    @property
    def body(self) -> type[Body] | None:
        """What the body of a request is read by; None where there is none."""
        found = get_type_hints(self.handler).get("body")
        assert found is None or issubclass(found, Body)
        return found

    def route(self) -> Route:
        """The route that carries it out."""
        query, taken, name = self.query, self.body, self.handler.__name__
        shape = cache(lambda: TypeAdapter[Any](self.result))  # made by the first request: 2 MB of those nobody asks

        async def answer(request: Request) -> Response:
            found = read_query(query, request.query_params.multi_items())
            peer = request.client.host if request.client else ""
            call = Call(request.state.caller, request.path_params, peer)
            more = () if taken is None else (await read_body(taken, request),)
            result = await self.handler(call, found, *more)
            if isinstance(result, Streamed):
                return StreamingResponse(result.pieces, media_type="application/json", headers=NO_STORE)
            if not self.plain:
                result = {"data": result}
            adapter = shape()
            body = adapter.dump_json(adapter.validate_python(result))
            return Response(body, media_type="application/json", headers=NO_STORE)

        return Route(self.path, answer, methods=[self.method], name=name)


async def read_body(model: type[Body], request: Request) -> Body:
    """The body of a request. Raises ApiError that names the first thing that is wrong."""
    octets = b""
    async for piece in request.stream():
        octets += piece
        if len(octets) > BODY_LIMIT:
            raise ApiError(Code.TOO_LARGE, f"the body is larger than {BODY_LIMIT // 1024} kB")
    try:
        return model.model_validate_json(octets)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([str(part)[:64] for part in first["loc"][:4]]) or "the body"
        words = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        raise ApiError(Code.BAD_BODY, f"{where}: {words[:300]}") from None


def read_query(model: type[Query], given: Sequence[tuple[str, str]]) -> Query:
    """The parameters of a query string. Raises ApiError that names the first one that is wrong."""
    values: dict[str, str] = {}
    for name, value in given:
        if name in values:
            raise ApiError(Code.BAD_PARAMETER, f"{name[:64]} is given twice")
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0])[:64] if first["loc"] else "query"
        words = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields) or "none"
            words = f"is no parameter of this; there are: {known}"
        raise ApiError(Code.BAD_PARAMETER, f"{name} {words}") from None
