"""Keeps the deadlines of many things that all have the same time, with one timer: the oldest is always the next.

A thing that is done before costs an entry in a dictionary, and no timer is made or cancelled for it. Seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """`over` is told of each thing whose `seconds` are over; it is not here any more then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, over: Callable[[T], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._over = over
        self._at: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._at))

    def add(self, thing: T) -> float:
        """Begins the time of `thing`, and says when that is."""
        now = monotonic()
        self._at[thing] = now + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)
        return now

    def drop(self, thing: T) -> None:
        """It is done, or was never here."""
        self._at.pop(thing, None)

    def close(self) -> None:
        """Tells nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        while self._at:
            thing, at = next(iter(self._at.items()))
            if at > now:
                self._timer = self._loop.call_later(at - now, self._look)
                return
            del self._at[thing]
            self._over(thing)
