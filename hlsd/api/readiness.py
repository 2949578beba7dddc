"""Says whether this server should get new viewers: /readyz, for load balancers and supervisors.

/healthz answers as long as the process does; /readyz says 503 from the first signal of a drain on, before listeners
close, while the event loop is so late that viewers would notice, and while an output is off for every stream that is
live. Where it is off for some of them only, the answer is 200 and says so: one stream's fault is not to take all others
from their viewers. The reasons are words, never figures of the house.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def ready_route(unready: Callable[[], Sequence[str]], impaired: Callable[[], Sequence[str]] = tuple) -> Route:
    """`/readyz`: 200, or 503 with the reasons that `unready()` gives; beside "ready" stands what `impaired()` says."""

    async def ready(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        reasons = unready()
        headers = {"cache-control": "no-store"}
        if reasons:
            return PlainTextResponse(f"not ready: {', '.join(reasons)}\n", 503, headers={**headers, "retry-after": "1"})
        less = impaired()
        return PlainTextResponse(f"ready, but {', '.join(less)}\n" if less else "ready\n", headers=headers)

    return Route("/readyz", ready)
