"""Knows every session of this server: opens, finds, adopts and ends them, and keeps their accounts.

Law: an id is verified once and then found in a table; a valid id of before a restart is adopted (the session begins
anew, under the old id). There are at most `max_sessions`; ending is by one sweep, never by a timer of a session.
What a viewer may is decided in `open` and `admit`: they are where authorisation, limits and events join in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hlsd.clock import Clock
from hlsd.events import Bus
from hlsd.ports import Denial, Gate, Grant, PlayRequest
from hlsd.ports import Session as Viewer
from hlsd.sessions.accounting import Ledger
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.session import Session
from hlsd.sessions.signing import Signer
from hlsd.wheel import Wheel

ADOPTED = Grant(method="adopted")
NOT_OURS = Denial(403, "session not accepted")
FULL = Denial(503, "too many viewers, ask again", "limit")


class Registry:
    """The sessions of one server (`hlsd.ports.Sessions`).

    `idle(app, name)` says after how many seconds without a request a session of that stream is over.
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        signer: Signer,
        clock: Clock,
        idle: Callable[[str, str], float],
        *,
        max_sessions: int,
        gate: Gate | None = None,
        bus: Bus | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._gate: Gate = gate or OpenGate()
        self.bus = bus or Bus()
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

    async def authorise(self, request: PlayRequest) -> Grant | Denial:
        """Whether the viewer may watch."""
        return await self._gate.play(request)

    async def open(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A new session for an authorised viewer, or why not."""
        if len(self._sessions) >= self._max:
            return FULL
        sid = self._signer.mint(request.path)
        now = self._clock.monotonic()
        return self._add(Session(sid, request, grant, created=self._clock.wall(), now=now))

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
        request = PlayRequest(app, name, "hls", ip, user_agent=agent)
        return self._add(Session(key, request, ADOPTED, created=issued, now=self._clock.monotonic()))

    def close(self, session: Viewer, reason: str) -> None:  # noqa: ARG002 - events will tell
        """The session is over."""
        mine = self._sessions.get(session.sid)
        if mine is not None and mine is session:
            del self._sessions[session.sid]
            self._wheel.drop(mine)
            self.ledger.close(mine)

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
        self.close(session, "idle")
        return None
