"""Counts who is here, and lets a server that stops wait until nobody is."""

from __future__ import annotations

import asyncio


class Attendance:
    """`with attendance:` for as long as one is here."""

    def __init__(self) -> None:
        self._here = 0
        self._emptied = asyncio.Event()

    def __enter__(self) -> None:
        """One more is here."""
        self._here += 1

    def __exit__(self, *_: object) -> None:
        """One has gone."""
        self._here -= 1
        self._emptied.set()

    async def gone(self, seconds: float) -> None:
        """Returns when nobody is left, or after that time."""
        try:
            async with asyncio.timeout(seconds):
                while self._here:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            pass
