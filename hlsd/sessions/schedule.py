"""Says when each session is to be looked at: one wheel of quarter seconds, no timer of a session."""

from __future__ import annotations

from collections.abc import Callable

from hlsd.base.wheel import Wheel
from hlsd.ports import VOD, Playable
from hlsd.sessions.session import Session

VOD_IDLE = 60.0
"""Seconds after which nobody watches a recording any more who asks for nothing; who goes on later is resumed."""
SLICE = 200
"""Sessions that are looked at in one turn of the event loop: about 5 ms if all of them end."""
_TICKS = 4.0
"""Of the wheel in a second: a session is looked at a quarter of a second late at most."""


def idle_of(fixed: float, find: Callable[[str, str], Playable | None]) -> Callable[[str, str], float]:
    """Seconds without a request after which a viewer of `/{app}/{name}` is gone: `fixed`, or by its stream.

    "max(3 x TARGETDURATION, 10 s), cap 60 s" (contract §4.2, rule 5). After the end of the stream one target duration
    and a second: whoever has not seen the end yet asks within that time, be it for the playlist, be it for the next one
    of the last segments.
    """

    def idle(app: str, name: str) -> float:
        live = find(app, name)
        if live is not None and live.ended:
            return min(fixed or 60.0, live.target_duration + 1.0)
        return fixed or min(60.0, max(3.0 * live.target_duration if live is not None else 0.0, 10.0))

    return idle


class _Filed:
    """In which tick each session is filed, kept in the session: a table of them would be 80 bytes for each."""

    def __init__(self) -> None:
        self._count = 0

    def get(self, session: Session, /) -> int | None:
        return session.filed

    def pop(self, session: Session, default: None, /) -> int | None:
        filed = session.filed
        if filed is None:
            return default
        session.filed = None
        self._count -= 1
        return filed

    def __setitem__(self, session: Session, tick: int, /) -> None:
        self._count += session.filed is None
        session.filed = tick

    def __len__(self) -> int:
        return self._count


class Schedule:
    """Of one server's sessions.

    `idle(app, name)` is how many seconds one of that stream may be silent; each is told of every `interval` (0: never).
    """

    def __init__(self, now: float, idle: Callable[[str, str], float], interval: float) -> None:
        self._idle = idle
        self._interval = interval
        self._wheel: Wheel[Session] = Wheel(now * _TICKS, _Filed())

    def idle(self, session: Session) -> float:
        """Seconds for which the session may be silent: a player of a recording asks for minutes at a time."""
        return VOD_IDLE if session.protocol == VOD else self._idle(session.app, session.name)

    def file(self, session: Session) -> None:
        """Has it looked at when something may be due."""
        at = min(session.last + self.idle(session), session.until, session.renew_at)
        if self._interval:
            at = min(at, session.updated + self._interval)
        self._wheel.put(session, at * _TICKS)

    def drop(self, session: Session) -> None:
        """It is over."""
        self._wheel.drop(session)

    def turn(self, now: float, look: Callable[[Session], float | None]) -> bool:
        """Calls `look(session)` for `SLICE` that may be due: when to look again (seconds), or None; if it was all."""

        def due(session: Session) -> float | None:
            again = look(session)
            return None if again is None else again * _TICKS

        return self._wheel.turn(now * _TICKS, due, SLICE)
