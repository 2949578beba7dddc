"""Runs what the judge wants done before it goes on: may this viewer watch, make the stream come, open a session, wait.

For the roads that have a task for each request: ASGI and HTTP/2. Law: nothing is decided here; each errand's result
goes back to the judge until it has a reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import TypeVar

from hlsd.base.clock import Clock
from hlsd.delivery import cmcd
from hlsd.delivery.answer import Answer as Said
from hlsd.delivery.answer import (
    Ask,
    Fall,
    Obtain,
    Open,
    Reply,
    Wait,
    WaitForMedia,
    WaitForNews,
    WaitForPart,
    WaitForPlaylist,
)
from hlsd.delivery.blocked_requests import BlockedRequests, Outcome, Waiter, WaiterCount, WaitQueue
from hlsd.delivery.judge import Judge
from hlsd.delivery.kinds import kind_of
from hlsd.delivery.quality import Quality
from hlsd.delivery.request import Request
from hlsd.ports import Denial, Directory, PlayRequest, Session, Sessions
from hlsd.stats import Stats

R = TypeVar("R")


class Runner:
    """The errands of one server."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom they go to
        self,
        judge: Judge,
        directory: Directory,
        sessions: Sessions,
        holds: BlockedRequests,
        clock: Clock,
        stats: Stats,
    ) -> None:
        self._judge = judge
        self._directory = directory
        self._sessions = sessions
        self._holds = holds
        self._clock = clock
        self._stats = stats
        self.quality = Quality(stats)
        """What players report."""

    def count(self, request: Request, known: Session | None = None) -> Session | None:
        """The request's session; it has asked once more, unless it is the one already `known`."""
        session = request.session
        if session is not None and session is not known:
            session.requests += 1
            session.in_bytes += request.size
            session.last = self._clock.monotonic()
        return session

    async def reply(
        self,
        request: Request,
        answer: Said,
        gone: Callable[[], Awaitable[None]],
        crowd: WaiterCount | None = None,
    ) -> Reply | None:
        """The judge's last word; None if the client hung up meanwhile (`gone()` returns when it has)."""
        session = self.count(request)
        while not isinstance(answer, Reply):
            if isinstance(answer, WaitForPlaylist | WaitForPart | WaitForMedia | WaitForNews):
                request.waited = True
                outcome = await self._holds.wait(answer, gone, session, crowd, app=_app(request), stats=self._stats)
                if outcome is Outcome.GONE:
                    return None
                refused = outcome is Outcome.REFUSED and not isinstance(answer, WaitForNews)
                answer = self._judge.unavailable(request) if refused else answer.then(outcome is Outcome.RELEASED)
            elif isinstance(answer, Ask):
                answer = answer.then(self._noted(answer.play, await self._sessions.authorise(answer.play)))
            elif isinstance(answer, Obtain):
                answer = answer.then(await self._directory.obtain(answer.play))
            elif isinstance(answer, Open):
                if answer.instead:
                    opened = await self._sessions.replace(answer.instead, answer.play, answer.grant)
                else:
                    opened = await self._sessions.open(answer.play, answer.grant)
                answer = answer.then(self._noted(answer.play, opened))
            elif isinstance(answer, Fall):
                raise TypeError("not a stream's business any more")  # the judge never says so twice
            session = self.count(request, session)
        return answer

    def join(self, request: Request, held: Wait, waiter: Waiter) -> WaitQueue | None:
        """Holds a request without a task for it (`BlockedRequests.join`); None if it may not be held."""
        waiter.session = self.count(request)
        request.waited = True
        return self._holds.join(held, waiter, _app(request), self._stats)

    def leave(self, waiter: Waiter) -> None:
        """Its client has gone, or its time is over otherwise."""
        self._holds.leave(waiter)

    def _noted(self, play: PlayRequest, said: R) -> R:
        """What a viewer was told, counted if it is no."""
        if isinstance(said, Denial):
            self._stats.app(play.app).refused[said.reason] += 1
        return said

    def hear(self, request: Request, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Counts what the player says about itself, once it is known whose request it is."""
        session = request.session
        if session is not None:
            report = cmcd.split(b"?" + request.query)[1] or cmcd.of_headers(headers)
            if report:
                self.quality.report(session.app, session.name, report, monotonic())

    def answered(self, request: Request, status: int) -> None:
        """Counts the answer, and the time it took since it was read unless it was made to wait or streams on and on."""
        http, kind = self._stats.http, kind_of(request.path)
        http.slow[kind, status] += 1
        if not request.waited and kind != "flv":
            http.duration[kind].observe(monotonic() - request.begun)


def _app(request: Request) -> str:
    return request.path[1:].partition(b"/")[0].decode("latin-1")
