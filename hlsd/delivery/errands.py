"""Runs what the judge wants done before it goes on: may this viewer watch, make the stream come, open a session, wait.

For the roads that have a task for each request: ASGI and HTTP/2. Law: nothing is decided here; each errand's result
goes back to the judge until it has a reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hlsd.clock import Clock
from hlsd.delivery.answer import Answer as Said
from hlsd.delivery.answer import Ask, Fall, Hold, HoldFirst, HoldMedia, Judge, Obtain, Open, Reply
from hlsd.delivery.holds import Crowd, Holds, Outcome
from hlsd.delivery.request import Request
from hlsd.ports import Directory, Session, Sessions


class Errands:
    """The errands of one server."""

    def __init__(self, judge: Judge, directory: Directory, sessions: Sessions, holds: Holds, clock: Clock) -> None:
        self._judge = judge
        self._directory = directory
        self._sessions = sessions
        self._holds = holds
        self._clock = clock

    def count(self, request: Request, known: Session | None = None) -> Session | None:
        """The request's session; it has asked once more, unless it is the one already `known`."""
        session = request.session
        if session is not None and session is not known:
            session.requests += 1
            session.last = self._clock.monotonic()
        return session

    async def reply(
        self,
        request: Request,
        answer: Said,
        gone: Callable[[], Awaitable[None]],
        crowd: Crowd | None = None,
    ) -> Reply | None:
        """The judge's last word; None if the client hung up meanwhile (`gone()` returns when it has)."""
        session = self.count(request)
        while not isinstance(answer, Reply):
            if isinstance(answer, HoldFirst | Hold | HoldMedia):
                outcome = await self._holds.wait(answer, gone, session, crowd)
                if outcome is Outcome.GONE:
                    return None
                refused = outcome is Outcome.REFUSED
                answer = self._judge.unavailable(request) if refused else answer.then(outcome is Outcome.RELEASED)
            elif isinstance(answer, Ask):
                answer = answer.then(await self._sessions.authorise(answer.play))
            elif isinstance(answer, Obtain):
                answer = answer.then(await self._directory.obtain(answer.play))
            elif isinstance(answer, Open):
                answer = answer.then(await self._sessions.open(answer.play, answer.grant))
            elif isinstance(answer, Fall):
                raise TypeError("not a stream's business any more")  # the judge never says so twice
            session = self.count(request, session)
        return answer
