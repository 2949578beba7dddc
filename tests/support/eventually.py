"""Waits for what must come about: looks again and again, and says what it waited for when its time is over.

A test names a condition and a deadline that a loaded machine keeps; nothing in it sleeps for a time of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

SECONDS = 30.0
"""The deadline where none is given: far more than anything of ours takes, less than a test's own timeout."""


async def eventually(ready: Callable[[], object], seconds: float = SECONDS, what: str = "") -> None:
    """Lets the event loop turn until `ready()`, awaited if need be, is true; AssertionError after `seconds`.

    It tells `what`, or the condition's own source.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 0.0
    while True:
        found = ready()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        assert loop.time() < deadline, _late(ready, seconds, what)
        await asyncio.sleep(pause)
        pause = min(0.02, pause + 0.001)  # at once where it is near, seldom where it is far


def eventually_here(ready: Callable[[], object], seconds: float = SECONDS, what: str = "") -> None:
    """`eventually` for a test that has no event loop: its thread waits."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, _late(ready, seconds, what)
        time.sleep(0.05)


def _late(ready: Callable[[], object], seconds: float, what: str) -> str:
    if not what:
        try:
            what = " ".join(inspect.getsource(ready).split())
        except (OSError, TypeError):  # no function of a file: a partial, say
            what = repr(ready)
    return f"{what}: not after {seconds:g} s"
