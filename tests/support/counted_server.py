"""`hlsd serve`, with the figures of relays counted by hand five times a second, until there is a room for relays.

Everything else is counted by the server itself. `python -m … -c FILE`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from hlsd.app import Server, serve
from hlsd.config import load

_tasks: set[asyncio.Task[None]] = set()


async def play(server: Server) -> None:
    """COUNTED BY HAND until relays are there: one that pulls."""
    while True:
        relay = server.stats.relay("origin", "pull")
        relay.up = 1
        relay.starts["ok"] += 1
        relay.received_bytes += 50_000
        await asyncio.sleep(0.2)


def main() -> int:
    settings = load(Path(sys.argv[2]), os.environ, {})

    def ready(server: Server) -> None:
        _tasks.add(asyncio.get_running_loop().create_task(play(server)))

    return uvloop.run(serve(settings, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
