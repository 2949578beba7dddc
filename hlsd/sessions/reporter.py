"""Keeps what one process has to say of its sessions to the store, until the store has heard it (`hlsd.sessions.store`).

Pure: it says which reports are due and is told what came of them. Law: what was counted is told once in the end, in
whichever life, whatever is repeated, lost or late; one report of a session is under way at most. A process that was
away so long that its lives may be forgotten begins new ones with what it has not told.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, Protocol, TypeVar

from hlsd.sessions.store import LATE, NOTHING, RENEW, Counts, LifeReport, ReportAnswer

LINGER: Final = RENEW
"""Seconds after its end in which a session is watched for what is still counted; then its end is said once more: a
store that has lost a second of what it was told (a failover) hears it then."""
MAX_LEAVING: Final = 100_000
"""Sessions that are over and not told; of more, the oldest are lost and counted."""


C = TypeVar("C", bound=Hashable)
C_contra = TypeVar("C_contra", contravariant=True)


class Knows(Protocol[C_contra]):
    """What is to be said of sessions."""

    def counts(self, session: C_contra, /) -> Counts:
        """Its totals; the first never falls but for what was charged and did not leave."""
        ...

    def left(self, session: C_contra, now: float, /) -> float:
        """Seconds from `now` until it is idle if nothing more is asked."""
        ...

    def about(self, session: C_contra, /) -> str:
        """What the store is to keep of it."""
        ...


class ReportOutcome(enum.Enum):
    """What an answer means for the session here."""

    ON = "on"
    FIRST = "first"
    """It is on, and its life is known from now on."""
    ANEW = "anew"
    """That life is over; it goes on in another one, and its place is to be claimed again."""
    BARRED = "barred"
    """It is to end."""
    GONE = "gone"


class ReportEntry(Generic[C]):
    """One session of this process, and how far it was told."""

    __slots__ = (
        "acked",
        "after",
        "asked",
        "bar",
        "base",
        "ended",
        "life",
        "repeated",
        "session",
        "sid",
        "token",
        "told",
        "urgent",
        "wanted",
        "whole",
        "why",
    )

    def __init__(self, sid: str, token: str, session: C, now: float, after: int) -> None:
        self.sid = sid
        self.token = token
        self.session = session
        self.life = 0
        self.after = after
        """The latest life that is known to be over."""
        self.base = NOTHING
        """Its totals where the token begins."""
        self.told = NOTHING
        """What was answered, since then."""
        self.acked = now
        self.asked = False
        """A report is under way."""
        self.wanted = False
        """The store wants to know about it."""
        self.ended = False
        self.urgent = False
        """In the queue of those that do not wait for their turn."""
        self.why = ""
        self.whole = False
        self.bar = 0.0
        self.repeated = False
        """Its end was said once more."""


class LifeReporter(Generic[C]):
    """Of one process, whose `name` no other has or had; each session is reported each `period` seconds."""

    def __init__(self, name: str, period: float, knows: Knows[C]) -> None:
        self._knows = knows
        self._name = name
        self._period = period
        self._number = 0
        self._entries: dict[C, ReportEntry[C]] = {}
        self._turns: deque[tuple[float, ReportEntry[C]]] = deque()
        """Who is due when, in that order: all wait equally long."""
        self._urgent: deque[ReportEntry[C]] = deque()
        self._leaving: dict[ReportEntry[C], float] = {}
        """Who is over here, and since when; in that order."""
        self.lost = 0
        """Sessions whose end could not be told in time."""

    def __len__(self) -> int:
        return len(self._entries) + len(self._leaving)

    @property
    def leaving(self) -> int:
        """Sessions that are over here and not told for good."""
        return len(self._leaving)

    def get(self, session: C) -> ReportEntry[C] | None:
        """How far an open session was told; None if it has not begun."""
        return self._entries.get(session)

    def begin(self, now: float, sid: str, session: C, after: int = 0) -> None:
        """A session gets its first media here; `after`: its life is later than this one."""
        if session in self._entries:
            return
        entry = self._entries[session] = ReportEntry(sid, self._token(), session, now, after)
        self._hurry(entry)

    def end(self, now: float, session: C, why: str, *, whole: bool = False, bar: float = 0.0) -> None:
        """It is over here; with `whole` everywhere, and barred for `bar` seconds."""
        entry = self._entries.pop(session, None)
        if entry is None:
            return
        entry.ended, entry.why, entry.whole, entry.bar = True, why, whole, bar
        if len(self._leaving) >= MAX_LEAVING:
            del self._leaving[next(iter(self._leaving))]
            self.lost += 1
        self._leaving[entry] = now
        self._hurry(entry)

    def due(self, now: float, most: int) -> list[tuple[ReportEntry[C], LifeReport]]:
        """What is to be said now; each must be `answered` or `failed`."""
        some: list[tuple[ReportEntry[C], LifeReport]] = []
        while self._urgent and len(some) < most:
            entry = self._urgent.popleft()
            entry.urgent = False
            if not entry.asked and (not entry.ended or entry in self._leaving):
                some.append((entry, self._report(now, entry)))
        while self._turns and self._turns[0][0] <= now and len(some) < most:
            _, entry = self._turns.popleft()
            if not entry.asked and not entry.ended:
                some.append((entry, self._report(now, entry)))
        return some

    def answered(self, now: float, entry: ReportEntry[C], report: LifeReport, answer: ReportAnswer) -> ReportOutcome:
        """The store has said what it made of a report."""
        away, entry.asked, entry.acked = now - entry.acked, False, now
        if answer.again:  # that life is not known: lost with a store's last second, or forgotten long after its end
            if away > LATE:
                entry.after = max(entry.after, entry.life)
                self._renew_token(entry)
            else:
                entry.wanted = True
            self._hurry(entry)
            return ReportOutcome.ANEW
        if answer.on:
            outcome = ReportOutcome.ON if entry.life else ReportOutcome.FIRST
            entry.life, entry.wanted = answer.life, False
        else:
            outcome = ReportOutcome.BARRED if answer.barred else ReportOutcome.ANEW
            entry.after = max(entry.after, answer.life, report.life)
        entry.told = report.counts
        if not report.active:
            return ReportOutcome.GONE  # the token stays: what is still counted is a fix to that life
        if not answer.on:
            self._renew_token(entry)
            self._hurry(entry)
        elif entry.ended:
            self._hurry(entry)
        else:
            self._turns.append((now + self._period, entry))
        return outcome

    def failed(self, now: float, entry: ReportEntry[C]) -> None:
        """Nobody knows whether it was heard: it is said again with what is counted by then."""
        entry.asked = False
        if entry.ended:
            self._hurry(entry)
        else:
            self._turns.append((now + min(self._period, 1.0), entry))

    def linger(self, now: float, most: int = 1000) -> None:
        """Looks after those that are over: what is still counted is told; who is told for good is forgotten."""
        for entry, since in list(_first(self._leaving, most)):
            if now - since < LINGER:
                break
            if entry.asked or entry.urgent:
                continue
            if entry.repeated and self._total(entry)[0] <= entry.told[0]:
                del self._leaving[entry]
            else:
                entry.repeated = True
                self._hurry(entry)

    def _hurry(self, entry: ReportEntry[C]) -> None:
        if not entry.urgent:
            entry.urgent = True
            self._urgent.append(entry)

    def _report(self, now: float, entry: ReportEntry[C]) -> LifeReport:
        entry.asked = True
        session, active = entry.session, not entry.ended
        about = self._knows.about(session) if entry.wanted or not entry.life else ""
        left = max(0.0, self._knows.left(session, now)) if active else 0.0
        counts = self._total(entry)
        return LifeReport(
            entry.sid,
            entry.token,
            entry.life,
            counts,
            left,
            active,
            entry.why,
            entry.whole,
            entry.bar,
            entry.after,
            about,
        )

    def _total(self, entry: ReportEntry[C]) -> Counts:
        """What it has counted under its token."""
        counts = _minus(self._knows.counts(entry.session), entry.base)
        return counts if counts[0] > entry.told[0] else entry.told

    def _renew_token(self, entry: ReportEntry[C]) -> None:
        entry.base = _plus(entry.base, entry.told)
        entry.told, entry.life, entry.token = NOTHING, 0, self._token()

    def _token(self) -> str:
        self._number += 1
        return f"{self._name}{self._number:x}"


def _first(table: dict[ReportEntry[C], float], most: int) -> list[tuple[ReportEntry[C], float]]:
    found: list[tuple[ReportEntry[C], float]] = []
    for item in table.items():
        if len(found) == most:
            break
        found.append(item)
    return found


def _plus(one: Counts, other: Counts) -> Counts:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3], one[4] + other[4]


def _minus(one: Counts, other: Counts) -> Counts:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3], one[4] - other[4]
