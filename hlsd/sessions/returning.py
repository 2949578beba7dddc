"""Lets viewers go on by an id that they have: of a session that is over, or of before a restart, or from elsewhere.

Law: nothing here waits. A valid id that nobody here remembers is taken over, on the terms that stand in it; one that
this process issued and does not know any more is not. Whoever must be asked is asked meanwhile: operator and directory.
"""

from __future__ import annotations

from dataclasses import replace

from hlsd.ports import Denial, Grant, PlayRequest
from hlsd.sessions.address import Move, judge_move
from hlsd.sessions.leases import Leases
from hlsd.sessions.lifecycle import BY_SERVER, Lifecycle
from hlsd.sessions.opening import SessionOpening
from hlsd.sessions.rare import Moves
from hlsd.sessions.refusals import BANNED, ELSEWHERE, EXPIRED, FULL, NOT_OURS, SPLIT
from hlsd.sessions.renewal import Renewal
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared
from hlsd.sessions.signing import Issue

ADOPTED = "adopted"
"""Method of a grant that was made of an id of before a restart, for which a credential was asked."""


class Returning:
    """Of one server's sessions."""

    def __init__(
        self, shared: Shared, lifecycle: Lifecycle, renewal: Renewal, opening: SessionOpening, leases: Leases
    ) -> None:
        self._table = shared.table
        self._memory = shared.memory
        self._schedule = shared.schedule
        self._events = shared.events
        self._directory = shared.directory
        self._lives = shared.lives
        self._stats = shared.stats
        self._claims = shared.claims
        self._signer = shared.signer
        self._clock = shared.clock
        self._settings = shared.settings
        self._stream = shared.stream
        self._lifecycle = lifecycle
        self._renewal = renewal
        self._opening = opening
        self._leases = leases
        self._began = shared.clock.wall()
        self._marks = 0

    def back(self, sid: bytes, request: PlayRequest) -> Session | Denial:
        """Who asks with an id that is not open."""
        if self._directory.banned(sid):
            return BANNED
        past = self._memory.find(sid)
        if past is not None and past.app == request.app and past.name == request.name:
            return self._resume(past, request.ip, request.user_agent)
        if self._directory.is_dead(sid):
            return NOT_OURS  # it may try to be let in anew
        issue = self._signer.read(sid, request.path)
        if issue is None or not self._adoptable(issue):
            return NOT_OURS
        return self._adopt(sid, request, issue)

    def moved(self, session: Session, ip: str) -> Denial | None:
        """A request of `session` comes from another address."""
        if not session.ip:
            session.ip = ip
            return None
        if self._directory.banned(self._claims.viewer(session, ip)):
            return BANNED
        move = judge_move(session, ip, self._clock.monotonic(), self._settings)
        if self._settings.max_per_ip and self._table.holds(session) and not session.extra.pending:
            self._directory.amend(self._claims.of(session))
        self._stats.app(session.app).ip_changes[move.value] += 1
        if move is Move.REAUTH:
            self._renewal.renew_soon(session)
        elif move is Move.SHARED:
            return SPLIT if self._settings.shared == "split" else ELSEWHERE
        elif move is not Move.ACCEPT:
            return ELSEWHERE
        return None

    def _resume(self, past: Session, ip: str, agent: str) -> Session | Denial:
        """The viewer of a session that is over is back."""
        if past.reason in BY_SERVER:
            return NOT_OURS  # its ban is over: it may try to be let in anew
        if self._clock.monotonic() - past.ended >= self._settings.resume_window:
            return NOT_OURS
        if past.reason == "stream_end" and self._stream is not None and self._stream(past.app, past.name) is None:
            return past  # there is nothing to begin again
        session = self._lifecycle.made(past.sid, replace(past.request(), port=0, user_agent=agent), past.grant)
        if past.rare is not None:
            session.extra.who = past.rare.who
            if past.rare.moves is not None:
                session.extra.moves = Moves(past.rare.moves.networks)
        session.extra.resumed_from = past.id
        session.extra.life = past.life
        session.extra.mark = self._mark()
        if ip and ip != past.ip:
            if not past.ip:
                session.ip = ip
            elif (denial := self.moved(session, ip)) is not None:
                return denial
        back = self._let_in(session)
        if isinstance(back, Session):
            self._memory.bury(past.sid)
        return back

    def _adopt(self, sid: bytes, request: PlayRequest, issue: Issue) -> Session | Denial:
        """Goes on with an id of before a restart, or of another node, on the terms that stand in it."""
        terms = issue.terms
        grant = Grant(
            method=ADOPTED if terms.bound else "none",
            max_sessions=terms.most,
            unique=terms.unique,
            ends=terms.ends,
        )
        session = self._lifecycle.made(sid, request, grant)
        session.extra.issued = float(issue.at)
        session.extra.mark = self._mark()
        session.extra.who = terms.who
        back = self._let_in(session)
        if self._lives is not None:
            return back  # its place is being claimed: then the terms are known on which it was let in
        if back is session and not session.over and not self._renewal.renew(session):
            session.renew_at = self._clock.monotonic() + 1.0  # the rules may be others by now, and other addresses bad
            self._schedule.file(session)
        return back

    def _let_in(self, session: Session) -> Session | Denial:
        """Lets in a viewer whose player asks for media with a good id: whoever must be asked is asked meanwhile."""
        claim = self._claims.of(session)
        seen = self._opening.foresee(claim)
        if isinstance(seen, Denial):
            return seen
        if not self._renewal.bind(session):
            return EXPIRED
        lease = self._directory.rejoin(claim)
        if isinstance(lease, Denial):
            return lease
        if lease is not None:
            self._renewal.soften(session, lease)
        unheard = self._events.curious
        self._lifecycle.let_in(session, unheard=unheard or self._lives is not None)
        if lease is None:
            self._leases.claim_meanwhile(session)
        if unheard and self._lives is None and not self._renewal.ask(session):
            self._lifecycle.close(session, "limit")
            return FULL
        return session

    def _mark(self) -> str:
        """What tells two lives of one id apart: never twice, not over a restart either, and not on two nodes.

        Where several processes share sessions the store numbers them.
        """
        if self._lives is not None:
            return ""
        self._marks = max(self._marks + 1, int(self._clock.wall()))
        return f".{self._marks:x}{self._signer.origin.hex()}"

    def _adoptable(self, issue: Issue) -> bool:
        """Whether an id that nobody here remembers may be of before the start, or of another node."""
        if issue.here or self._clock.wall() - issue.at > self._settings.adopt_window:
            return False  # what this process has issued and does not know, it has forgotten
        return issue.at <= self._began or self._settings.secret is not None or self._lives is not None
