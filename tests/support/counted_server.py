"""`hlsd serve`, with the figures of rooms that a small load does not use counted by hand, five times a second.

A panel about webhooks shows nothing where no webhook is configured; here their counters move, so that every panel has
something to show. What publishers, viewers and HTTP do is counted by the server itself. `python -m … -c FILE`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import uvloop

from hlsd.app import Server, serve
from hlsd.config import load

_tasks: set[asyncio.Task[None]] = set()


async def play(server: Server) -> None:
    """Other rooms at work: webhooks, relays, authorisation, sessions that move, a publisher with a bad clock."""
    stats = server.stats
    while True:
        notify, app = stats.notify, stats.app("live")
        notify.events["donePlay", "ok"] += 2
        notify.events["donePlay", "failed"] += 1
        notify.queue_length = 3
        notify.oldest = time.time() - 4.0
        notify.duration["sync"].observe(0.03)
        notify.duration["queued"].observe(0.2)
        relay = stats.relay("origin", "pull")
        relay.up = 1
        relay.starts["ok"] += 1
        relay.received_bytes += 50_000
        app.auth["sign", "ok"] += 3
        app.auth["sign", "denied"] += 1
        app.ip_changes["reauth"] += 1
        for stream in server.hub.streams:
            if stream.hold is not None:
                stream.hold.repaired("jump")
        await asyncio.sleep(0.2)


def main() -> int:
    settings = load(Path(sys.argv[2]), os.environ, {})

    def ready(server: Server) -> None:
        _tasks.add(asyncio.get_running_loop().create_task(play(server)))

    return uvloop.run(serve(settings, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
