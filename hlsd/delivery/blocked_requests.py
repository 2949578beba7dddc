"""Keeps requests waiting: lines of waiters by what they wait for, released by the stream's next version.

Law: a waiter is an entry in a line: no task, no timer, no rendering of its own. Each line is judged and rendered once
when its stream changes ("render first, then wake"), then its waiters are answered in one loop that lets the event loop
breathe every `BATCH` answers (`OWN`: fewer) and begins at another place each time, so that nobody is always last.
Deadlines are looked at by one sweep; the oldest waiter of a line stands first, so a sweep costs a look at each line,
and what has expired.

Bounds: waiters of one session, of one address, of one stream and of the node. `waiting` shows the number held.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from hlsd.base.faults import Faults
from hlsd.base.figures import Histogram
from hlsd.delivery.answer import Answer, Reply, Wait
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.ports import Playable, Session
from hlsd.stats import WAIT, Stats

BATCH = 500
"""Answers in one turn of the event loop: about 5 ms."""
OWN = 4
"""A waiter who asks for its own answer, over HTTP/2 or ASGI, takes as long as so many of a line with one for all."""
LATE = 2
"""Waits that end unanswered, in one turn of the event loop: nobody who is served in between shall notice."""
_STEP = 0.618034
"""Where the next release begins, as a part of the line further on: the golden ratio never repeats itself soon."""


class Outcome(enum.Enum):
    """How a wait ended."""

    RELEASED = "released"
    """What was waited for is there."""
    EXPIRED = "expired"
    """The time is over, or the stream."""
    REFUSED = "refused"
    """Too many are waiting, or the server drains: not waited any longer."""
    GONE = "gone"
    """The client hung up: nobody to answer."""


class WaiterCount(Protocol):
    """Those who share an address; see `hlsd.delivery.http1.connections.ClientAddress`."""

    held: int
    """Requests of theirs that wait."""
    trusted: bool
    """A proxy of ours: bounds of one address are not for it."""


class Waiter(Protocol):
    """One held request."""

    line: WaitQueue | None
    """Where it waits; None once it was woken or has left."""
    session: Session | None
    crowd: WaiterCount | None

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:
        """Answers it with `answer`, if its line has one for all; there is none to REFUSED."""
        ...


class WaitQueue:
    """Those who wait for the same thing, and get the same answer if the line is `shared`."""

    __slots__ = ("_kind", "_readies", "_said", "_stats", "held", "settled", "shared", "waited", "waiters")

    def __init__(
        self, held: Wait, kind: str = "other", app: str = "", stats: Stats | None = None, *, shared: bool = True
    ) -> None:
        self.held = held
        self.shared = shared
        """Whether the answer is one for all; else each waiter asks for its own."""
        self.waited = stats.app(app).blocking_wait if stats is not None else Histogram(WAIT)
        """Where it is counted how long each of them waited."""
        self._kind = kind
        self._stats = stats
        self.waiters: dict[Waiter, float] = {}
        """With their deadlines, which rise: all of a line are held equally long."""
        self.settled = False
        """Its answer is there; those who are still in it will be woken in a moment."""
        self._said: dict[Hashable, tuple[int, Answer]] = {}
        self._readies: dict[bool, tuple[Reply, ReadyBytes]] = {}

    def is_late(self, now: float) -> bool:
        """Whether the time of somebody in it is over: the one who came first stands first."""
        return not self.settled and next(iter(self.waiters.values()), now + 1) <= now

    def answer(self, outcome: Outcome) -> ReadyBytes | None:
        """What all its waiters get, if that is one for all."""
        return self._ready(outcome) if self.shared and outcome is not Outcome.REFUSED else None

    def then(self, held: Wait, outcome: Outcome) -> Answer:
        """What a waiter that asked for `held` gets: made once for each version of the stream and all who are alike."""
        there, version = outcome is Outcome.RELEASED, self.held.playable.version
        alike = held.alike
        if alike is None and not self.shared:
            return held.then(there)
        found = self._said.get((alike, there))
        if found is None or found[0] != version:
            found = self._said[alike, there] = (version, held.then(there))
        return found[1]

    def _ready(self, outcome: Outcome) -> ReadyBytes:
        """`then` of its own `held` as bytes, made once."""
        reply = self.then(self.held, outcome)
        if not isinstance(reply, Reply):
            raise TypeError("what is shared must be a reply")
        found = self._readies.get(outcome is Outcome.RELEASED)
        if found is None or found[0] is not reply:
            cell = self._stats.http.held_cell(self._kind, reply.status) if self._stats is not None else None
            found = self._readies[outcome is Outcome.RELEASED] = (reply, ReadyBytes(reply, cell))
        return found[1]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many may wait: 0 for no bound."""

    stream: int = 20_000
    node: int = 0
    session: int = 0
    address: int = 0


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
        self.released: Callable[[], None] = lambda: None
        """Called when it is."""
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
            for line in list(stream.lines):
                self._settle(line, Outcome.EXPIRED)
        self._pump()

    def enter(self, line: WaitQueue, waiter: Waiter, now: float) -> bool:
        """Puts `waiter` (its `session` and `crowd` are set) at the end of `line`; False if a bound forbids it."""
        playable = line.held.playable
        stream = self._streams.get(playable)
        if self._drained or not self._room(stream, waiter):
            self.refused += 1
            return False
        if stream is None:
            stream = self._streams[playable] = _Stream(lambda: self._changed(playable))
            playable.watch(stream.changed)
        stream.lines[line] = None
        stream.waiting += 1
        self.waiting += 1
        line.waiters[waiter] = now + line.held.timeout
        waiter.line = line
        if waiter.session is not None:
            waiter.session.held += 1
        if waiter.crowd is not None:
            waiter.crowd.held += 1
        return True

    def leave(self, waiter: Waiter) -> None:
        """`waiter` waits no longer: its client has gone, or it is dealt with otherwise."""
        if waiter.line is not None:
            self._detach(waiter.line, (waiter,))

    def _detach(self, line: WaitQueue, waiters: Sequence[Waiter]) -> list[float]:
        """Takes some waiters out of `line`; gives their deadlines."""
        deadlines = []
        take = line.waiters.pop
        for waiter in waiters:
            deadlines.append(take(waiter))
            waiter.line = None
            if (session := waiter.session) is not None:
                session.held -= 1
            if (crowd := waiter.crowd) is not None:
                crowd.held -= 1
        self.waiting -= len(deadlines)
        playable = line.held.playable
        stream = self._streams[playable]
        stream.waiting -= len(deadlines)
        if not line.waiters:
            del stream.lines[line]
            stream.close(line)
            if not stream.lines:
                del self._streams[playable]
                playable.unwatch(stream.changed)
        return deadlines

    def _wake(self, line: WaitQueue, waiters: Sequence[Waiter], outcome: Outcome, now: float) -> None:
        """Answers some waiters of `line`: what they have in common is done once, all the rest is paid for by each."""
        if not waiters:
            return
        outcome, answer = self._answer(line, outcome)
        due = now + line.held.timeout
        line.waited.observe_all([due - deadline for deadline in self._detach(line, waiters)])
        rest = iter(waiters)
        while True:
            try:
                for waiter in rest:
                    waiter.wake(outcome, answer)
            except Exception as error:  # noqa: BLE001 - one who cannot be answered keeps nobody else waiting
                self.faults.output("viewer", error)
            else:
                return

    def _answer(self, line: WaitQueue, outcome: Outcome) -> tuple[Outcome, ReadyBytes | None]:
        """What all of `line` get, if that is one for all; REFUSED if it cannot be made: nobody waits for ever."""
        try:
            return outcome, line.answer(outcome)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an answer, those who wait get one
            self.faults.output("viewer", error)
            return Outcome.REFUSED, None

    def sweep(self, now: float) -> None:
        """Ends the waits whose time is over; a few times a second. There is no hurry: `LATE` in a turn of the loop."""
        late = deque(line for stream in self._streams.values() for line in stream.lines if line.is_late(now))
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

    def _expire(self, line: WaitQueue, now: float, most: int) -> int:
        """Wakes up to `most` waiters of `line` whose time is over; the oldest stand first."""
        if line.settled:
            return 0
        late: list[Waiter] = []
        for waiter, deadline in line.waiters.items():
            if deadline > now or len(late) == most:
                break
            late.append(waiter)
        self._wake(line, late, Outcome.EXPIRED, now)
        return len(late)

    def join(self, held: Wait, waiter: Waiter, app: str = "", stats: Stats | None = None) -> WaitQueue | None:
        """Lets `waiter` wait beside all others who wait for the same of the stream; None if a bound forbids it.

        It asks the line (`WaitQueue.then`) for its answer when it is woken.
        """
        stream = self._streams.get(held.playable)
        line = stream.open.get((held.what, held.timeout)) if stream is not None else None
        if line is None:
            line = WaitQueue(held, app=app, stats=stats, shared=False)
        if not self.enter(line, waiter, monotonic()):
            return None
        self._streams[held.playable].open[held.what, held.timeout] = line
        return line

    async def wait(  # noqa: PLR0913 - who waits, for what, and where it is counted
        self,
        held: Wait,
        gone: Callable[[], Awaitable[None]],
        session: Session | None = None,
        crowd: WaiterCount | None = None,
        *,
        app: str = "",
        stats: Stats | None = None,
    ) -> Outcome:
        """Waits for what `held` names; `gone()` returns when the client has hung up. For roads that have a task."""
        loop = asyncio.get_running_loop()
        waiter = _Task(loop.create_future(), session, crowd)
        if self.join(held, waiter, app, stats) is None:
            return Outcome.REFUSED
        hangup = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((waiter.woken, hangup), return_when=asyncio.FIRST_COMPLETED)
            return waiter.woken.result() if waiter.woken.done() else Outcome.GONE
        finally:
            self.leave(waiter)
            hangup.cancel()
            await asyncio.gather(hangup, return_exceptions=True)

    def held(self, playable: Playable) -> int:
        """Requests that wait for news of that stream at this instant."""
        stream = self._streams.get(playable)
        return stream.waiting if stream is not None else 0

    def _room(self, stream: _Stream | None, waiter: Waiter) -> bool:
        bounds, session, crowd = self._bounds, waiter.session, waiter.crowd
        return not (
            (bounds.stream and stream is not None and stream.waiting >= bounds.stream)
            or (bounds.node and self.waiting >= bounds.node)
            or (bounds.session and session is not None and session.held >= bounds.session)
            or (bounds.address and crowd is not None and crowd.held >= bounds.address and not crowd.trusted)
        )

    def _changed(self, playable: Playable) -> None:
        """The stream has a new version: renders every answer that is due, then wakes."""
        stream = self._streams.get(playable)
        if stream is None:
            return
        rest = iter(list(stream.lines))
        while True:
            try:
                for line in rest:
                    there = None if line.settled else line.held.verdict()
                    if there is not None:
                        self._settle(line, Outcome.RELEASED if there else Outcome.EXPIRED)
            except Exception as error:  # noqa: BLE001 - those who wait for something else are not to wait for this
                self.faults.output("viewer", error)
            else:
                break
        self._pump()

    def _settle(self, line: WaitQueue, outcome: Outcome) -> None:
        if line.settled:
            return
        line.settled = True
        self._streams[line.held.playable].close(line)
        outcome, _ = self._answer(line, outcome)
        waiters = list(line.waiters)
        self._turn = (self._turn + _STEP) % 1.0
        first = int(self._turn * len(waiters))
        self._due.append(_Release(line, outcome, waiters[first:] + waiters[:first]))

    def _pump(self, *, again: bool = False) -> None:
        """Answers up to `BATCH` waiters, and comes back for the rest after the event loop has had its turn."""
        if self.releasing and not again:
            return
        was, self.releasing = self.releasing, False
        left = BATCH
        while self._due and left > 0:
            release = self._due[0]
            line = release.line
            cost = 1 if line.shared else OWN
            woken = release.next(-(-left // cost))  # rounded up: one at least
            left -= len(woken) * cost
            there = [waiter for waiter in woken if waiter.line is line]  # the others have hung up
            self._wake(line, there, release.outcome, monotonic())
            if release.done:
                self._due.popleft()
        if self._due:
            self.releasing = True
            asyncio.get_running_loop().call_soon(lambda: self._pump(again=True))
        elif was:
            self.released()


class _Stream:
    """The lines of one stream."""

    __slots__ = ("changed", "lines", "open", "waiting")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.lines: dict[WaitQueue, None] = {}
        self.open: dict[Hashable, WaitQueue] = {}
        """Those of `BlockedRequests.join`, by what is waited for and how long, until they are settled."""
        self.waiting = 0

    def close(self, line: WaitQueue) -> None:
        """Lets nobody join `line` any more."""
        key = line.held.what, line.held.timeout
        if self.open.get(key) is line:
            del self.open[key]


class _Release:
    """Waiters that are being answered."""

    __slots__ = ("_at", "_waiters", "line", "outcome")

    def __init__(self, line: WaitQueue, outcome: Outcome, waiters: list[Waiter]) -> None:
        self.line = line
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

    __slots__ = ("crowd", "line", "session", "woken")

    def __init__(self, woken: asyncio.Future[Outcome], session: Session | None, crowd: WaiterCount | None) -> None:
        self.woken = woken
        self.session = session
        self.crowd = crowd
        self.line: WaitQueue | None = None

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:  # noqa: ARG002 - its coroutine asks its own
        if not self.woken.done():
            self.woken.set_result(outcome)
