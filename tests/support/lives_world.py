"""A cluster in miniature: simulated processes with the real reporter, one real table of lives, and time by hand.

What may befall it: processes crash or are cut off, the store is away, answers are lost, a store comes back a second
older, viewers are kicked. What must hold all the same is checked after each step, and to the byte at the end.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from hlsd.cluster import scripts
from hlsd.cluster.lives import Lives
from hlsd.sessions.reporter import LifeReporter, ReportEntry, ReportOutcome
from hlsd.sessions.store import NOTHING, RENEW, Counts, LifeEvent, LifeReport, ReportAnswer

IDLE = 10.0


class Table(Protocol):
    """A table of lives, whoever keeps it."""

    def report(self, now: float, reports: list[LifeReport]) -> list[ReportAnswer]: ...

    def reap(self, now: float) -> None: ...

    def end(self, now: float, sid: str, why: str, bar: float) -> None: ...

    def events(self) -> list[LifeEvent]:
        """Those since the last call."""
        ...

    def seen(self, sid: str, token: str) -> int:
        """Bytes of a token that it knows of."""
        ...

    def on(self) -> int: ...

    def keep(self) -> Any: ...

    def go_back(self, kept: Any) -> None: ...


class MemoryTable:
    """`hlsd.cluster.lives.Lives`."""

    def __init__(self, kind: type[Lives] = Lives) -> None:
        self.told: list[LifeEvent] = []
        self.lives = kind(self._tell)

    def _tell(self, event: LifeEvent) -> None:
        self.told.append(event)

    def report(self, now: float, reports: list[LifeReport]) -> list[ReportAnswer]:
        return [self.lives.report(now, report) for report in reports]

    def reap(self, now: float) -> None:
        self.lives.reap(now)

    def end(self, now: float, sid: str, why: str, bar: float) -> None:
        self.lives.end(now, sid, why, bar)

    def events(self) -> list[LifeEvent]:
        told, self.told = self.told, []
        self.lives._tell = self._tell
        return told

    def seen(self, sid: str, token: str) -> int:
        record = self.lives.get(sid)
        if record is None:
            return 0
        found = [counts[0] for (_, one), counts in record.told.items() if one == token]
        return max([*found, record.counts.get(token, NOTHING)[0]])

    def on(self) -> int:
        return self.lives.on

    def keep(self) -> Any:
        self.lives._tell = lambda event: None
        kept = copy.deepcopy(self.lives)
        self.lives._tell = self._tell
        return kept

    def go_back(self, kept: Any) -> None:
        self.lives = copy.deepcopy(kept)
        self.lives._tell = self._tell


class RedisTable:
    """The scripts on a real server; `client` decodes what it says, `octets` does not. `change`: what to break."""

    PREFIX = "h:{7}:"

    def __init__(self, client: Any, octets: Any, change: tuple[str, str] = ("", "")) -> None:
        self._redis = client
        self._bytes = octets
        client.flushdb()
        old, new = change

        def script(text: str) -> Any:
            return client.register_script(scripts.source(text).replace(old, new) if old else scripts.source(text))

        self._report, self._reap, self._end = (script(one) for one in (scripts.REPORT, scripts.REAP, scripts.END))
        self._leases = self.PREFIX + "leases"
        self._last = "0"

    def report(self, now: float, reports: list[LifeReport]) -> list[ReportAnswer]:
        args: list[Any] = [f"{now * 1000:.0f}"]
        for report in reports:
            args += scripts.arguments(report)
        return [scripts.answer(one) for one in self._report(keys=[self._leases], args=args)]

    def reap(self, now: float) -> None:
        self._reap(keys=[self._leases], args=[f"{now * 1000:.0f}", 100])

    def end(self, now: float, sid: str, why: str, bar: float) -> None:
        self._end(keys=[self._leases], args=[f"{now * 1000:.0f}", sid, why, int(bar * 1000)])

    def events(self) -> list[LifeEvent]:
        found = self._redis.xrange(self.PREFIX + "ev", min=f"({self._last}" if self._last != "0" else "-")
        if found:
            self._last = found[-1][0]
        return [scripts.life_event(entry, fields) for entry, fields in found]

    def seen(self, sid: str, token: str) -> int:
        record = self._redis.hgetall(f"{self.PREFIX}s:{sid}")
        found = [
            value
            for name, value in record.items()
            if name == f"b:{token}" or (name[:2] == "l:" and name.endswith(f":{token}"))
        ]
        return max((int(value.split(",")[0]) for value in found), default=0)

    def on(self) -> int:
        return int(self._redis.zcard(self._leases))

    def keep(self) -> Any:
        return {key: self._bytes.dump(key) for key in self._redis.keys("*")}

    def go_back(self, kept: Any) -> None:
        self._redis.flushdb()
        for key, value in kept.items():
            self._bytes.restore(key, 0, value)


@dataclass(eq=False)
class Viewing:
    """A session in one process."""

    sent: int
    last: float


class Knows:
    """What is to be said of them."""

    def counts(self, viewing: Viewing) -> Counts:
        return viewing.sent, viewing.sent, 0, 1, 1

    def left(self, viewing: Viewing, now: float) -> float:
        return IDLE - (now - viewing.last)

    def about(self, viewing: Viewing) -> str:
        return "{}"


class Process:
    """One that serves viewers."""

    def __init__(self, name: str, period: float) -> None:
        self.name = name
        self.period = period
        self.births = 0
        self.cut = False
        self.start()

    def start(self) -> None:
        self.births += 1
        self.cut = False
        self.reporter: LifeReporter[Viewing] = LifeReporter(f"{self.name}{self.births}.", self.period, Knows())
        self.viewings: dict[str, Viewing] = {}


class World:
    """`count` processes and a table."""

    def __init__(self, table: Table, count: int = 3, period: float = RENEW) -> None:
        self.table = table
        self.now = 10_000.0
        self.processes = [Process("abc"[n], period) for n in range(count)]
        self.away = False
        self.sent: Counter[str] = Counter()
        self.died: Counter[str] = Counter()
        self.told: dict[str, LifeEvent] = {}
        self.order: list[LifeEvent] = []
        self.faults = False
        """Somebody crashed or was cut off."""
        self.back: tuple[float, Any] | None = None
        self.unsure = 0
        """Bytes about which a store that went back may be wrong."""
        self.known = 0
        """Events that were told before the store's last second."""
        self.loose: set[str] = set()
        """Sessions of which a store that went back had told an end."""
        self.went_back = False
        self.kicked: set[str] = set()
        self.said: list[tuple[float, LifeReport]] = []
        self.kinds: Counter[str] = Counter()

    def hit(self, process: Process, sid: str, size: int, *, lose: bool = False) -> None:
        """A viewer is sent something."""
        viewing = process.viewings.get(sid)
        if viewing is None:
            viewing = process.viewings[sid] = Viewing(0, self.now)
            process.reporter.begin(self.now, sid, viewing)
        viewing.sent += size
        viewing.last = self.now
        self.sent[sid] += size
        self.talk(process, lose=lose)

    def talk(self, process: Process, *, lose: bool = False) -> None:
        """It says what is due, until nothing is."""
        reporter = process.reporter
        for _ in range(20):
            due = reporter.due(self.now, 100)
            if not due:
                return
            if process.cut or self.away:
                for entry, _ in due:
                    reporter.failed(self.now, entry)
                return
            reports = [report for _, report in due]
            answers = self.table.report(self.now, reports)
            self.said += [(self.now, report) for report in reports]
            if lose:
                for entry, _ in due:
                    reporter.failed(self.now, entry)
                lose = False
                continue
            for (entry, report), answer in zip(due, answers, strict=True):
                if report.active and report.life and not self.faults and not self.went_back:
                    assert answer.on or entry.sid in self.kicked, ("it plays and is over", report)
                if reporter.answered(self.now, entry, report, answer) is ReportOutcome.BARRED and not entry.ended:
                    self._leave(process, entry.session, "kicked")
        raise AssertionError("a process that never has done talking")

    def leave(self, process: Process, sid: str) -> None:
        """A viewer has no more to do with one process."""
        viewing = process.viewings.get(sid)
        if viewing is not None:
            self._leave(process, viewing, "closed")
            self.talk(process)

    def _leave(self, process: Process, viewing: Viewing, why: str) -> None:
        for sid in [sid for sid, one in process.viewings.items() if one is viewing]:
            del process.viewings[sid]
        process.reporter.end(self.now, viewing, why)

    def pass_time(self, seconds: int, *, lose: bool = False) -> None:
        """In steps of a second."""
        for _ in range(seconds):
            self.now += 1.0
            reachable = not self.away and any(not one.cut for one in self.processes)
            if reachable:  # whoever comes first: those who report, or who looks for leases that are over
                self.table.reap(self.now)
            for process in self.processes:
                for viewing in list(process.viewings.values()):
                    if self.now - viewing.last >= IDLE:
                        self._leave(process, viewing, "idle")
                process.reporter.linger(self.now)
                self.talk(process, lose=lose)
            if reachable:
                self.table.reap(self.now)

    def crash(self, process: Process) -> None:
        """It is gone with what it had not told, and is back without a memory."""
        self.faults = True
        for entry in self.entries(process):
            total = entry.session.sent - entry.base[0]
            self.died[entry.sid] += max(0, total - self.table.seen(entry.sid, entry.token))
        process.start()

    @staticmethod
    def entries(process: Process) -> Iterable[ReportEntry[Viewing]]:
        return [*process.reporter._entries.values(), *process.reporter._leaving]

    def kick(self, sid: str, *, heard: bool) -> None:
        """A viewer is sent away; `heard`: by all processes, else they learn of it by their next report."""
        self.kicked.add(sid)
        self.table.end(self.now, sid, "kicked", 30.0)
        for process in self.processes:
            viewing = process.viewings.get(sid)
            if heard and viewing is not None and not process.cut:
                self._leave(process, viewing, "kicked")

    def mark(self) -> None:
        """The store is as it may be after a failover within the next second."""
        self.hear()
        self.back = self.now, self.table.keep()
        self.known = len(self.order)
        self.said.clear()

    def fail_over(self) -> None:
        """What was told within the last second is lost, but for what was handed on already."""
        if self.back is None or self.now - self.back[0] > 1.0:
            return
        self.went_back = True
        self.unsure += sum(report.counts[0] for at, report in self.said if at >= self.back[0])
        self.hear()
        # a stop that was handed on stands; told again with more, it has the same id, and receivers leave it out
        self.loose |= {event.sid for event in self.order[self.known :] if event.kind != "start"}
        self.table.go_back(self.back[1])
        if isinstance(self.table, RedisTable):
            entries = self.table._redis.xrevrange(self.table.PREFIX + "ev", count=1)
            self.table._last = entries[0][0] if entries else "0"
        self.back = None

    def hear(self) -> None:
        """Events reach a receiver, who knows repeats by their ids."""
        for event in self.table.events():
            assert self.went_back or event.id not in self.told, ("told twice", event)
            if event.id not in self.told:
                self.told[event.id] = event
                self.order.append(event)
                self.kinds[event.kind] += 1

    def check(self) -> None:
        """Invariants that hold at any time."""
        self.hear()
        state: dict[tuple[str, int], str] = {}
        last: dict[str, int] = {}
        for event in self.order:
            key = event.sid, event.life
            if event.kind == "start":
                assert key not in state, ("a life begins twice", event)
                before = last.get(event.sid, 0)
                assert event.life > before, ("a life comes back", event)
                if before and not self.went_back:
                    assert state[event.sid, before] == "stop", ("a life begins in another", event)
                last[event.sid] = event.life
                state[key] = "start"
            elif event.kind == "stop":
                assert state.get(key) == "start", ("a stop of what did not begin", event)
                assert event.why != "lost" or self.faults or self.went_back, ("nobody was lost", event)
                state[key] = "stop"

    def finish(self) -> None:
        """All is well again, everybody leaves: to the byte."""
        self.away = False
        for process in self.processes:
            process.cut = False
        self.pass_time(60)
        self.check()
        assert self.table.on() == 0, "somebody is left over"
        counted: Counter[str] = Counter()
        open_lives = set()
        for event in self.order:
            if event.kind == "start":
                open_lives.add((event.sid, event.life))
            elif event.kind == "stop":
                open_lives.discard((event.sid, event.life))
            counted[event.sid] += event.counts[0]
        assert self.went_back or not open_lives, ("never stopped", open_lives)
        for sid, size in self.sent.items():
            wrong = counted[sid] - (size - self.died[sid])
            assert sid in self.loose or abs(wrong) <= self.unsure, (
                "bytes",
                sid,
                counted[sid],
                size,
                self.died[sid],
                self.order,
            )
