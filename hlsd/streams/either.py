"""Makes absent streams come by whichever of several can (`hlsd.ports.OnDemand`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hlsd.ports import ABSENT

if TYPE_CHECKING:
    from hlsd.ports import Denial, OnDemand, PlayRequest


class EitherSource:
    """The first of `sources` that can make a stream come is asked for it."""

    def __init__(self, *sources: OnDemand) -> None:
        self._sources = sources

    def obtainable(self, app: str, name: str) -> bool:
        """Whether one of them can."""
        return any(source.obtainable(app, name) for source in self._sources)

    async def obtain(self, request: PlayRequest) -> Denial | None:
        """As that one says."""
        for source in self._sources:
            if source.obtainable(request.app, request.name):
                return await source.obtain(request)
        return ABSENT
