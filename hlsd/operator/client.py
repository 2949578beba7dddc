"""Carries one request to a service of the operator's and brings its answer back, within bounds.

Law: one request, at most one more when the connection we had kept turned out to be closed; no redirects are followed,
no cookies kept, no proxy of the environment used; an answer is read as it was sent, up to `MAX_ANSWER` and for at most
`within` seconds in all. Who was only told something has said all by its status: its body is not looked at. What goes
wrong is a value (`NoAnswer`), never an exception. Addresses may hold passwords and tokens: no reason shows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from hlsd import __version__
from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.base.lazily import lazily
from hlsd.net.answers import ASKED, bounded, dropped
from hlsd.net.names import Names
from hlsd.operator.signature import HEADER, sign

if TYPE_CHECKING:
    import httpx

    from hlsd.net import named_http
else:
    httpx, named_http = lazily("httpx"), lazily("hlsd.net.named_http")

MAX_ANSWER: Final = 64 << 10
"""Bytes of an answer."""
_KEPT_OPEN: Final = 4.0
"""Seconds that an idle connection is kept: below what servers keep (uvicorn and Node: 5)."""
_LONGEST: Final = 300.0
"""Seconds: above every bound of ours, which end a request before httpx does."""


@dataclass(frozen=True, slots=True)
class HttpQuestion:
    """What goes on the wire; `url` with its arguments, `body` None for a GET, whose arguments are then the question."""

    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def signed(self) -> bytes:
        """What a signature is made over: the body, or the query string where there is none."""
        return urlsplit(self.url).query.encode() if self.body is None else self.body


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back; header names in lower case, or of any case where the mapping does not mind."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody has decided: not reached, too slow, out of order, or words that make no sense; `reason` is for the log."""

    reason: str


class OperatorClient:
    """Connections to services of the operator's, at most `connections`; `transport` is the way to them (None: network).

    They are made by the first call of `http`, which is to come before anybody waits for an answer.
    """

    def __init__(
        self, clock: Clock, *, connections: int = 64, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock
        self._connections = connections
        self._names = Names()
        self._transport = transport
        self._http: httpx.AsyncClient | None = None

    async def send(
        self, question: HttpQuestion, *, within: float, secret: bytes | None = None, read: bool = True
    ) -> HttpReply | NoAnswer:
        """Asks, signed where there is a `secret`; without `read` the body is not looked at, and empty in the reply."""
        if secret:
            signature = sign(secret, int(self._clock.wall()), question.signed)
            question = HttpQuestion(
                question.method, question.url, {**question.headers, HEADER: signature}, question.body
            )
        try:
            async with asyncio.timeout(within):
                try:
                    return await self._once(question, read)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # A connection kept alive may be closed by the other side just as it is used: once more, on another.
                    return await self._once(question, read)
        except (TimeoutError, httpx.TimeoutException):
            return NoAnswer("no answer in time")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return NoAnswer(_words(error, question))

    def http(self) -> httpx.AsyncClient:
        """The connections themselves, for what is no question (a key set): with the same rules."""
        if self._http is None:
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415 - with what else HTTP clients need

            # httpcore loads it at the first request: forty milliseconds in which viewers wait.
            with contextlib.suppress(ImportError):  # as anyio has it today
                importlib.import_module("anyio._backends._asyncio")
            limits = httpx.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=_KEPT_OPEN,
            )
            self._http = httpx.AsyncClient(
                timeout=_LONGEST,
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": f"hlsd/{__version__}", "Accept": "application/json, */*", **ASKED},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                transport=self._transport or named_http.transport(self._names, limits),
            )
        return self._http

    async def close(self) -> None:
        """Closes every connection."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _once(self, question: HttpQuestion, read: bool) -> HttpReply:
        async with self.http().stream(
            question.method, question.url, content=question.body, headers=dict(question.headers)
        ) as response:
            body = b""
            if read:
                body = await bounded(response, MAX_ANSWER)
            else:
                await dropped(response, MAX_ANSWER)
            return HttpReply(response.status_code, response.headers, body)


def _words(error: Exception, question: HttpQuestion) -> str:
    """What went wrong; the class alone where the address holds the credential that is asked about."""
    if question.body is None and isinstance(error, httpx.HTTPError | httpx.InvalidURL):
        return type(error).__name__
    return masking.without(str(error), question.url)[:200] or type(error).__name__
