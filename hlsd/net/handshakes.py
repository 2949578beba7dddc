"""Bounds the TLS handshakes of all ports: how many are under way, from where, and what they take of the processor.

A full handshake costs as much as a hundred answers, and whoever connects decides when. So it is the processor's time of
this thread that is measured, and shared out: a quarter of it at least, up to three quarters while nobody else needs it.
Law: as long as there are few, a handshake begins at once. Beyond that a connection waits, accepted and unread, until
its ClientHello is there (`hlsd.net.hello`), so that whoever stays silent costs nothing more; those that are ready begin
in turn of their addresses, some milliseconds of work in a turn of the event loop. Where there are too many, the address
that has the most loses its oldest. Seconds.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from enum import Enum
from time import monotonic, thread_time
from typing import Final

from hlsd.net import hello
from hlsd.net.allowance import Allowance
from hlsd.net.crowd import Crowd
from hlsd.net.hello import Hello

TURN: Final = 0.004
"""Processor time of the connections whose handshake begins in one turn of the event loop."""
PART: Final = 0.25
"""Of the processor's time, for handshakes, however busy it is with others."""
IDLE_PART: Final = 0.75
"""The same while there is nobody else; each share that others take costs handshakes `YIELD` times as much."""
YIELD: Final = 5.0
DOORS_PART: Final = 0.1
"""Of the processor's time, for accepting connections of TLS and looking at their first octets."""
SAVED: Final = 0.05
"""Processor time that may be saved up: a hundred or so begin at once after a while without."""
PERIOD: Final = 0.25
"""Seconds between two looks at what others take."""
UNSEEN: Final = 8
"""Handshakes under way that began without their ClientHello; of one address half as many. Whoever makes them wait and
then speak at once has this many in one turn."""
UNSEEN_PAUSE: Final = 0.02
"""How long others of that kind wait until it is looked again whether there is room for them."""
PATIENCE: Final = 2.0
"""Seconds that one under way is left alone, if it is not of a crowd, before it may have to make room."""
WHOLE: Final = 2.0
"""What a connection that comes and goes takes for each second that TLS takes of it: sockets, tasks and protocols cost
as much again, in pieces too small to be measured (bench/handshakes.py)."""


_THERE: Final = (Hello.WHOLE, Hello.SPLIT)


class Stage(Enum):
    """How far one has come."""

    SILENT = 0
    READY = 1
    UNDER_WAY = 2
    OVER = 3


class Handshake:
    """One of them. `begin(seconds)` has hands shaken within so many seconds, `end()` ends the connection."""

    __slots__ = ("begin", "deadline", "end", "group", "seen", "since", "sock", "stage", "timer")

    def __init__(
        self, group: str, sock: socket.socket, begin: Callable[[float], None], end: Callable[[], None], deadline: float
    ) -> None:
        self.group = group
        """Whose it is, as bounds by address count."""
        self.sock = sock
        self.begin = begin
        self.end = end
        self.deadline = deadline
        self.stage = Stage.OVER
        self.since = 0.0
        """When it began."""
        self.seen = False
        """Its ClientHello was there before."""
        self.timer: asyncio.TimerHandle | None = None


