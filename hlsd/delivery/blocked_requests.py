"""Keeps requests waiting: queues of waiters by what they wait for, released by the stream's next version.

Law: each queue (`hlsd.delivery.wait_queue`) is judged and rendered once when its stream changes ("render first, then
wake"), then its waiters are answered in one loop that lets the event loop breathe every `BATCH` answers (`OWN`: fewer)
and begins at another place each time, so that nobody is always last. Deadlines are looked at by one sweep; the oldest
waiter of a queue stands first, so a sweep costs a look at each queue, and what has expired.

Bounds: waiters of one session, of one address, of one stream and of the node. `waiting` shows the number held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from hlsd.base.faults import Faults
from hlsd.delivery.answer import Wait
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.delivery.wait_queue import Outcome, Waiter, WaiterCount, WaitQueue
from hlsd.ports import Playable, ViewerSession
from hlsd.stats import Stats

BATCH = 500
"""Answers in one turn of the event loop: about 5 ms."""
OWN = 4
"""A waiter who asks for its own answer, over HTTP/2 or ASGI, takes as long as so many of a queue with one for all."""
LATE = 2
"""Waits that end unanswered, in one turn of the event loop: nobody who is served in between shall notice."""
_STEP = 0.618034
"""Where the next release begins, as a part of the queue further on: the golden ratio never repeats itself soon."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many may wait: 0 for no bound."""

    stream: int = 20_000
    node: int = 0
    session: int = 0
    address: int = 0


class Deferred(Protocol):
    """A connection that waits to be read."""

    def resume(self) -> None:
        """Reads what it has sent; raises nothing."""
        ...


