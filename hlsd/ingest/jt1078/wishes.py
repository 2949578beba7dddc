"""Tells a JT/T 808 platform which channels are wanted, and which nobody watches any more: it has the terminals send.

To the hub it is who can make a stream come (`hlsd.ports.OnDemand`): a viewer who asks for one that is not here waits
for it, and the platform hears `streamWanted`. Law: of one name it hears that once in `AGAIN` seconds however many ask,
names that are remembered are bounded, and a viewer waits no longer than `jt1078.wait`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from hlsd.base.token_bucket import TokenBucket
from hlsd.events import Action, Event, new_id
from hlsd.events.facts import wish_facts
from hlsd.ingest.jt1078.subject import WishSubject
from hlsd.ports import ABSENT, Denial

if TYPE_CHECKING:
    from collections.abc import Callable

    from hlsd.base.clock import Clock
    from hlsd.events import Bus
    from hlsd.ingest.jt1078.names import JtNames
    from hlsd.ingest.jt1078.settings import Jt1078Settings
    from hlsd.ports import PlayRequest

AGAIN: Final = 5.0
"""Seconds after which the platform is told anew of a name that has not come."""
KNOWN: Final = 1000
"""Names that are remembered."""
MOST: Final = 1000
"""Viewers that wait at once."""
RATE: Final = 20.0
"""Names of which the platform is told in a second: where nothing is asked of viewers, anybody can make some up."""
LOOK: Final = 0.25
"""Seconds between two looks whether it has come."""

Key = tuple[str, str]


class JtWishes:
    """What viewers want of terminals. `here(app, name)`: whether it is on air; `watched(path)`: how many watch."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it knows
        self,
        settings: Jt1078Settings,
        names: JtNames,
        bus: Bus,
        clock: Clock,
        here: Callable[[str, str], bool],
        watched: Callable[[str], int],
    ) -> None:
        self._settings = settings
        self._names = names
        self._bus = bus
        self._clock = clock
        self._here = here
        self._watched = watched
        self._told: OrderedDict[Key, float] = OrderedDict()
        """When the platform was last told of a name."""
        self._unwatched: dict[Key, float] = {}
        """Since when nobody watches a stream; -1: the platform knows."""
        self._waiting = 0
        self._room = TokenBucket(RATE, clock.monotonic())

    # -- as the hub sees it

    def obtainable(self, app: str, name: str) -> bool:
        """Whether that is what a channel is called, and somebody can be told of it."""
        return bool(self._settings.port) and self._bus.heard(Action.STREAM_WANTED) and self._names.is_name(app, name)

    async def obtain(self, request: PlayRequest) -> Denial | None:
        """None once it has come."""
        key = request.app, request.name
        if self._waiting >= MOST or not self._want(key):
            return ABSENT
        self._waiting += 1
        until = self._clock.monotonic() + self._settings.wait
        try:
            while not self._here(*key) and self._clock.monotonic() < until:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK)
        finally:
            self._waiting -= 1
        return None if self._here(*key) else ABSENT

    # -- as its service sees it

    def sweep(self, live: set[Key]) -> None:
        """Once a second: `live` are the streams that terminals publish."""
        after = self._settings.unwatched_after
        now = self._clock.monotonic()
        for key in self._unwatched.keys() - live:
            del self._unwatched[key]
        if not after:
            return
        for key in live:
            if self._watched("/{}/{}".format(*key)):
                self._unwatched.pop(key, None)
            elif (since := self._unwatched.setdefault(key, now)) >= 0 and now - since >= after:
                self._unwatched[key] = -1.0
                self._tell(Action.STREAM_UNWATCHED, key)

    def _want(self, key: Key) -> bool:
        """Tells the platform, unless it has just been told; whether it knows."""
        now = self._clock.monotonic()
        told = self._told.get(key)
        if told is not None and now - told < AGAIN:
            return True
        if not self._room.has(1, now):
            return False
        self._room.take()
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > KNOWN:
            self._told.popitem(last=False)
        self._tell(Action.STREAM_WANTED, key)
        return True

    def _tell(self, action: Action, key: Key) -> None:
        if self._bus.heard(action):
            ident = new_id()
            self._bus.emit(Event(action, ident, 1, self._clock.wall(), wish_facts(*key)), WishSubject(ident, *key))
