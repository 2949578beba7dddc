"""Is what a client says with every request beside the path: read and checked once, known again when it comes again.

A player sends the same lines for hours. Law: two requests have one form only if all their lines but the path are the
same, in the same order, with the path in the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hlsd.delivery import cmcd
from hlsd.delivery.http1.plain import UNUSUAL
from hlsd.delivery.http2.coded_path import PATH
from hlsd.delivery.http2.headers import MalformedRequest, Said, check
from hlsd.delivery.http2.hpack_reader import Line
from hlsd.delivery.http2.stream import Headers
from hlsd.delivery.request import accepts_gzip

MAX_FORMS: Final = 1024
"""Forms that are remembered for all connections: many viewers, few kinds of players."""
MAX_FORM: Final = 2048
"""Octets of a form that is remembered; those of browsers have half."""

Key = tuple[int, tuple[Line, ...]]


@dataclass(slots=True, eq=False)
class RequestForm:
    """A request without its path."""

    method: str
    authority: bytes
    headers: Headers
    """Its lines, `host` among them, without pseudo-header fields."""
    expected: int
    """Content-length; -1: not said."""
    size: int
    """Octets of its lines, or nearly."""
    plain: bool
    """Nothing in it but what `zipped`, `origin`, `forwarded` and `report` say decides about the answer."""
    zipped: bool
    origin: bytes | None
    forwarded: bytes
    report: bytes
    """What the player says about itself in headers."""


def form_of(said: Said, takes_gzip: Callable[[bytes], bool]) -> RequestForm:
    """The form of a request that was checked."""
    zipped: bool | None = None
    origin: bytes | None = None
    forwarded = b""
    size = 0
    plain = said.method == "GET" and said.expected < 0
    for name, value in said.headers:
        size += len(name) + len(value) + 4
        if name == b"accept-encoding":
            plain = plain and zipped is None
            zipped = takes_gzip(value)
        elif name == b"origin":
            plain = plain and origin is None
            origin = value
        elif name == b"x-forwarded-for":
            forwarded = b"%b, %b" % (forwarded, value) if forwarded else value
        elif name in UNUSUAL:
            plain = False
    return RequestForm(
        method=said.method,
        authority=said.authority,
        headers=said.headers,
        expected=said.expected,
        size=size,
        plain=plain,
        zipped=zipped is True,
        origin=origin,
        forwarded=forwarded,
        report=cmcd.of_headers(said.headers),
    )


class RequestForms:
    """The forms that are known on one server."""

    def __init__(self, takes_gzip: Callable[[bytes], bool] = accepts_gzip) -> None:
        self._takes_gzip = takes_gzip
        self._known: dict[Key, RequestForm] = {}

    def of(self, lines: Headers, *, ended: bool) -> tuple[RequestForm, bytes]:
        """The form and the path of a request whose header block has these lines; `ended`: it has no body.

        Raises:
            MalformedRequest: it is none (`hlsd.delivery.http2.headers.check`), or was to have a body.
        """
        at = next((at for at, line in enumerate(lines) if line[0] == b":path"), 0)
        key = at, tuple(lines[:at] + lines[at + 1 :])
        form = self._known.get(key)
        path = lines[at][1] if form is not None else b"*"
        if form is not None and path != b"*" and PATH.fullmatch(path):
            return form, path
        said = check(lines)
        if ended and said.expected > 0:
            raise MalformedRequest
        form = form_of(said, self._takes_gzip)
        if form.size <= MAX_FORM and not form.report and form.expected < 0:
            if len(self._known) >= MAX_FORMS:
                self._known.clear()
            self._known[key] = form
        return form, said.path
