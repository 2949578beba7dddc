"""Fixes how long a session may last, and has viewers authorised anew while they play on.

Law: nobody who plays waits for an answer. What goes on under another grant is bound, counted and banned as that grant
says from then on.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from hlsd.events import UNANSWERED
from hlsd.ports import Denial, Grant, earlier
from hlsd.sessions.about import grant_of
from hlsd.sessions.address import is_bound
from hlsd.sessions.directory import Lease
from hlsd.sessions.gate import OpenGate
from hlsd.sessions.lifecycle import Lifecycle
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared
from hlsd.sessions.signing import Terms

RENEW = 30.0
"""Seconds from one renewal of a grant that has expired to the next, if the gate names no other time."""


class Renewal:
    """Of one server's sessions."""

    def __init__(self, shared: Shared, lifecycle: Lifecycle) -> None:
        self._table = shared.table
        self._memory = shared.memory
        self._schedule = shared.schedule
        self._events = shared.events
        self._directory = shared.directory
        self._lives = shared.lives
        self._claims = shared.claims
        self._signer = shared.signer
        self._gate = shared.gate
        self._clock = shared.clock
        self._settings = shared.settings
        self._lifecycle = lifecycle

    def bind(self, session: Session, *, again: bool = False) -> bool:
        """Fixes when its grant ends or is to be renewed (`again`: it just was); False if it has ended."""
        grant, mode = session.grant, self._settings.expire
        now = self._clock.monotonic()
        session.renew_at = now + grant.auth_duration if grant.auth_duration > 0 else inf
        if grant.expires and mode != "at_start":
            at = now + grant.expires - self._clock.wall()
            if mode == "renew":
                session.renew_at = min(session.renew_at, max(at, now + RENEW if again else at))
            else:
                session.until = min(session.until, at)
        if grant.ends:
            session.until = min(session.until, now + grant.ends - self._clock.wall())
        return session.until > now

    def soften(self, session: Session, lease: Lease) -> None:
        """A place beyond a bound is for a while."""
        at = self._clock.monotonic() + self._settings.soft_limit
        if lease.soft and at < session.until:
            session.until = at
            session.extra.until_reason = "limit"

    def seal(self, session: Session) -> None:
        """Gives a session that is bound the id that says on what terms; keeps no more of it than is asked for again."""
        grant = session.grant
        asked_again = is_bound(grant) or grant.auth_duration or grant.expires or self._events.asks
        if not asked_again or not self._memory.has_room(session):
            session.slim()
        ends = grant.ends
        if self._settings.expire != "at_start":  # what could be renewed cannot be without the credential
            ends = earlier(ends, grant.expires)
        if session.until < inf:
            ends = earlier(ends, session.until + session.epoch)
        bound = is_bound(grant)
        if bound or ends:
            terms = Terms(ends, self._signer.who(grant.user_id), grant.max_sessions, grant.unique, bound)
            session.seal(self._signer.mint(session.path, terms, like=session.sid))

    def renew(self, session: Session) -> bool:
        """Has it asked about a viewer again who must be; False if too many are being asked about."""
        nobody = isinstance(self._gate, OpenGate) and self._gate.open
        if nobody and not (session.rare is not None and session.rare.again):
            return True
        return self._events.meanwhile(self._renew(session))

    def take_over(self, session: Session, lease: Lease) -> bool:
        """A viewer is back by an id, and this is what the processes that had it know of it.

        Whoever began that life has asked everybody who has a say; a new life is asked about. False: it is over.
        """
        grant = grant_of(lease.about)
        if grant is not None:
            session.grant = grant
            if not self.bind(session):
                self._lifecycle.end(session, "expired")
                return False
        if lease.life > 1 or (lease.life and not lease.on):
            session.extra.life = lease.life
        if lease.on and lease.life > 1:
            session.extra.mark = f".{lease.life}"
        asked = grant is not None and (lease.on or not lease.life)
        if asked or not self._events.curious:
            self._lifecycle.heard(session)
        elif not self.ask(session):
            self._lifecycle.close(session, "limit")
            return False
        if lease.on and self._lives is not None:
            self._lives.begin(session)  # what is sent here counts, were it only playlists
        if grant is None and session.adopted and not self.renew(session):
            session.renew_at = self._clock.monotonic() + 1.0  # the rules may be others by now
        return True

    def renew_soon(self, session: Session) -> None:
        """As `renew`, and again in a second if that cannot be."""
        if not self.renew(session) and self._table.holds(session):
            session.renew_at = min(session.renew_at, self._clock.monotonic() + 1.0)
            self._schedule.file(session)

    def ask(self, session: Session) -> bool:
        """Has everybody asked who has a say about a viewer who is back; False if too many are being asked about."""
        return self._events.meanwhile(self._ask(session))

    async def _ask(self, session: Session) -> None:
        verdict = await self._events.ask(session)
        if session.over:
            return
        if isinstance(verdict, Denial):
            self._lifecycle.end(session, "auth_denied")
            return
        if verdict is not None:
            if verdict.auth_duration > 0:
                session.extra.again = True
            self._regrant(session, extended(session.grant, verdict))
        if not session.over:
            self._lifecycle.heard(session)

    async def _renew(self, session: Session) -> None:
        request = session.request()
        if request.asked:  # a credential is for the name that was asked for
            request = replace(request, name=request.asked)
        verdict = await self._gate.renew(request, session.grant)
        if session.over:
            return
        if isinstance(verdict, Denial):
            self._lifecycle.end(session, "expired" if verdict.reason == "expired" else "auth_denied")
            return
        if session.rare is not None and session.rare.again:
            said = await self._events.ask(session)
            if not self._table.holds(session):
                return
            if isinstance(said, Denial) and said.reason != UNANSWERED:
                self._lifecycle.end(session, "auth_denied")
                return
            verdict = extended(verdict, said if isinstance(said, Grant) else session.grant)
        self._regrant(session, verdict)

    def _regrant(self, session: Session, grant: Grant) -> None:
        """Goes on under another grant."""
        session.grant = grant
        if session.rare is None or not session.rare.pending:  # else it is claimed as who it is then
            self._directory.amend(self._claims.of(session))
        if self._directory.banned(self._claims.viewer(session)):
            self._lifecycle.end(session, "kicked")  # it turns out to be somebody who is banned
        elif not self.bind(session, again=True):
            self._lifecycle.end(session, "expired")
        else:
            self._schedule.file(session)


def extended(grant: Grant, said: Grant) -> Grant:
    """`grant` with what a sync webhook knows besides; the name is not its business any more."""
    return replace(
        grant,
        user_id=said.user_id or grant.user_id,
        max_sessions=said.max_sessions or grant.max_sessions,
        unique=said.unique or grant.unique,
        auth_duration=said.auth_duration or grant.auth_duration,
        expires=earlier(grant.expires, said.expires),
        ends=earlier(grant.ends, said.ends),
        identity=grant.identity or said.identity,
    )
