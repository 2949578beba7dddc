"""Takes what has happened to shared sessions out of the store and tells it here: to handlers, ring, log and outbox.

Law: an event leaves the store when it is in the outbox, not before; so it is told once at least, by whichever process
has it in hand, also when one dies with it. Its id is the same each time (`{sid}.{life}.{kind}`), and what this process
has told already it does not tell again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import Facts
from hlsd.sessions.about import read_about
from hlsd.sessions.store import LifeEvent, SessionStore, StoreAway

TOGETHER: Final = 200
"""Events that are taken at a time."""
REMEMBERED: Final = 10_000
"""Ids of events that were told here."""
AGAIN: Final = 0.5
"""Seconds until the store is asked again that was away."""
_ACTIONS: Final = {"start": Action.POST_PLAY, "stop": Action.DONE_PLAY, "fix": Action.FIX_PLAY}
_NUMBERS: Final = {"start": 2, "stop": 3, "fix": 4}
"""Of the events of a life, as where one process has it all: prePlay is the first."""


@dataclass(frozen=True)
class Played:
    """A viewer's session as its event says it (`hlsd.subjects.Viewer`): it may be on in other processes."""

    id: str
    facts: Facts
    query: Mapping[str, str] = field(repr=False)
    send_away: Callable[[str, str], None] = field(repr=False)

    app = property(lambda self: self.facts.get("app", ""))
    name = property(lambda self: self.facts.get("name", ""))
    path = property(lambda self: self.facts.get("path", ""))
    protocol = property(lambda self: self.facts.get("protocol", ""))
    ip = property(lambda self: self.facts.get("ip", "").rpartition(":")[0].strip("[]") or self.facts.get("ip", ""))
    port = property(lambda self: _port(self.facts.get("ip", "")))
    user_agent = property(lambda self: self.facts.get("user_agent", ""))
    referer = property(lambda self: self.facts.get("referer", ""))
    user_id = property(lambda self: self.facts.get("user_id", ""))
    created_at = property(lambda self: self.facts.get("createtime", 0) / 1000)
    in_bytes = property(lambda self: self.facts.get("inbytes", 0))
    out_bytes = property(lambda self: self.facts.get("outbytes", 0))
    media_bytes = property(lambda self: self.facts.get("media_bytes", 0))
    requests = property(lambda self: self.facts.get("requests", 0))
    segments = property(lambda self: self.facts.get("segments", 0))
    reason = property(lambda self: self.facts.get("reason", ""))

    def reject(self, reason: str = "kicked") -> None:
        """Ends the session, in whichever process it is, if it is on."""
        self.send_away(self.id, reason)


class EventDrain:
    """Of one process: from `store` to `bus`; `safe()` returns when what was told is kept."""

    def __init__(
        self,
        store: SessionStore,
        bus: Bus,
        faults: Faults,
        *,
        safe: Callable[[], Awaitable[None]],
        send_away: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._bus = bus
        self._faults = faults
        self._safe = safe
        self._send_away = send_away
        self._told: OrderedDict[str, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.told = 0
        """Events that were told here."""
        self.again = 0
        """Events that came a second time."""

    def start(self) -> None:
        """Begins."""
        self._task = keep(self._run, "session_events", self._faults)

    async def stop(self) -> None:
        """Tells what is there still, and ends; what is under way then, another process tells again."""
        task, self._task = self._task, None
        if task is None:
            return
        await end(task)
        try:
            await self.turn()
        except StoreAway:
            return

    async def turn(self) -> int:
        """One batch; how many there were. Raises StoreAway."""
        events = await self._store.events(TOGETHER)
        guard = self._faults.guard("session_events")
        for event in events:
            if event.id in self._told:
                self.again += 1
                continue
            with guard:
                told, subject = self._event(event)
                self._bus.emit(told, subject)
            self.told += 1
            self._told[event.id] = None
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        if events:
            await self._safe()
            await self._store.settle(events)
        return len(events)

    async def _run(self) -> None:
        while True:
            try:
                await self.turn()
            except StoreAway:
                await asyncio.sleep(AGAIN)

    def _event(self, event: LifeEvent) -> tuple[Event, Played]:
        said = read_about(event.about)
        facts, query = said.get("facts"), said.get("query")
        told: Any = dict(facts) if isinstance(facts, dict) else {}
        out, media, came, requests, segments = event.counts
        told |= {
            "inbytes": came,
            "outbytes": out,
            "media_bytes": media,
            "requests": requests,
            "segments": segments,
            "reason": event.why,
            "endtime": 0 if event.kind == "start" else int(event.at * 1000),
        }
        if event.began:
            told["createtime"] = int(event.began * 1000)
            told["duration_ms"] = max(0, int((event.at - event.began) * 1000)) if event.kind == "stop" else 0
        if event.life > 1:
            told["resumed_from"] = life_id(event.sid, event.life - 1)
        arguments = {str(name): str(value) for name, value in query.items()} if isinstance(query, dict) else {}
        ident = life_id(event.sid, event.life)
        made = Event(_ACTIONS[event.kind], ident, _NUMBERS[event.kind], event.at, told, arguments, event.id)
        return made, Played(ident, told, arguments, self._send_away)


def life_id(sid: str, life: int) -> str:
    """As in events and the API: the first life has the id itself."""
    return sid if life <= 1 else f"{sid}.{life}"


def _port(address: str) -> int:
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() and ("]" in address or address.count(":") == 1) else 0
