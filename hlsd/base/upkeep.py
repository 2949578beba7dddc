"""Keeps what must run for as long as the server does: tasks that are begun again when they end, and their sweeps.

Law: nobody waits for such a task, so nobody would hear that it has ended; it is counted and told (`hlsd.base.faults`),
and begun again `PAUSE` seconds later. Only who cancels it ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from hlsd.base.errors import HlsdError
from hlsd.base.faults import Faults

PAUSE: Final = 1.0
"""Seconds between the end of a task and its new beginning: a task that ends at once must not spin."""


AGAIN: Final = 3.0
"""Seconds that a task has to end, before it is cancelled once more."""


class Ended(HlsdError):
    """A task that was to run on has returned."""


def keep(
    work: Callable[[], Awaitable[object]],
    name: str,
    faults: Faults,
    over: Callable[[], bool] = lambda: False,
) -> asyncio.Task[None]:
    """Runs `work()` in the running loop until it is cancelled, or returns while `over()` says that it may."""
    faults.tasks[name] += 0  # known from now on, so that its first fault is a rise

    async def run() -> None:
        while True:
            try:
                await work()
                if over():
                    return
                faults.task(name, Ended("it ended by itself"))
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                faults.task(name, error)  # something that it waited for was cancelled, not the task
            except Exception as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # what it waited for has made this of the cancellation
                    raise asyncio.CancelledError from error
                faults.task(name, error)
            await asyncio.sleep(PAUSE)

    return asyncio.create_task(run(), name=name)


def sweep(every: float, turn: Callable[[], object], name: str, faults: Faults) -> asyncio.Task[None]:
    """Calls `turn()` each `every` seconds; what it raises costs that turn only."""
    guard = faults.guard(name)

    async def run() -> None:
        while True:
            await asyncio.sleep(every)
            with guard:
                turn()

    return keep(run, name, faults)


async def end(task: asyncio.Future[Any] | None) -> None:
    """Cancels the task, if there is one, and waits until it is over; never raises for what it did.

    A library that was waited for may have made another error of the cancellation, and the task gone on: so it is
    cancelled again, each `AGAIN` seconds. Who is cancelled while it waits here is.
    """
    if task is None:
        return
    task.cancel()
    while not task.done():
        await asyncio.wait({task}, timeout=AGAIN)
        task.cancel()
    if not task.cancelled():
        task.exception()  # looked at, so that the loop does not tell of it


async def ended(tasks: Iterable[asyncio.Task[None]], deadline: float) -> None:
    """Waits for the tasks; cancels what is still there at the deadline."""
    pending = set(tasks)
    if not pending:
        return
    _, late = await asyncio.wait(pending, timeout=max(0.1, deadline))
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
