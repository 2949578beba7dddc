"""Remembers who is not let in for a while: bounded, and forgotten by a wheel.

A ban is a key of any kind: a session id, a user with a stream, an address with a stream. Monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from hlsd.base.wheel import Wheel

MAX_BANS = 100_000
"""Bans at once; one more and the oldest is forgotten."""


class Bans:
    """The bans of one server."""

    def __init__(self, now: float) -> None:
        self._until: dict[Hashable, float] = {}
        self._wheel: Wheel[Hashable] = Wheel(now)

    def __len__(self) -> int:
        return len(self._until)

    def add(self, key: Hashable, until: float) -> None:
        """Bans `key` until then; a ban that lasts longer stands."""
        if until <= self._until.get(key, 0.0):
            return
        if key not in self._until and len(self._until) >= MAX_BANS:
            oldest = next(iter(self._until))
            del self._until[oldest]
            self._wheel.drop(oldest)
        self._until[key] = until
        self._wheel.put(key, until)

    def items(self) -> Iterable[tuple[Hashable, float]]:
        """Who is banned, and until when, the oldest first; a copy."""
        return tuple(self._until.items())

    def holds(self, key: Hashable, now: float) -> bool:
        """Whether `key` is banned at `now`."""
        return self._until.get(key, 0.0) > now

    def sweep(self, now: float) -> None:
        """Once a second or so: forgets what is over."""

        def due(key: Hashable) -> float | None:
            until = self._until.get(key, 0.0)
            if until > now:
                return until
            self._until.pop(key, None)
            return None

        self._wheel.turn(now, due)
