"""Says whether this server should get new viewers: /readyz, for load balancers and supervisors.

/healthz answers as long as the process does; /readyz says 503 from the first signal of a drain on, before listeners
close, and while the event loop is so late that viewers would notice. The reasons are words, never figures of the house.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def ready_route(unready: Callable[[], Sequence[str]]) -> Route:
    """`/readyz`: 200, or 503 with the reasons that `unready()` gives."""

    async def ready(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        reasons = unready()
        headers = {"cache-control": "no-store"}
        if reasons:
            return PlainTextResponse(f"not ready: {', '.join(reasons)}\n", 503, headers={**headers, "retry-after": "1"})
        return PlainTextResponse("ready\n", headers=headers)

    return Route("/readyz", ready)
