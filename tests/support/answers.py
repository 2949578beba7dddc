"""What a request gets from the real judge and the real entrance, without an event loop: waits are the test's to end."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

from hlsd.base.clock import SystemClock
from hlsd.delivery.answer import Answer, Enter, Fall, Reply, Wait
from hlsd.delivery.hls_viewers import HlsViewers
from hlsd.delivery.judge import Judge
from hlsd.delivery.request import Request
from hlsd.delivery.settings import HttpSettings
from hlsd.delivery.wait_queue import Outcome
from hlsd.ports import Directory
from hlsd.sessions.entrance import ViewerEntrance
from hlsd.sessions.registry import Registry
from hlsd.stats import Stats

Said = Reply | Wait | Fall


class Answers:
    """The HLS side of a server over `directory` and `sessions`."""

    def __init__(self, directory: Directory, sessions: Registry, settings: HttpSettings) -> None:
        self.stats = Stats()
        self.judge = Judge(directory, sessions, settings)
        entrance = ViewerEntrance(sessions, directory, self.stats)
        self._viewers = HlsViewers(entrance, directory, self.judge.replies, settings, SystemClock())
        self._coming: dict[int, tuple[Wait, Request, Coroutine[Any, Any, Reply]]] = {}
        """Viewers at the door, by what they wait for."""

    def ask(self, request: Request) -> Said:
        """A reply, or what the request waits for."""
        return self._settle(request, self.judge.answer(request))

    def after(self, request: Request, wait: Wait, outcome: Outcome) -> Said:
        """What a request gets that waited until then."""
        if id(wait) in self._coming:
            return self._go_on(request, self._coming.pop(id(wait))[2], outcome)
        if outcome is Outcome.REFUSED:
            return self.judge.replies.unavailable(request)
        return self._settle(request, wait.then(outcome is Outcome.RELEASED))

    def _settle(self, request: Request, answer: Answer) -> Said:
        if isinstance(answer, Enter):
            return self._go_on(request, self._viewers.enter(request, answer, _wait), None)
        return answer

    def _go_on(self, request: Request, coming: Coroutine[Any, Any, Reply], outcome: Outcome | None) -> Said:
        try:
            wait: Wait = coming.send(outcome)
        except StopIteration as done:
            reply: Reply = done.value
            return reply
        self._coming[id(wait)] = wait, request, coming
        return wait

    def close(self) -> None:
        """Nobody waits any more."""
        for _, _, coming in self._coming.values():
            coming.close()
        self._coming.clear()


class _Paused:
    """Suspends a coroutine until `Answers.after` goes on with it."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Wait, Outcome, Outcome]:
        return (yield self._wait)


async def _wait(wait: Wait) -> Outcome:
    return await _Paused(wait)
