"""Keeps requests waiting: what the judge holds is awaited here, until it is answered or its client has gone.

The streams wake their waiters; this module only bounds how many there are for one stream, notices a client that hangs
up, and lets everybody go when the server drains. `waiting` shows the number held at this instant.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable

from hlsd.delivery.answer import Held, Hold, HoldFirst
from hlsd.ports import Playable


class Outcome(enum.Enum):
    """How a wait ended."""

    RELEASED = "released"
    """What was waited for is there."""
    EXPIRED = "expired"
    """The time is over, or the stream."""
    REFUSED = "refused"
    """Too many are waiting, or the server drains: not waited any longer."""
    GONE = "gone"
    """The client hung up: nobody to answer."""


class Holds:
    """The requests that wait on this server; `limit` for each stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Playable, int] = {}
        self._drained = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Requests held at this instant."""
        return sum(self._waiting.values())

    def drain(self) -> None:
        """Ends every wait, now and from now on, as REFUSED."""
        self._drained.set()

    async def wait(self, held: Held, gone: Callable[[], Awaitable[None]]) -> Outcome:
        """Waits for what `held` names; `gone()` returns when the client has hung up."""
        playable = held.playable
        count = self._waiting.get(playable, 0)
        if count >= self._limit or self._drained.is_set():
            return Outcome.REFUSED
        self._waiting[playable] = count + 1
        try:
            return await self._race(held, gone)
        finally:
            if self._waiting[playable] == 1:
                del self._waiting[playable]
            else:
                self._waiting[playable] -= 1

    async def _race(self, held: Held, gone: Callable[[], Awaitable[None]]) -> Outcome:
        waiter = asyncio.ensure_future(_await(held))
        hangup = asyncio.ensure_future(gone())
        drain = asyncio.ensure_future(self._drained.wait())
        race = (waiter, hangup, drain)
        try:
            await asyncio.wait(race, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                return Outcome.RELEASED if waiter.result() else Outcome.EXPIRED
            return Outcome.GONE if hangup.done() else Outcome.REFUSED
        finally:
            for task in race:
                task.cancel()
            await asyncio.gather(*race, return_exceptions=True)


async def _await(held: Held) -> bool:
    if isinstance(held, Hold):
        return await held.playable.until(held.msn, held.part, held.timeout)
    if isinstance(held, HoldFirst):
        return await held.playable.until_playlist(held.timeout)
    return await held.playable.until_media(held.run, held.name, held.timeout)
