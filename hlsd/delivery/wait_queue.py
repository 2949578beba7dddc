"""Is what blocked requests wait in: one queue for those who wait for the same, and get the same answer.

Law: a waiter is an entry in a queue: no task, no timer, no rendering of its own. What the waiters of a queue have in
common is made once.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from typing import Protocol

from hlsd.base.figures import Histogram
from hlsd.delivery.answer import Answer, Reply, Wait
from hlsd.delivery.http1.wire import ReadyBytes
from hlsd.ports import ViewerSession
from hlsd.stats import WAIT, Stats


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

    queue: WaitQueue | None
    """Where it waits; None once it was woken or has left."""
    session: ViewerSession | None

    @property
    def address(self) -> WaiterCount | None:
        """Those who share its client's address."""
        ...

    def wake(self, outcome: Outcome, answer: ReadyBytes | None) -> None:
        """Answers it with `answer`, if its queue has one for all; there is none to REFUSED."""
        ...


class WaitQueue:
    """Those who wait for the same thing, and get the same answer if the queue is `shared`."""

    __slots__ = ("_kind", "_readies", "_said", "_stats", "settled", "shared", "wait", "waited", "waiters")

    def __init__(
        self, wait: Wait, kind: str = "other", app: str = "", stats: Stats | None = None, *, shared: bool = True
    ) -> None:
        self.wait = wait
        self.shared = shared
        """Whether the answer is one for all; else each waiter asks for its own."""
        self.waited = stats.app(app).blocking_wait if stats is not None else Histogram(WAIT)
        """Where it is counted how long each of them waited."""
        self._kind = kind
        self._stats = stats
        self.waiters: dict[Waiter, float] = {}
        """With their deadlines, which rise: all of a queue are held equally long."""
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

    def then(self, wait: Wait, outcome: Outcome) -> Answer:
        """What a waiter that asked for `wait` gets: made once for each version of the stream and all who are alike."""
        there, version = outcome is Outcome.RELEASED, self.wait.playable.version
        alike = wait.alike
        if alike is None and not self.shared:
            return wait.then(there)
        found = self._said.get((alike, there))
        if found is None or found[0] != version:
            found = self._said[alike, there] = (version, wait.then(there))
        return found[1]

    def _ready(self, outcome: Outcome) -> ReadyBytes:
        """`then` of its own `wait` as bytes, made once."""
        reply = self.then(self.wait, outcome)
        if not isinstance(reply, Reply):
            raise TypeError("what is shared must be a reply")
        found = self._readies.get(outcome is Outcome.RELEASED)
        if found is None or found[0] is not reply:
            cell = self._stats.http.held_cell(self._kind, reply.status) if self._stats is not None else None
            found = self._readies[outcome is Outcome.RELEASED] = (reply, ReadyBytes(reply, cell))
        return found[1]
