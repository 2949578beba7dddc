"""Words what went wrong with a request to the API: a stable code, a status, a sentence.

Errors are RFC 9457 problems ("about:blank": the title is the status's phrase, §4.2.1) that also have the three keys of
the envelope, so that a client of either convention understands them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, Field

PROBLEM_TYPE = "application/problem+json"


class Code(enum.StrEnum):
    """What a program may branch on; the words beside it may change, these do not."""

    BAD_PARAMETER = "bad_parameter"
    BAD_CURSOR = "bad_cursor"
    BAD_BODY = "bad_body"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    FOREIGN_ORIGIN = "foreign_origin"
    NO_SUCH_ROUTE = "no_such_route"
    NO_SUCH_STREAM = "no_such_stream"
    NO_SUCH_SESSION = "no_such_session"
    NO_SUCH_PUBLISHER = "no_such_publisher"
    NO_SUCH_MARKER = "no_such_marker"
    MARKER_EXISTS = "marker_exists"
    NOT_PUBLISHING = "not_publishing"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_MANY_FAILURES = "too_many_failures"
    TOO_MANY_WAITING = "too_many_waiting"
    NOT_RELOADED = "not_reloaded"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        """The HTTP status it goes with."""
        return _STATUS[self]


_STATUS: Mapping[Code, int] = {
    Code.BAD_PARAMETER: 400,
    Code.BAD_CURSOR: 400,
    Code.BAD_BODY: 400,
    Code.TOO_LARGE: 413,
    Code.UNAUTHORIZED: 401,
    Code.INSUFFICIENT_SCOPE: 403,
    Code.FOREIGN_ORIGIN: 403,
    Code.NO_SUCH_ROUTE: 404,
    Code.NO_SUCH_STREAM: 404,
    Code.NO_SUCH_SESSION: 404,
    Code.NO_SUCH_PUBLISHER: 404,
    Code.NO_SUCH_MARKER: 404,
    Code.MARKER_EXISTS: 409,
    Code.NOT_PUBLISHING: 409,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.TOO_MANY_FAILURES: 429,
    Code.TOO_MANY_WAITING: 429,
    Code.NOT_RELOADED: 409,
    Code.INTERNAL: 500,
}


class Problem(BaseModel, defer_build=True):
    """What an error says."""

    success: Literal[False] = False
    data: None = None
    message: str = Field(description="What went wrong, in a sentence.")
    code: Code = Field(description="Stable; what programs branch on.")
    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="The phrase of the status.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="As `message`.")


class ApiError(Exception):
    """A request to the API cannot be granted."""

    def __init__(self, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The problem as JSON."""
        status = self.code.status
        problem = Problem(
            message=self.message,
            code=self.code,
            title=HTTPStatus(status).phrase,
            status=status,
            detail=self.message,
        )
        return problem.model_dump_json().encode()
