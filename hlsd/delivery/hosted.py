"""Is the server as an ASGI application that another one mounts, at the root or below a path.

Law: what is below the mount stays below it. `root_path` is taken off the path and said to the judge and the pages as a
proxy's prefix would be, so redirects, the page and playlists lead back through it. The listener is the host's:
deadlines, bounds of connections and ready answers of our own are not there, sessions and their accounts are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hlsd.net.proxies import path_prefix

MOUNT = "hlsd.mount"
"""Where a scope says what was taken off its path."""
_HOSTS = frozenset(("app", "app_root_path", "endpoint", "path_params", "route", "router"))
"""What a host's own router notes in a scope: ours would take it for its own."""
Hosted = TypeVar("Hosted", bound=AbstractAsyncContextManager[object])


class HostedApp(Generic[Hosted]):
    """`server`, to be mounted: `Mount("/tv", app)`, with `lifespan=app.lifespan` in the application that does.

    `web()` is what answers, None while the server does not run: then the answer is 503. Served by itself (`uvicorn`)
    it starts and stops the server with the lifespan protocol.
    """

    def __init__(self, server: Hosted, web: Callable[[], ASGIApp | None]) -> None:
        self.server = server
        self._web = web

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:  # noqa: ARG002 - Starlette gives it
        """Starts the server, and stops it at the end. Raises CannotListen."""
        async with self.server:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket; or the whole life, where this is the outermost application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        web, below = self._web(), _below(scope)
        if web is None:
            await _say(scope, receive, send, 503, b"503 not running\n")
        elif below is None or scope["type"] != "http":  # FLV by WebSocket takes its connection over: ours only
            await _say(scope, receive, send, 404, b"404 not found\n")
        else:
            await web(below, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol (ASGI): what goes wrong is said, and raised by nobody."""
        await receive()
        try:
            async with self.server:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _below(scope: Scope) -> Scope | None:
    """The scope as if there were no mount; None if what it says of one cannot be kept to.

    "root_path: The root path this application is mounted at", and `path` has it at its beginning (ASGI); raw_path is
    what our judge reads, so it must begin with it as well, letter for letter.
    """
    root = path_prefix(scope.get("root_path", ""))
    if root is None:
        return None
    inner = {key: value for key, value in scope.items() if key not in _HOSTS}
    inner["root_path"] = ""
    if not root:
        return inner
    inner[MOUNT] = root
    path: str = scope["path"]
    if path != root and not path.startswith(f"{root}/"):
        return inner  # the host has taken it off already
    inner["path"] = path[len(root) :] or "/"
    raw: bytes | None = scope.get("raw_path")
    if raw is not None:
        if not raw.startswith(root.encode()):
            return None
        inner["raw_path"] = raw[len(root) :] or b"/"
    return inner


async def _say(scope: Scope, receive: Receive, send: Send, status: int, words: bytes) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(words))]
    start: Message = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"cache-control", b"no-store")],
    }
    await send(start)
    await send({"type": "http.response.body", "body": words if scope["method"] != "HEAD" else b""})
