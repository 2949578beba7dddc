"""Knows every session of this server: opens, finds, adopts and ends them, and keeps their accounts.

Law: an id is verified once and then found in a table; a valid id of before a restart is adopted (the session begins
anew, under the old id). There are at most `max_sessions`; ending is by one sweep, never by a timer of a session.
What a viewer may is decided in `open` and `admit`: they are where authorisation, limits and events join in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hlsd.clock import Clock
from hlsd.ports import Denial
from hlsd.ports import Session as Viewer
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.session import Session
from hlsd.sessions.signing import Signer
from hlsd.wheel import Wheel

MAX_AGENT = 256
"""Characters of a User-Agent that are kept."""
NOT_OURS = Denial(403, "session not accepted")
FULL = Denial(503, "too many viewers, ask again")


class Registry:
    """The sessions of one server (`hlsd.ports.Sessions`).

    `idle(app, name)` says after how many seconds without a request a session of that stream is over.
    """

    def __init__(self, signer: Signer, clock: Clock, idle: Callable[[str, str], float], *, max_sessions: int) -> None:
        self.ledger = Ledger()
        self._signer = signer
        self._clock = clock
        self._idle = idle
        self._max = max_sessions
        self._sessions: dict[bytes, Session] = {}
        self._wheel: Wheel[Session] = Wheel(clock.monotonic())
        self.find: Callable[[bytes], Viewer | None] = self._sessions.get
        """The open session of that id, for whatever stream; it is the caller who compares the path."""
        self.charge: Callable[[Viewer | None, int, bool], None] = self.ledger.charge

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def open(self, app: str, name: str, ip: str, agent: str) -> Session | Denial:
        """A new session for a viewer of `/{app}/{name}`, or why not."""
        if len(self._sessions) >= self._max:
            return FULL
        sid = self._signer.mint(f"/{app}/{name}")
        now = self._clock.monotonic()
        return self._add(Session(sid, app, name, ip, agent[:MAX_AGENT], created=self._clock.wall(), now=now))

    def admit(self, sid: str, app: str, name: str, ip: str, agent: str) -> Session | Denial:
        """The session `sid` of `/{app}/{name}`: the open one, or an adopted one; or why not."""
        key = sid.encode("latin-1", "replace")
        session = self._sessions.get(key)
        if session is not None:
            return session if session.app == app and session.name == name else NOT_OURS
        issued = self._signer.issued(key, f"/{app}/{name}")
        if issued is None:
            return NOT_OURS
        if len(self._sessions) >= self._max:
            return FULL
        return self._add(Session(key, app, name, ip, agent[:MAX_AGENT], created=issued, now=self._clock.monotonic()))

    def end(self, session: Session) -> None:
        """The session is over."""
        if self._sessions.pop(session.sid, None) is session:
            self._wheel.drop(session)
            self.ledger.close(session)

    def sweep(self) -> None:
        """Once a second: ends the sessions that nobody has asked for since their idle time."""
        now = self._clock.monotonic()
        self._wheel.turn(now, lambda session: self._look(session, now))

    def _add(self, session: Session) -> Session:
        self._sessions[session.sid] = session
        self._wheel.put(session, session.last + self._idle(session.app, session.name))
        return session

    def _look(self, session: Session, now: float) -> float | None:
        if session.held:
            session.last = now
        over = session.last + self._idle(session.app, session.name)
        if over > now:
            return over
        self.end(session)
        return None
