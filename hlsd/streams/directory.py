"""Is what viewers are looked up in: what is on air, and what can be made to come (`hlsd.ports.Directory`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hlsd.ports import ABSENT, Denial, OnDemand, Playable, PlayRequest, StreamSummary

if TYPE_CHECKING:
    from hlsd.streams.hub import Hub


class StreamDirectory:
    """The streams of a hub, and those that `on_demand` fetches."""

    def __init__(self, hub: Hub, on_demand: OnDemand) -> None:
        self._on_demand = on_demand
        self.find: Callable[[str, str], Playable | None] = hub.find
        self.expected: Callable[[str, str], Playable] = hub.expected
        self.summaries: Callable[[], list[StreamSummary]] = hub.summaries
        self.obtainable: Callable[[str, str], bool] = on_demand.obtainable

    async def obtain(self, request: PlayRequest) -> Playable | Denial:
        """Makes an absent stream come, or says why it will not."""
        denial = await self._on_demand.obtain(request)
        return denial or self.find(request.app, request.name) or ABSENT
