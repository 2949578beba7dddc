"""Shows the figures to Prometheus: `GET /metrics` as text or OpenMetrics, compressed if it may be.

Law: a scrape is written in slices and the event loop has its turn between them; one is written at a time, and few may
wait for it. What prometheus_client knows of the process (memory, files, CPU, garbage collection) is put behind ours.
As a `Collector` it can be registered with prometheus_client too, then all at once.
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from hlsd.metrics.exposition import OPENMETRICS, TEXT, as_metrics, takes_openmetrics, written
from hlsd.metrics.reading import Reader
from hlsd.metrics.settings import MetricsSettings

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

    from hlsd.metrics.process import ProcessFigures
else:
    Collector = object  # it is one by what it does; what is loaded with the class is not needed for that

MAX_SCRAPES: Final = 8
"""Scrapes under way or waiting; further ones get 503."""
_BREATH: Final = 0.0005
"""Seconds of work after which the loop has its turn."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: thousands of rows that live for a moment would make it walk every session (60 ms).

    They have no cycles; when they are gone the collector finds nothing of them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _process_figures() -> ProcessFigures:
    """Loads what they are read with: some 20 ms, of a thread's."""
    from hlsd.metrics.process import ProcessFigures  # noqa: PLC0415 - a server that nobody scrapes lacks it

    return ProcessFigures()


class Exporter(Collector):
    """The figures of one server, as HTTP shows them. `wall` tells the time, seconds since the epoch.

    `known(scope)` says who may read on the HTTP port besides who has the token of `settings`: the API's callers.
    """

    def __init__(
        self,
        reader: Reader,
        settings: MetricsSettings,
        wall: Callable[[], float],
        known: Callable[[Scope], bool] = lambda _scope: False,
    ) -> None:
        self.reader = reader
        self._known = known
        self._settings = settings
        self._wall = wall
        self._token = settings.token.get_secret_value().encode() if settings.token is not None else b""
        self._one = asyncio.Lock()
        self._scrapes = 0
        self._process: ProcessFigures | None = None

    def routes(self, *, own_port: bool = False) -> list[Route]:
        """The route for the HTTP port, or for a port of their own; none where the figures are not to be had."""
        settings = self._settings
        if not settings.enabled or bool(settings.port) is not own_port:
            return []
        return [Route(settings.path, self.answer, methods=["GET"])]

    def collect(self) -> Iterable[Metric]:
        """All families at once, for prometheus_client."""
        families, steps = self.reader.families(self._wall())
        for _ in steps:
            pass
        yield from as_metrics(families)

    async def answer(self, request: Request) -> Response:
        """One scrape."""
        if not self._may(request):
            return PlainTextResponse("401 no token\n", 401, headers={"www-authenticate": "Bearer"})
        if self._scrapes >= MAX_SCRAPES:
            return PlainTextResponse("503 too many scrapes\n", 503)
        openmetrics = takes_openmetrics(request.headers.get("accept", ""))
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        self._scrapes += 1
        try:
            async with self._one:
                if self._process is None:
                    self._process = await asyncio.to_thread(_process_figures)
                with _uncollected():
                    body = await self._scrape(openmetrics=openmetrics, zipped=zipped)
        finally:
            self._scrapes -= 1
        headers = {"content-type": OPENMETRICS if openmetrics else TEXT, "cache-control": "no-store"}
        if zipped:
            headers["content-encoding"] = "gzip"
        headers["vary"] = "Accept, Accept-Encoding"
        return Response(body, headers=headers)

    async def _scrape(self, *, openmetrics: bool, zipped: bool) -> bytes:
        begun = turn = monotonic()
        squeeze = zlib.compressobj(1, zlib.DEFLATED, 31) if zipped else None
        body = bytearray()
        for text in self._text(openmetrics=openmetrics):
            raw = text.encode()
            body += squeeze.compress(raw) if squeeze is not None else raw
            if monotonic() - turn > _BREATH:
                await asyncio.sleep(0)
                turn = monotonic()
        if squeeze is not None:
            body += squeeze.flush()
        self.reader.scrape_seconds = monotonic() - begun
        return bytes(body)

    def _text(self, *, openmetrics: bool) -> Iterator[str]:
        """The exposition; an empty text where only work was done."""
        families, steps = self.reader.families(self._wall())
        for _ in steps:
            yield ""
        yield from written(families, openmetrics=openmetrics)
        if self._process is not None:
            yield self._process.text(openmetrics=openmetrics)

    def _may(self, request: Request) -> bool:
        """Whether it may read: who has the token; on the HTTP port who may read the API, on a port of their own all.

        Loopback is no reason: a proxy on this machine comes from there, and with it whoever asks the proxy.
        """
        if self._token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
                return True
        if self._settings.port:
            return not self._token
        return self._known(request.scope)
