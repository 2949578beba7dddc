"""All services in this event loop, as `hlsd serve` composes them, on free ports of loopback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from hlsd.app import Server
from hlsd.config import load


def composed(state: Path, settings: Mapping[str, object] | None = None) -> Server:
    """A server that has not been started; `settings` by their dotted names, as in a configuration file."""
    free = {"rtmp.bind": "127.0.0.1", "rtmp.port": 0, "http.bind": "127.0.0.1", "http.port": 0}
    return Server(load(None, {}, {"server.state_dir": str(state), **free, **(settings or {})}))


@contextlib.asynccontextmanager
async def running(state: Path, settings: Mapping[str, object] | None = None) -> AsyncIterator[Server]:
    """A server at work, stopped at the end."""
    server = composed(state, settings)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(2.0)
