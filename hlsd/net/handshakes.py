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
from abc import ABC, abstractmethod
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
DOORS: Final = 0.4
"""Of that, for accepting connections of TLS and looking at their first octets."""
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
WHOLE: Final = 1.1
"""What a connection takes for each second that is measured of it: the event loop's own work is not."""


_THERE: Final = (Hello.WHOLE, Hello.SPLIT)
_SILENT, _READY, _UNDER_WAY = range(3)  # as in `Stage`: a member's `value` costs a call


class Stage(Enum):
    """How far one has come."""

    SILENT = _SILENT
    READY = _READY
    UNDER_WAY = _UNDER_WAY
    OVER = 3


class Handshake(ABC):
    """One of them; its deadline is kept by whoever has entered it."""

    __slots__ = ("group", "seen", "since", "sock", "stage")

    group: str
    """Whose it is, as bounds by address count."""
    sock: socket.socket
    stage: Stage
    """`OVER` at first."""
    since: float
    """When it began."""
    seen: bool
    """Its ClientHello was there before: False at first."""

    @abstractmethod
    def watch(self) -> None:
        """Has `Handshakes.heard` called when there is something to read, until `unwatch`."""

    @abstractmethod
    def unwatch(self) -> None:
        """Has it called no more."""

    @abstractmethod
    def begin(self) -> None:
        """Has hands shaken."""

    @abstractmethod
    def end(self) -> None:
        """Ends the connection."""


