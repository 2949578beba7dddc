"""Carries out what the judge says for a request that has a task: lets its viewer in, or waits, until there is a reply.

For ASGI and HTTP/2. Law: nothing is decided here. What a request and its answer are counted as stands here too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from hlsd.base.clock import Clock
from hlsd.delivery import cmcd
from hlsd.delivery.answer import Answer, Enter, Fall, Reply, Wait
from hlsd.delivery.blocked_requests import BlockedRequests
from hlsd.delivery.hls_viewers import HlsViewers
from hlsd.delivery.judge import Judge
from hlsd.delivery.kinds import kind_of
from hlsd.delivery.quality import Quality
from hlsd.delivery.request import Request
from hlsd.delivery.wait_queue import Outcome, Waiter, WaiterCount, WaitQueue
from hlsd.ports import ViewerSession
from hlsd.stats import Stats


class HungUp(Exception):
    """The client has gone while it was made to wait: nobody to answer."""


class Runner:
    """Carries answers out for one server."""

    def __init__(self, judge: Judge, viewers: HlsViewers, blocked: BlockedRequests, clock: Clock, stats: Stats) -> None:
        self._judge = judge
        self._viewers = viewers
        self._blocked = blocked
        self._clock = clock
        self._stats = stats
        self.quality = Quality(stats)
        """What players report."""

    def count(self, request: Request, known: ViewerSession | None = None) -> ViewerSession | None:
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
        answer: Answer,
        gone: Callable[[], Awaitable[None]],
        address: WaiterCount | None = None,
    ) -> Reply | None:
        """The last word on `request`; None if the client hung up meanwhile (`gone()` returns when it has)."""
        session = self.count(request)

        async def wait(what: Wait) -> Outcome:
            request.waited = True
            outcome = await self._blocked.wait(what, gone, session, address, app=_app(request), stats=self._stats)
            if outcome is Outcome.GONE:
                raise HungUp
            return outcome

        try:
            while not isinstance(answer, Reply):
                if isinstance(answer, Enter):
                    answer = await self._viewers.enter(request, answer, wait)  # who counts whom it lets in
                    session = request.session
                elif isinstance(answer, Fall):
                    raise TypeError("not a stream's business any more")  # the judge never says so twice
                else:
                    outcome = await wait(answer)
                    refused = outcome is Outcome.REFUSED
                    answer = (
                        self._judge.replies.unavailable(request)
                        if refused
                        else answer.then(outcome is Outcome.RELEASED)
                    )
                    session = self.count(request, session)
        except HungUp:
            return None
        return answer

    def join(self, request: Request, wait: Wait, waiter: Waiter) -> WaitQueue | None:
        """Holds a request without a task for it (`BlockedRequests.join`); None if it may not be held."""
        waiter.session = self.count(request)
        request.waited = True
        return self._blocked.join(wait, waiter, _app(request), self._stats)

    def leave(self, waiter: Waiter) -> None:
        """Its client has gone, or its time is over otherwise."""
        self._blocked.leave(waiter)

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
