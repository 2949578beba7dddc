"""Looks at sessions whose time may have come: in slices, so that ten thousand ends stall nobody."""

from __future__ import annotations

from math import inf

from hlsd.ports import VOD
from hlsd.sessions.enforcement import Enforcement
from hlsd.sessions.leases import Leases
from hlsd.sessions.lifecycle import SILENT, Lifecycle
from hlsd.sessions.renewal import Renewal
from hlsd.sessions.schedule import SLICE
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared


class Sweep:
    """Of one server's sessions."""

    def __init__(
        self, shared: Shared, lifecycle: Lifecycle, renewal: Renewal, enforcement: Enforcement, leases: Leases
    ) -> None:
        self._table = shared.table
        self._memory = shared.memory
        self._schedule = shared.schedule
        self._directory = shared.directory
        self._faults = shared.stats.faults
        self._clock = shared.clock
        self._interval = shared.settings.update_interval
        self._stream = shared.stream
        self._lifecycle = lifecycle
        self._renewal = renewal
        self._enforcement = enforcement
        self._leases = leases
        self._draining = False

    def drain(self) -> None:
        """The server is about to stop: that is why sessions end from now on, and not that their streams do."""
        self._draining = True

    def turn(self) -> bool:
        """Some of it; whether that was all."""
        now = self._clock.monotonic()
        if not self._enforcement.turn():
            return False
        if not self._schedule.turn(now, lambda session: self._see_to(session, now)):
            return False
        self._directory.sweep()
        self._leases.turn()
        self._memory.sweep(now, SLICE)
        self._table.sweep(now, SLICE)
        return True

    def _see_to(self, session: Session, now: float) -> float | None:
        """As `_look`; what goes wrong with one session costs no other its end."""
        try:
            return self._look(session, now)
        except Exception as error:  # noqa: BLE001 - see above; nobody else would ever look at it again
            self._faults.task("session_sweep", error)
            return None if session.over else now + 1.0

    def _look(self, session: Session, now: float) -> float | None:
        """What is due of a session; when to look again, or None if it is over."""
        if session.until <= now:
            reason = (session.rare.until_reason if session.rare else "") or "expired"
            self._lifecycle.end(session, self._shown(reason))
            return None
        if session.renew_at <= now:
            session.renew_at = inf if self._renewal.renew(session) else now + 1.0
            if session.over:
                return None
        again = min(session.until, session.renew_at, self._update(session, now))
        if session.over:
            return None
        if session.drop is not None:
            over = now + 60.0  # its connection says when it is over
        elif session.held or session.flows:
            over = now + 1.0
        else:
            over = session.last + self._schedule.idle(session)
            if over <= now:
                self._lifecycle.close(session, self._shown("idle" if self._stands(session) else "stream_end"))
                return None
        return min(again, over)

    def _update(self, session: Session, now: float) -> float:
        """Tells of a session that goes on, if it is time; when it will be time again."""
        if not self._interval:
            return inf
        if now >= session.updated + self._interval:
            session.updated = now
            self._lifecycle.update(session)
        return session.updated + self._interval

    def _shown(self, reason: str) -> str:
        return "shutdown" if self._draining and reason in SILENT else reason

    def _stands(self, session: Session) -> bool:
        """Whether its stream goes on."""
        if self._stream is None or session.protocol == VOD:
            return True
        live = self._stream(session.app, session.name)
        return live is not None and not live.ended and not live.gone
