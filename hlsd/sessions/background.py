"""Does work beside what is going on: a bounded number of tasks, none of which costs anybody else anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog


class Background:
    """At most `most` tasks called `name` at once; what one of them raises is logged as `fault`."""

    def __init__(self, most: int, name: str, fault: str) -> None:
        self._most = most
        self._name = name
        self._fault = fault
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def run(self, work: Coroutine[Any, Any, None]) -> bool:
        """Does the work meanwhile; False, and not done, if there is too much of it."""
        if len(self._tasks) >= self._most:
            work.close()
            return False
        # the work itself, not a wrapper: what is cancelled before its first step would be a coroutine never awaited
        task = asyncio.get_running_loop().create_task(work, name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    async def stop(self) -> None:
        """Cancels what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.error(self._fault, exc_info=error)
