"""Is the table of lives in one process's memory: reports in, answers and events out (`hlsd.sessions.store`).

Pure: seconds of one clock are given, nothing is asked. Law: per life one start, then one stop; stop and fixes add up to
what was reported; a repeat changes nothing; no life twice. `hlsd/cluster/scripts.py` is the same for Redis, and
`tests/property/test_session_lives.py` holds both to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from hlsd.sessions.store import (
    GRACE,
    KEEP,
    MAX_TOKENS,
    NOTHING,
    REMEMBERED_LIVES,
    SILENCE,
    SLACK,
    Counts,
    LifeEvent,
    LifeReport,
    ReportAnswer,
)

FOLDED = "*"
"""The count of all tokens of a life that are no longer told apart."""


@dataclass(slots=True)
class Record:
    """What is known of one public id."""

    life: int = 0
    on: bool = False
    said: str = ""
    """About whom it is."""
    began: float = 0.0
    until: float = 0.0
    """On: when its lease ends. Over: when it is forgotten."""
    barred: float = 0.0
    """Until when no other life begins."""
    tokens: dict[str, int] = field(default_factory=dict)
    """The life that each token counts for."""
    counts: dict[str, Counts] = field(default_factory=dict)
    """Of the last life, by token."""
    active: dict[str, None] = field(default_factory=dict)
    """Tokens that serve it."""
    told: dict[tuple[int, str], Counts] = field(default_factory=dict)
    """What events have told of lives that are over, by life and token."""


class Lives:
    """The lives of one cluster; `tell(event)` hears what happens to them, in order. `most` records at once.

    Beyond `most`, those that ended first are forgotten; who is on never is.
    """

    def __init__(self, tell: Callable[[LifeEvent], None], most: int = 1_000_000) -> None:
        self._tell = tell
        self._most = most
        self._records: dict[str, Record] = {}
        self._ends: list[tuple[float, str]] = []
        """A heap of when to look at whom; a record that has moved on is filed again."""
        self._filed: dict[str, float] = {}
        self._heard: float | None = None
        self._spared = 0.0
        """Until when no lease ends."""
        self.on = 0
        """How many are on."""

    def __len__(self) -> int:
        return len(self._records)

    def get(self, sid: str) -> Record | None:
        """What is known of it."""
        return self._records.get(sid)

    def introduce(self, now: float, sid: str, about: str, *, anew: bool = False) -> Record:
        """A viewer is let in; what is said about one who plays stays, but for what is said `anew`."""
        record = self._record(sid)
        if about and (anew or not record.on or not record.said):
            record.said = about
        if not record.on:
            record.until = max(record.until, now + SLACK)
            self._file(sid, record)
        return record

    def report(self, now: float, report: LifeReport) -> ReportAnswer:  # noqa: C901 - the table, row by row
        """One row of the table."""
        self._hear(now)
        record, sid, token = self._record(report.sid), report.sid, report.token
        life = report.life or record.tokens.get(token, 0)  # it asked before, and the answer was lost
        if life > record.life:
            if not report.about:
                return ReportAnswer(False, record.life, again=True)
            self._believe(now, record, report, life)
        elif life and (life < record.life or not record.on):
            self._fix(now, record, report, life)
            return self._over(now, record, report)
        elif not record.on:
            if not report.active and not report.counts[0]:
                return self._over(now, record, report)
            if record.barred > now:
                record.tokens[token] = record.life
                self._fix(now, record, report, record.life)
                return self._over(now, record, report)
            self._begin(now, record, report, max(record.life, report.after) + 1)
        elif life == 0:
            self._join(record, token)
        record.counts[token] = _later(record.counts.get(token, NOTHING), report.counts)
        if report.active:
            record.active[token] = None
            record.until = max(record.until, now + report.left + SLACK)
            self._file(sid, record)
            return ReportAnswer(True, record.life)
        record.active.pop(token, None)
        if report.bar:
            record.barred = max(record.barred, now + report.bar)
        if report.whole or not record.active:
            self._stop(now, sid, record, report.why or "idle")
            return self._over(now, record, report)
        return ReportAnswer(True, record.life)

    def end(self, now: float, sid: str, why: str, bar: float) -> None:
        """The life that is on ends, whoever serves it."""
        record = self._records.get(sid)
        if record is None or not record.life:
            return  # who has not played has no account to be closed; that it is banned is the directory's to say
        record.barred = max(record.barred, now + bar)
        if record.on:
            self._stop(now, sid, record, why)

    def reap(self, now: float, most: int = 100) -> list[str]:
        """Ends leases that are over, `most` at a time, and forgets what was over long ago. Returns whose they were."""
        self._hear(now)
        lost: list[str] = []
        spared = now < self._spared
        for _ in range(most):
            if not self._ends or self._ends[0][0] > now:
                break
            at, sid = self._ends[0]
            record = self._records.get(sid)
            if record is None or self._filed.get(sid) != at:
                heapq.heappop(self._ends)
            elif record.until > now:
                heapq.heappop(self._ends)
                del self._filed[sid]
                self._file(sid, record)
            elif record.on:
                if spared:
                    break
                heapq.heappop(self._ends)
                del self._filed[sid]
                self._stop(now, sid, record, "lost")
                lost.append(sid)
            else:
                heapq.heappop(self._ends)
                self._forget(sid)
        return lost

    def _hear(self, now: float) -> None:
        """After a silence nobody is reaped for a while: it was the store that was away, or all that report were."""
        if self._heard is not None and now - self._heard > SILENCE:
            self._spared = now + GRACE
        self._heard = now

    def _record(self, sid: str) -> Record:
        record = self._records.get(sid)
        if record is None:
            if len(self._records) >= self._most:
                self._make_room()
            record = self._records[sid] = Record()
        return record

    def _make_room(self) -> None:
        for sid, record in self._records.items():  # the order of their coming, which is nearly that of their end
            if not record.on:
                self._forget(sid)
                return

    def _forget(self, sid: str) -> None:
        self._records.pop(sid, None)
        self._filed.pop(sid, None)

    def _file(self, sid: str, record: Record) -> None:
        """Has it looked at when it may be over; a later end waits for the earlier look."""
        filed = self._filed.get(sid)
        if filed is None or filed > record.until:
            self._filed[sid] = record.until
            heapq.heappush(self._ends, (record.until, sid))

    def _begin(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        for token, counts in record.counts.items():
            record.told.setdefault((record.life, token), counts)
        record.counts.clear()
        record.active.clear()
        for token in [token for token, of in record.tokens.items() if of <= life - REMEMBERED_LIVES]:
            del record.tokens[token]
        for key in [key for key in record.told if key[0] <= life - REMEMBERED_LIVES]:
            del record.told[key]
        record.life, record.on, record.began, record.until = life, True, now, now
        record.tokens[report.token] = life
        if report.about:
            record.said = report.about
        self.on += 1
        self._event(now, report.sid, record, life, "start")

    def _join(self, record: Record, token: str) -> None:
        """Another process serves the life that is on."""
        if len(record.counts) >= MAX_TOKENS:  # it goes to and fro between processes for hours
            for one in [one for one in record.counts if one not in record.active and one != FOLDED]:
                record.counts[FOLDED] = _plus(record.counts.get(FOLDED, NOTHING), record.counts.pop(one))
                record.tokens.pop(one, None)
        record.tokens[token] = record.life

    def _believe(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        """It is on in a later life than is known here: what was told of that is lost, and told again."""
        if record.on:
            self._stop(now, report.sid, record, "lost")
        self._begin(now, record, report, life)

    def _fix(self, now: float, record: Record, report: LifeReport, life: int) -> None:
        """More was sent in a life that is over than its events have told."""
        if life <= record.life - REMEMBERED_LIVES:
            return
        key = (life, report.token)
        before = record.told.get(key)
        if before is None:
            before = record.counts.get(report.token, NOTHING) if life == record.life else NOTHING
        if report.counts[0] <= before[0]:
            return
        record.told[key] = report.counts
        added = _minus(report.counts, before)
        kind = f"fix.{report.token}.{report.counts[0]}"
        self._event(now, report.sid, record, life, "fix", name=kind, counts=added)

    def _over(self, now: float, record: Record, report: LifeReport) -> ReportAnswer:
        if not record.on:
            if record.life:
                record.until = max(record.until, now + KEEP)
            self._file(report.sid, record)
        return ReportAnswer(False, record.life, barred=not record.on and record.barred > now)

    def _stop(self, now: float, sid: str, record: Record, why: str) -> None:
        record.on = False
        record.active.clear()
        record.until = now + KEEP
        self._file(sid, record)
        self.on -= 1
        total = NOTHING
        for counts in record.counts.values():
            total = _plus(total, counts)
        self._event(now, sid, record, record.life, "stop", counts=total, why=why)

    def _event(  # noqa: PLR0913, PLR0917 - what an event says
        self,
        now: float,
        sid: str,
        record: Record,
        life: int,
        kind: str,
        name: str = "",
        counts: Counts = NOTHING,
        why: str = "",
    ) -> None:
        began = record.began if life == record.life else 0.0
        event = LifeEvent(f"{sid}.{life}.{name or kind}", sid, life, kind, now, began, counts, why, record.said)
        self._tell(event)


def _later(one: Counts, other: Counts) -> Counts:
    return other if other[0] > one[0] else one


def _plus(one: Counts, other: Counts) -> Counts:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3], one[4] + other[4]


def _minus(one: Counts, other: Counts) -> Counts:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3], one[4] - other[4]
