"""Tells the supervisor that this process is ready, and each second that its event loop turns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Mapping
from typing import Final

from hlsd.base.upkeep import end
from hlsd.workers.orders import BEAT, CHANGED, EVERY, READY

ALONE: Final = 30.0
"""Seconds that a process without a supervisor has to drain."""


class Beat:
    """One process's line, by the number of its socket; begun inside the event loop.

    When the supervisor has gone the process is told to stop, as the supervisor would have.
    """

    def __init__(self, line: int) -> None:
        self._line = socket.socket(fileno=line)
        self._line.setblocking(False)
        os.set_inheritable(line, False)  # children of this process are none of the supervisor's
        self._task = asyncio.create_task(self._run(), name="beat")

    def ready(self, opened: Mapping[str, int]) -> None:
        """Everything listens; `opened` are the ports by service."""
        self._say(READY + json.dumps(dict(opened)).encode() + b"\n")

    def changed(self) -> None:
        """The configuration was read again."""
        self._say(CHANGED)

    async def stop(self) -> None:
        """No more of it."""
        await end(self._task)
        self._line.close()

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._line.send(word)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.create_task(self._gone(loop), name="supervisor gone")
        try:
            while not gone.done():
                self._say(BEAT)
                await asyncio.wait({gone}, timeout=EVERY)
        finally:
            gone.cancel()
        while True:  # until `stop`: the second one is for what does not come to its end by itself
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(ALONE)

    async def _gone(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._line, 64):
                pass
