"""Has others work while one publisher's media is worked on, and holds it back when its part of a second is used up.

For publishers that are read by a task of their own; how much a turn and a second's part are says `hlsd.ingest.share`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hlsd.ingest.share import HELD_BACK, Share

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.remarks import Remarks


class Turns:
    """One publisher's. `share` measures: its owner starts and stops it, and calls `give_way` where it is used up."""

    def __init__(self, remarks: Remarks, clock: Clock) -> None:
        self.share = Share()
        self._remarks = remarks
        self._clock = clock
        self._second = asyncio.Event()

    def second(self) -> None:
        """A new second begins: who was held back goes on."""
        self.share.second()
        self._second.set()

    async def give_way(self) -> None:
        """Has others work, in the midst of work; the next turn begins when it returns, and it may be a second later."""
        self.share.stop()
        if self.share.exhausted:
            await self.next_second()
        else:
            await asyncio.sleep(0)  # the others' turns
        self.share.begin()

    async def next_second(self) -> None:
        """Waits for it. A publisher that is held back by a bound looks like one with a bad line, so the log says it."""
        self._remarks.note(HELD_BACK, self._clock.monotonic(), seconds=round(self.share.spent, 2))
        self._second.clear()
        await self._second.wait()
