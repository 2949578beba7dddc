"""Opens sessions for viewers who were authorised: one for each player, whatever it asks for.

Law: a place is claimed before a session is open, and released if it comes to nothing, also when who asks has gone.
"""

from __future__ import annotations

from dataclasses import replace

from hlsd.ports import REJECTED, Denial, Grant, PlayRequest
from hlsd.sessions.directory import Lease, PlaceClaim
from hlsd.sessions.lifecycle import Lifecycle
from hlsd.sessions.refusals import BANNED, EXPIRED, FULL
from hlsd.sessions.renewal import Renewal, extended
from hlsd.sessions.session import Session
from hlsd.sessions.shared import Shared


class SessionOpening:
    """Of one server's sessions."""

    def __init__(self, shared: Shared, lifecycle: Lifecycle, renewal: Renewal) -> None:
        self._table = shared.table
        self._events = shared.events
        self._directory = shared.directory
        self._claims = shared.claims
        self._signer = shared.signer
        self._clock = shared.clock
        self._lifecycle = lifecycle
        self._renewal = renewal

    async def open(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A new session, or why not; the same one for a player that opens twice."""
        twin = self._table.twin(request, grant, self._clock.monotonic())
        if twin is not None:
            return twin
        # before anybody is asked: who is not let in anyway costs the operator no question
        seen = self.foresee(self._claims.wanted(request, grant))
        if isinstance(seen, Denial):
            return seen
        session = await self._asked(request, grant)
        if isinstance(session, Denial):
            return session
        if not self._renewal.bind(session):
            return EXPIRED
        place = session.id
        try:
            lease = await self._directory.claim(self._claims.of(session))
        except BaseException:
            self._directory.release(place)
            raise
        if isinstance(lease, Denial):
            return lease
        # others may have come meanwhile, and a handler may have thought better of it
        denial = REJECTED if session.refused else FULL if len(self._table) >= self._table.most else None
        if denial is not None:
            self._directory.release(place)
            return denial
        self._renewal.soften(session, lease)
        self._renewal.seal(session)
        self._lifecycle.let_in(session)
        self._table.opened_by(request, session)
        return session

    async def vouch(self, request: PlayRequest, grant: Grant) -> str | Denial:
        """The name of the stream that an authorised viewer may see: who may not open a session for what it is may not.

        Nobody takes a place, so nobody is refused for want of one; and nobody is asked who has no say.
        """
        seen = self._directory.foresee(self._claims.wanted(request, grant))
        if isinstance(seen, Denial) and seen.reason == BANNED.reason:
            return seen
        if not self._events.asks:
            return request.name
        session = await self._asked(request, grant)
        if isinstance(session, Denial):
            return session
        return REJECTED if session.refused else session.name

    async def replace(self, sid: str, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A session for a player that goes on asking with `sid`, which is not accepted: one for all that it asks."""
        key = (sid.encode("latin-1", "replace"), request.ip, request.user_agent)
        session = self._table.successor(key)
        if session is not None and session.app == request.app:
            asked = (session.rare.asked if session.rare is not None else "") or session.name
            if asked == (request.asked or request.name) and session.grant.identity == grant.identity:
                return session
        made = await self.open(request, grant)
        if isinstance(made, Session):
            self._table.succeed(key, made)
        return made

    def foresee(self, claim: PlaceClaim) -> Lease | Denial:
        """Whether there is room for one more, as far as it is known here."""
        seen = self._directory.foresee(claim)
        if isinstance(seen, Denial) and seen.reason == BANNED.reason:
            return seen
        ended = seen.ended if isinstance(seen, Lease) else 0
        return FULL if len(self._table) - ended >= self._table.most else seen

    async def _asked(self, request: PlayRequest, grant: Grant) -> Session | Denial:
        """A viewer about whom everybody was asked who wants to be: maybe one of another stream than was asked for."""
        session = self._lifecycle.made(self._signer.mint(request.path), request, grant)
        verdict = await self._events.ask(session)
        if verdict is None or isinstance(verdict, Denial):
            return verdict or session
        if verdict.name and verdict.name != request.name:
            request = replace(request, name=verdict.name, asked=request.asked or request.name)
            session = self._lifecycle.made(self._signer.mint(request.path), request, grant)
        session.grant = extended(grant, verdict)
        if verdict.auth_duration > 0:
            session.extra.again = True
        return session