class BlockedRequests:
    """The requests that wait on this server."""

    def __init__(self, bounds: Bounds, faults: Faults | None = None) -> None:
        self._bounds = bounds
        self.faults = faults or Faults()
        self._guard = self.faults.guard("held_requests")
        self._streams: dict[Playable, _Stream] = {}
        self._due: deque[_Release] = deque()
        self.releasing = False
        """A release takes more than one turn of the event loop, and is not over."""
        self._later: deque[Deferred] = deque()
        """Connections with a request that came while others were still being answered."""
        self._turn = 0.0
        self._drained = False
        self.waiting = 0
        """Requests held at this instant."""
        self.refused = 0
        """Requests that were not held for a bound, since the start."""

    def drain(self) -> None:
        """Ends every wait as if its time were over: with what is there. From now on nobody waits: REFUSED.

        The playlist as it stands has hls.js ask again half a target duration later; an error would be the first of the
        three in a row for which it gives up.
        """
        self._drained = True
        for stream in list(self._streams.values()):
            for queue in list(stream.queues):
                self._settle(queue, Outcome.EXPIRED)
        self._pump()

    def enter(self, queue: WaitQueue, waiter: Waiter, now: float) -> bool:
        """Puts `waiter` (its `session` and `address` are set) at the end of `queue`; False if a bound forbids it."""
        playable = queue.wait.playable
        stream = self._streams.get(playable)
        if self._drained or not self._room(stream, waiter):
            self.refused += 1
            return False
        if stream is None:
            stream = self._streams[playable] = _Stream(lambda: self._changed(playable))
            playable.watch(stream.changed)
        stream.queues[queue] = None
        stream.waiting += 1
        self.waiting += 1
        queue.waiters[waiter] = now + queue.wait.timeout
        waiter.queue = queue
        if waiter.session is not None:
            waiter.session.held += 1
        if waiter.address is not None:
            waiter.address.held += 1
        return True

    def leave(self, waiter: Waiter) -> None:
        """`waiter` waits no longer: its client has gone, or it is dealt with otherwise."""
        if waiter.queue is not None:
            self._detach(waiter.queue, (waiter,))

    def _detach(self, queue: WaitQueue, waiters: Sequence[Waiter]) -> list[float]:
        """Takes some waiters out of `queue`; gives their deadlines."""
        deadlines = []
        take = queue.waiters.pop
        for waiter in waiters:
            deadlines.append(take(waiter))
            waiter.queue = None
            if (session := waiter.session) is not None:
                session.held -= 1
            if (address := waiter.address) is not None:
                address.held -= 1
        self.waiting -= len(deadlines)
        playable = queue.wait.playable
        stream = self._streams[playable]
        stream.waiting -= len(deadlines)
        if not queue.waiters:
            del stream.queues[queue]
            stream.close(queue)
            if not stream.queues:
                del self._streams[playable]
                playable.unwatch(stream.changed)
        return deadlines

    def _wake(self, queue: WaitQueue, waiters: Sequence[Waiter], outcome: Outcome, now: float) -> None:
        """Answers some waiters of `queue`: what they have in common is done once, all the rest is paid for by each."""
        if not waiters:
            return
        outcome, answer = self._answer(queue, outcome)
        due = now + queue.wait.timeout
        queue.waited.observe_all([due - deadline for deadline in self._detach(queue, waiters)])
        rest = iter(waiters)
        while True:
            try:
                for waiter in rest:
                    waiter.wake(outcome, answer)
            except Exception as error:  # noqa: BLE001 - one who cannot be answered keeps nobody else waiting
                self.faults.output("viewer", error)
            else:
                return

    def _answer(self, queue: WaitQueue, outcome: Outcome) -> tuple[Outcome, ReadyBytes | None]:
        """What all of `queue` get, if that is one for all; REFUSED if it cannot be made: nobody waits for ever."""
        try:
            return outcome, queue.answer(outcome)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an answer, those who wait get one
            self.faults.output("viewer", error)
            return Outcome.REFUSED, None

    def sweep(self, now: float) -> None:
        """Ends the waits whose time is over; a few times a second. There is no hurry: `LATE` in a turn of the loop."""
        late = deque(queue for stream in self._streams.values() for queue in stream.queues if queue.is_late(now))
        self._end_late(late, now)

    def _end_late(self, late: deque[WaitQueue], now: float) -> None:
        left = LATE
        while late and left:
            with self._guard:
                left -= self._expire(late[0], now, left)
                if not left:
                    break
            late.popleft()  # that was all of it
        if late:
            asyncio.get_running_loop().call_soon(self._end_late, late, now)

    def _expire(self, queue: WaitQueue, now: float, most: int) -> int:
        """Wakes up to `most` waiters of `queue` whose time is over; the oldest stand first."""
        if queue.settled:
            return 0
        late: list[Waiter] = []
        for waiter, deadline in queue.waiters.items():
            if deadline > now or len(late) == most:
                break
            late.append(waiter)
        self._wake(queue, late, Outcome.EXPIRED, now)
        return len(late)

    def join(self, wait: Wait, waiter: Waiter, app: str = "", stats: Stats | None = None) -> WaitQueue | None:
        """Lets `waiter` wait beside all others who wait for the same of the stream; None if a bound forbids it.

        It asks the queue (`WaitQueue.then`) for its answer when it is woken.
        """
        stream = self._streams.get(wait.playable)
        queue = stream.open.get((wait.what, wait.timeout)) if stream is not None else None
        if queue is None:
            queue = WaitQueue(wait, app=app, stats=stats, shared=False)
        if not self.enter(queue, waiter, monotonic()):
            return None
        self._streams[wait.playable].open[wait.what, wait.timeout] = queue
        return queue

    async def wait(  # noqa: PLR0913 - who waits, for what, and where it is counted
        self,
        wait: Wait,
        gone: Callable[[], Awaitable[None]],
        session: ViewerSession | None = None,
        address: WaiterCount | None = None,
        *,
        app: str = "",
        stats: Stats | None = None,
    ) -> Outcome:
        """Waits for what `wait` names; `gone()` returns when the client has hung up. For requests that have a task."""
        loop = asyncio.get_running_loop()
        waiter = _Task(loop.create_future(), session, address)
        if self.join(wait, waiter, app, stats) is None:
            return Outcome.REFUSED
        hangup = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((waiter.woken, hangup), return_when=asyncio.FIRST_COMPLETED)
            return waiter.woken.result() if waiter.woken.done() else Outcome.GONE
        finally:
            self.leave(waiter)
            hangup.cancel()
            await asyncio.gather(hangup, return_exceptions=True)

    def read_later(self, connection: Deferred) -> None:
        """Has `connection` read when the release under way is over."""
        self._later.append(connection)

    def held(self, playable: Playable) -> int:
        """Requests that wait for news of that stream at this instant."""
        stream = self._streams.get(playable)
        return stream.waiting if stream is not None else 0

    def _room(self, stream: _Stream | None, waiter: Waiter) -> bool:
        bounds, session, address = self._bounds, waiter.session, waiter.address
        return not (
            (bounds.stream and stream is not None and stream.waiting >= bounds.stream)
            or (bounds.node and self.waiting >= bounds.node)
            or (bounds.session and session is not None and session.held >= bounds.session)
            or (bounds.address and address is not None and address.held >= bounds.address and not address.trusted)
        )

    def _changed(self, playable: Playable) -> None:
        """The stream has a new version: renders every answer that is due, then wakes."""
        stream = self._streams.get(playable)
        if stream is None:
            return
        rest = iter(list(stream.queues))
        while True:
            try:
                for queue in rest:
                    there = None if queue.settled else queue.wait.verdict()
                    if there is not None:
                        self._settle(queue, Outcome.RELEASED if there else Outcome.EXPIRED)
            except Exception as error:  # noqa: BLE001 - those who wait for something else are not to wait for this
                self.faults.output("viewer", error)
            else:
                break
        self._pump()

    def _settle(self, queue: WaitQueue, outcome: Outcome) -> None:
        if queue.settled:
            return
        queue.settled = True
        self._streams[queue.wait.playable].close(queue)
        outcome, _ = self._answer(queue, outcome)
        waiters = list(queue.waiters)
        self._turn = (self._turn + _STEP) % 1.0
        first = int(self._turn * len(waiters))
        self._due.append(_Release(queue, outcome, waiters[first:] + waiters[:first]))

    def _pump(self, *, again: bool = False) -> None:
        """Answers up to `BATCH` waiters, and comes back for the rest after the event loop has had its turn."""
        if self.releasing and not again:
            return
        was, self.releasing = self.releasing, False
        left = BATCH
        while self._due and left > 0:
            release = self._due[0]
            queue = release.queue
            cost = 1 if queue.shared else OWN
            woken = release.next(-(-left // cost))  # rounded up: one at least
            left -= len(woken) * cost
            there = [waiter for waiter in woken if waiter.queue is queue]  # the others have hung up
            self._wake(queue, there, release.outcome, monotonic())
            if release.done:
                self._due.popleft()
        if self._due:
            self.releasing = True
            asyncio.get_running_loop().call_soon(lambda: self._pump(again=True))
        elif was:
            self._read_deferred()

    def _read_deferred(self) -> None:
        """Reads what was put off, `BATCH` requests in a turn of the event loop, unless the next release has begun."""
        for _ in range(min(BATCH, len(self._later))):
            self._later.popleft().resume()
            if self.releasing:
                return
        if self._later:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.releasing:
            self._read_deferred()


class _Stream:
    """The queues of one stream."""

    __slots__ = ("changed", "open", "queues", "waiting")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.queues: dict[WaitQueue, None] = {}
        self.open: dict[Hashable, WaitQueue] = {}
        """Those of `BlockedRequests.join`, by what is waited for and how long, until they are settled."""
        self.waiting = 0

    def close(self, queue: WaitQueue) -> None:
        """Lets nobody join `queue` any more."""
        key = queue.wait.what, queue.wait.timeout
        if self.open.get(key) is queue:
            del self.open[key]


class _Release:
    """Waiters that are being answered."""

    __slots__ = ("_at", "_waiters", "outcome", "queue")

    def __init__(self, queue: WaitQueue, outcome: Outcome, waiters: list[Waiter]) -> None:
        self.queue = queue
        self.outcome = outcome
        self._waiters = waiters
        self._at = 0

    def next(self, count: int) -> list[Waiter]:
        """The next `count` of them at most."""
        at = self._at
        self._at += count
        return self._waiters[at : self._at]

    @property
    def done(self) -> bool:
        """Whether `next` has given all."""
        return self._at >= len(self._waiters)


class _Task:
    """A waiter with a coroutine behind it."""

    __slots__ = ("address", "queue", "session", "woken")

    def __init__(
        self, woken: asyncio.Future[Outcome], session: ViewerSession | None, address: WaiterCount | None
    ) -> None:
        self.woken = woken
        self.session = session
        self.address = address
        self.queue: WaitQueue | None = None

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - its coroutine asks its own
        if not self.woken.done():
            self.woken.set_result(outcome)
