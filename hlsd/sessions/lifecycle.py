"""Moves sessions through their life: the one place that does what `hlsd.sessions.life` says, and nothing else.

Law: a step sets the phase first and then does its effects in order, so whoever is called by one finds the session where
it is. A start and a stop are told once each, or neither.
"""

from __future__ import annotations

from collections.abc import Callable

from hlsd.events import Action
from hlsd.ports import Grant, PlayRequest
from hlsd.ports import ViewerSession as Viewer
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.directory import Revocation
from hlsd.sessions.life import ASKED, TRANSITIONS, Effect, Trigger
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared

BY_SERVER = frozenset({"kicked", "replaced", "limit", "auth_denied", "expired"})
"""Ends after which the id is not let in again."""
SILENT = frozenset({"idle", "closed", "stream_end", "shutdown"})
"""Ends that are called "abandoned" if nothing was seen."""


class Lifecycle:
    """Of one server's sessions."""

    def __init__(self, shared: Shared) -> None:
        self._table = shared.table
        self._memory = shared.memory
        self._schedule = shared.schedule
        self._events = shared.events
        self._directory = shared.directory
        self._lives = shared.lives
        self._stats = shared.stats
        self._clock = shared.clock
        self._settings = shared.settings
        self._epoch = 0.0
        self._rejected = self.rejected  # one bound method for all
        self._effects: dict[Effect, Callable[[Session], None]] = {
            Effect.LIST: self._list,
            Effect.COUNT_PLAY: self._count_play,
            Effect.TELL_START: self._tell_start,
            Effect.TELL_UPDATE: self._tell_update,
            Effect.SETTLE: self._settle,
            Effect.COUNT_STAY: self._count_stay,
            Effect.REMEMBER: self._remember,
            Effect.TELL_STOP: self._tell_stop,
        }
        self.ledger = Ledger(self.begins)

    def made(self, sid: bytes, request: PlayRequest, grant: Grant) -> Session:
        """A session that is coming."""
        now = self._clock.monotonic()
        epoch = self._clock.wall() - now
        if abs(epoch - self._epoch) > 0.001:  # the clock was set; else all share one number
            self._epoch = epoch
        return Session(sid, request, grant, now=now, epoch=self._epoch, end=self._rejected)

    def let_in(self, session: Session, *, unheard: bool = False) -> None:
        """It is open; `unheard`: whoever has a say is asked meanwhile."""
        self._step(session, Trigger.BACK if unheard else Trigger.LET_IN)

    def begins(self, viewer: Viewer) -> None:
        """Its first byte of media goes out."""
        session = self._table.by_sid.get(viewer.sid)
        if session is not None and session is viewer:
            self._step(session, Trigger.MEDIA)

    def heard(self, session: Session) -> None:
        """Who was asked meanwhile has nothing against it."""
        self._step(session, Trigger.HEARD)

    def update(self, session: Session) -> None:
        """It is time to tell how it goes on."""
        self._step(session, Trigger.UPDATE)

    def close(self, viewer: Viewer, reason: str, *, ban: float | None = None) -> Session | None:
        """Ends a session; None if it is none of ours, or was over. The id is banned for `ban` s if we ended it."""
        session = self._table.by_sid.get(viewer.sid)
        if session is None or session is not viewer:
            return None
        now = self._clock.monotonic()
        if session.drop is not None:
            session.last = now  # it lived on a connection, which was read from until now
        session.reason = "abandoned" if not session.started and reason in SILENT else reason
        session.ended = now
        if ban is not None:
            session.extra.ban = ban
        self._step(session, Trigger.END)
        return session

    def end(self, viewer: Viewer, reason: str, *, ban: float | None = None) -> None:
        """As `close`, by the server's own will: a connection that the session lives on is closed too."""
        mine = self._table.by_sid.get(viewer.sid)
        drop = mine.drop if mine is not None and mine is viewer else None
        try:
            self.close(viewer, reason, ban=ban)
        finally:
            if drop is not None:
                with self._stats.faults.guard("session_end"):
                    drop(reason)

    def played(self, session: Session) -> None:
        """It has ended, and only now it is known that it had got media: its start and its stop are told, once."""
        if session.over and not session.started:
            session.started = session.last
            self._stats.app(session.app).started[session.protocol] += 1
            self._events.tell(Action.POST_PLAY, session)
            self._events.tell(Action.DONE_PLAY, session)

    def rejected(self, session: Session, reason: str) -> None:
        """A handler has called `reject`; while it is asked, it is who asks that sees to it."""
        if session.phase not in ASKED:
            self.end(session, "kicked" if reason not in BY_SERVER else reason)

    def _step(self, session: Session, trigger: Trigger) -> None:
        session.phase, effects = TRANSITIONS[session.phase, trigger]
        for effect in effects:
            self._effects[effect](session)

    def _list(self, session: Session) -> None:
        self._table.add(session)
        self._memory.keep(session)
        session.tally = self._stats.tally(session.app, session.name, session.protocol)
        session.tally.sessions += 1
        self._stats.app(session.app).opened[session.protocol] += 1
        self._schedule.file(session)

    def _count_play(self, session: Session) -> None:
        session.started = session.updated = self._clock.monotonic()
        self._stats.app(session.app).started[session.protocol] += 1

    def _tell_start(self, session: Session) -> None:
        if self._lives is not None:
            self._lives.begin(session)
        else:
            self._events.tell(Action.POST_PLAY, session)

    def _tell_update(self, session: Session) -> None:
        if self._lives is None:  # else nobody knows all of it before its end
            self._events.tell(Action.UPDATE_PLAY, session)

    def _tell_stop(self, session: Session) -> None:
        if self._lives is None:
            self._events.tell(Action.DONE_PLAY, session)
            return
        ours = session.reason in BY_SERVER
        self._lives.over(session, session.reason, whole=ours, bar=self._ban(session) if ours else 0.0)

    def _ban(self, session: Session) -> float:
        """Seconds for which an id that the server ended is not let in."""
        ban = session.rare.ban if session.rare is not None else None
        return self._settings.ban_time if ban is None else ban

    def _settle(self, session: Session) -> None:
        self._table.remove(session)
        self._schedule.drop(session)
        if self._lives is not None and not session.started:  # it plays elsewhere, perhaps; else nobody knows of it
            ours = session.reason in BY_SERVER
            self._lives.over(session, session.reason, whole=ours, bar=self._ban(session) if ours else 0.0)
        self._directory.release(session.id)
        self.ledger.close(session)
        session.tally.sessions -= 1
        self._stats.app(session.app).closed[session.protocol, session.reason.partition(":")[0]] += 1

    def _count_stay(self, session: Session) -> None:
        stay = max(0.0, session.last - session.started)
        self._stats.app(session.app).session_duration[session.protocol].observe(stay)

    def _remember(self, session: Session) -> None:
        if session.drop is not None:  # it does not come back
            self._memory.drop(session)
            return
        if session.reason in BY_SERVER:
            # the id is good for nothing for as long as it could be taken over, here or elsewhere, after a restart too
            seconds = self._ban(session)
            self._directory.revoke(Revocation(session.sid, session.reason, seconds, self._settings.adopt_window))
        self._memory.remember(session)