class Handshakes:
    """Those of one event loop. `most`: at a time, waiting ones included; `per_group`: of one address, 0: no bound."""

    def __init__(self, most: int = 1024, per_group: int = 128) -> None:
        self._most = most
        self._per_group = per_group
        self._crowd: Crowd[Handshake] = Crowd(len(Stage))
        self._unseen: Counter[str] = Counter()
        self._pumping: asyncio.Handle | None = None
        now = monotonic()
        self._work = Allowance(IDLE_PART, SAVED, now)
        self.doors = Allowance(DOORS_PART, SAVED, now)
        """What accepting connections may take, measured by who does it."""
        self._typical = 0.001
        self._begun = 0  # since the last look
        self._looked: tuple[float, float, float] | None = None
        self.spent = 0.0
        """Processor time that TLS took for handshakes, since the start."""
        self.full = 0
        """Handshakes that came about, since the start."""
        self.resumed = 0
        """Those that went on with an earlier session."""
        self.failed = 0
        """Those that came to nothing: not TLS, nothing in common, silence, gone."""
        self.refused = 0
        """Connections that a bound ended before that."""
        self.measured = _measured(self)
        """What contexts make their connections of, so that they are measured (`SSLContext.sslobject_class`)."""

    @property
    def waiting(self) -> int:
        """How many are held back."""
        return self._crowd.count(Stage.SILENT.value) + self._crowd.count(Stage.READY.value)

    @property
    def under_way(self) -> int:
        """How many have begun."""
        return self._crowd.count(Stage.UNDER_WAY.value)

    def enter(self, one: Handshake, *, bounded: bool = True) -> bool:
        """Has `one` begin when it is its turn; False if there is no room for it. `bounded`: by its address."""
        now = monotonic()
        crowd = self._crowd
        room = True
        if bounded and self._per_group and crowd.of(one.group) >= self._per_group:
            room = self._make_room(one.group, one.group, now)
        elif len(crowd) >= self._most:
            room = self._make_room(crowd.largest, one.group, now)
        if not room:
            self.refused += 1
            return False
        if not crowd.count(Stage.READY.value) and self._may_be_unseen(one) and self._afford(now):
            self._begin(one, now)
        else:
            self._hold(one, now)
        return True

    def leave(self, one: Handshake, *, failed: bool = False) -> None:
        """It is over; `failed`: nothing came of it. Safe to call twice."""
        if one.stage is Stage.OVER:
            return
        self.failed += failed
        if one.stage is Stage.SILENT:
            asyncio.get_running_loop().remove_reader(one.sock)
        if one.stage is Stage.UNDER_WAY and not one.seen:
            self._unseen[one.group] -= 1
            if not self._unseen[one.group]:
                del self._unseen[one.group]
        self._move(one, Stage.OVER)
        if one.timer is not None:
            one.timer.cancel()
            one.timer = None

    def took(self, seconds: float) -> None:
        """TLS has worked on one."""
        self.spent += seconds
        self._work.take(seconds * WHOLE)

    # -- who waits

    def _hold(self, one: Handshake, now: float) -> None:
        """Waits for its ClientHello, unread."""
        loop = asyncio.get_running_loop()
        one.timer = loop.call_later(max(0.0, one.deadline - now), self._fail, one)
        found = hello.look(one.sock)
        if found in _THERE:
            self._ready(one, found)
        else:  # also if it is gone, which is heard at once
            self._move(one, Stage.SILENT)
            loop.add_reader(one.sock, self._heard, one)

    def _heard(self, one: Handshake) -> None:
        found = hello.look(one.sock)
        if found is Hello.GONE:
            self._fail(one)
        elif found in _THERE:
            asyncio.get_running_loop().remove_reader(one.sock)
            hello.reset(one.sock)
            self._ready(one, found)

    def _ready(self, one: Handshake, found: Hello) -> None:
        one.seen = found is Hello.WHOLE
        self._move(one, Stage.READY)
        self._pump_soon()

    def _fail(self, one: Handshake) -> None:
        """Its time is over, or it is gone."""
        self.leave(one, failed=True)
        one.end()

    def _make_room(self, group: str, newcomer: str, now: float) -> bool:
        """Ends the oldest of `group`; False if they are all under way and may go on."""
        crowd = self._crowd
        oldest = crowd.oldest(group, Stage.SILENT.value) or crowd.oldest(group, Stage.READY.value)
        if oldest is None:
            oldest = crowd.oldest(group, Stage.UNDER_WAY.value)
            crowded = crowd.of(group) > 2 * crowd.of(newcomer) + UNSEEN
            if oldest is None or (now - oldest.since < PATIENCE and not crowded):
                return False
        self.refused += 1
        self.leave(oldest)
        oldest.end()
        return True

    # -- who begins

    def _pump_soon(self) -> None:
        if self._pumping is None:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """One turn: as many as `TURN` has room for; the others in the next one, or when there is time again."""
        self._pumping = None
        now = monotonic()
        room = max(1, int(TURN / self._typical))
        passed = 0
        while room and passed <= UNSEEN and self._afford(now):
            one = self._crowd.next(Stage.READY.value)
            if one is None:
                return
            if one.seen or self._may_be_unseen(one):
                room -= 1
                self._begin(one, now)
            else:
                passed += 1
                self._move(one, Stage.READY)  # to the end
        if not self._crowd.count(Stage.READY.value):
            return
        loop = asyncio.get_running_loop()
        if (pause := max(self._work.pause(), UNSEEN_PAUSE if passed else 0.0)) > 0:
            self._pumping = loop.call_later(pause, self._pump)
        else:
            self._pumping = loop.call_soon(self._pump)

    def _begin(self, one: Handshake, now: float) -> None:
        if one.timer is not None:
            one.timer.cancel()
            one.timer = None
        if not one.seen:
            self._unseen[one.group] += 1
        one.since = now
        self._begun += 1
        self._move(one, Stage.UNDER_WAY)
        one.begin(max(0.1, one.deadline - now))

    def _may_be_unseen(self, one: Handshake) -> bool:
        return self._unseen.total() < UNSEEN and self._unseen[one.group] < UNSEEN // 2

    def _move(self, one: Handshake, stage: Stage) -> None:
        self._crowd.move(one, one.group, None if stage is Stage.OVER else stage.value)
        one.stage = stage

    # -- the processor's time

    def _afford(self, now: float) -> bool:
        """Whether there is any left."""
        if self._looked is None:
            self._looked = (now, thread_time(), self.spent)
        elif now - self._looked[0] >= PERIOD:
            self._look(now, *self._looked)
        return self._work.left(now)

    def _look(self, now: float, since: float, thread: float, spent: float) -> None:
        """What handshakes and all others have taken since `since` decides what handshakes may take."""
        here = thread_time()
        own = (self.spent - spent) * WHOLE
        if self._begun:
            self._typical += (own / self._begun - self._typical) * min(0.5, self._begun / 64)
        self._work.part = max(PART, IDLE_PART - YIELD * max(0.0, here - thread - own) / (now - since))
        self._looked = (now, here, self.spent)
        self._begun = 0


def _measured(handshakes: Handshakes) -> type[ssl.SSLObject]:
    class Measured(ssl.SSLObject):
        """Tells what its handshake costs."""

        def do_handshake(self) -> None:
            """As it is; also counts it when it is done."""
            began = thread_time()
            try:
                super().do_handshake()
                if self.session_reused:
                    handshakes.resumed += 1
                else:
                    handshakes.full += 1
            finally:
                handshakes.took(thread_time() - began)

    return Measured