class Handshakes:
    """Those of one event loop. `most`: at a time, waiting ones included; `per_group`: of one address, 0: no bound."""

    def __init__(self, most: int = 1024, per_group: int = 128) -> None:
        self._most = most
        self._per_group = per_group
        self._crowd: Crowd[Handshake] = Crowd(len(Stage))
        self._unseen: dict[str, int] = {}
        self._all_unseen = 0
        self._pumping: asyncio.Handle | None = None
        now = monotonic()
        self._work = Allowance(IDLE_PART, SAVED, now)
        self._doors = Allowance(IDLE_PART * DOORS, SAVED, now)
        self._charged = 0.0  # of `spent`
        self._typical = 0.001
        self._begun = 0  # since the last look
        self._looked: tuple[float, float, float] | None = None
        self.spent = 0.0
        """Processor time that handshakes took, since the start: from accepting the connection to its protocol."""
        self.full = 0
        """Handshakes that came about, since the start."""
        self.resumed = 0
        """Those that went on with an earlier session."""
        self.failed = 0
        """Those that came to nothing: not TLS, nothing in common, silence, gone."""
        self.refused = 0
        """Connections that a bound ended before that."""
        self.counted = _counted(self)
        """What contexts make their connections of, so that they are counted (`SSLContext.sslobject_class`)."""

    @property
    def waiting(self) -> int:
        """How many are held back."""
        return self._crowd.counts[_SILENT] + self._crowd.counts[_READY]

    @property
    def under_way(self) -> int:
        """How many have begun."""
        return self._crowd.counts[_UNDER_WAY]

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
        if not crowd.counts[_READY] and self._afford(now) and self._may_be_unseen(one):
            self._begin(one, now)
        else:
            self._hold(one)
        return True

    def leave(self, one: Handshake, *, failed: bool = False) -> None:
        """It is over; `failed`: nothing came of it. Safe to call twice."""
        if one.stage is Stage.OVER:
            return
        self.failed += failed
        if one.stage is Stage.SILENT:
            one.unwatch()
        elif one.stage is Stage.UNDER_WAY and not one.seen:
            self._all_unseen -= 1
            left = self._unseen.pop(one.group) - 1
            if left:
                self._unseen[one.group] = left
        self._crowd.move(one, one.group, None)
        one.stage = Stage.OVER

    def took(self, seconds: float) -> None:
        """So much processor time went into them."""
        self.spent += seconds

    def accepted(self, seconds: float) -> float:
        """So much went into accepting connections; how long none may be accepted then, 0 if they may."""
        self.spent += seconds
        return 0.0 if self._doors.spend(seconds, monotonic()) else self._doors.pause()

    # -- who waits

    def _hold(self, one: Handshake) -> None:
        """Waits for its ClientHello, unread."""
        found = hello.look(one.sock)
        if found in _THERE:
            self._ready(one, found)
        else:  # also if it is gone, which is heard at once
            self._move(one, Stage.SILENT)
            one.watch()

    def heard(self, one: Handshake) -> None:
        """Something has come of one that is waited for."""
        found = hello.look(one.sock)
        if found is Hello.GONE:
            self.leave(one, failed=True)
            one.end()
        elif found in _THERE:
            one.unwatch()
            hello.reset(one.sock)
            self._ready(one, found)

    def _ready(self, one: Handshake, found: Hello) -> None:
        one.seen = found is Hello.WHOLE
        self._move(one, Stage.READY)
        self._pump_soon()

    def _make_room(self, group: str, newcomer: str, now: float) -> bool:
        """Ends the oldest of `group`; False if they are all under way and may go on."""
        crowd = self._crowd
        oldest = crowd.oldest(group, _SILENT) or crowd.oldest(group, _READY)
        if oldest is None:
            oldest = crowd.oldest(group, _UNDER_WAY)
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
        began = thread_time()
        self._pumping = None
        try:
            self._pump_some(monotonic())
        finally:
            self.spent += thread_time() - began

    def _pump_some(self, now: float) -> None:
        room = max(1, int(TURN / self._typical))
        passed = 0
        while room and passed <= UNSEEN and self._afford(now):
            one = self._crowd.next(_READY)
            if one is None:
                return
            if one.seen or self._may_be_unseen(one):
                room -= 1
                self._begin(one, now)
            else:
                passed += 1
                self._move(one, Stage.READY)  # to the end
        if not self._crowd.counts[_READY]:
            return
        loop = asyncio.get_running_loop()
        if (pause := max(self._work.pause(), UNSEEN_PAUSE if passed else 0.0)) > 0:
            self._pumping = loop.call_later(pause, self._pump)
        else:
            self._pumping = loop.call_soon(self._pump)

    def _begin(self, one: Handshake, now: float) -> None:
        if not one.seen:
            self._all_unseen += 1
            self._unseen[one.group] = self._unseen.get(one.group, 0) + 1
        one.since = now
        self._begun += 1
        self._crowd.move(one, one.group, _UNDER_WAY)
        one.stage = Stage.UNDER_WAY
        one.begin()

    def _may_be_unseen(self, one: Handshake) -> bool:
        return self._all_unseen < UNSEEN and self._unseen.get(one.group, 0) < UNSEEN // 2

    def _move(self, one: Handshake, stage: Stage) -> None:
        self._crowd.move(one, one.group, stage.value)
        one.stage = stage

    # -- the processor's time

    def _afford(self, now: float) -> bool:
        """Whether there is any left."""
        if self._looked is None:
            self._looked = (now, thread_time(), self.spent)
        elif now - self._looked[0] >= PERIOD:
            self._look(now, *self._looked)
        charge = (self.spent - self._charged) * WHOLE
        self._charged = self.spent
        return self._work.spend(charge, now)

    def _look(self, now: float, since: float, thread: float, spent: float) -> None:
        """What handshakes and all others have taken since `since` decides what handshakes may take."""
        here = thread_time()
        own = (self.spent - spent) * WHOLE
        if self._begun:
            self._typical += (own / self._begun - self._typical) * min(0.5, self._begun / 64)
        self._work.part = max(PART, IDLE_PART - YIELD * max(0.0, here - thread - own) / (now - since))
        self._doors.part = DOORS * self._work.part
        self._looked = (now, here, self.spent)
        self._begun = 0


def _counted(handshakes: Handshakes) -> type[ssl.SSLObject]:
    class Counted(ssl.SSLObject):
        """Tells of what kind its handshake was."""

        def do_handshake(self) -> None:
            """As it is; also counts it when it is done."""
            super().do_handshake()
            if self.session_reused:
                handshakes.resumed += 1
            else:
                handshakes.full += 1

    return Counted
