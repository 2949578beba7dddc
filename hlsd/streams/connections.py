"""Tells of connections, by RTMP and of browsers that publish: `preConnect` is asked, the other two are told.

Law: `doneConnect` comes exactly once after `postConnect` and never without it, and holds all else that happens on the
connection between the two. A connection has no stream: what is published or played on it has events of its own.

Anybody can connect, without any credential. So that nobody can push the events of others out of the ring and the log
by doing so, connections beyond `RATE` are not told of, unless somebody has a say in them.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hlsd.base.token_bucket import TokenBucket
from hlsd.events import Action, Bus, Event
from hlsd.events.facts import address, connect_facts
from hlsd.ports import REJECTED, Denial, Refuse, RefuseCode
from hlsd.streams.publisher import MAX_AGENT

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.ports.connecting import Connected, ConnectRequest

RATE: Final = 50.0
"""Connections a second that are told of, if nobody has a say in them."""
BURST: Final = 500.0
"""So many at once."""


class ConnectionEntry:
    """One connection as events and handlers see it (`hlsd.subjects.Client`): `id` as in events; it has no `name`."""

    __slots__ = (
        "_close", "_seq", "app", "held", "id", "ip", "name", "on", "port", "protocol", "query", "referer", "rejected",
        "since", "user_agent", "user_id",
    )  # fmt: skip

    def __init__(self, request: ConnectRequest, since: float) -> None:
        self.id = f"c_{secrets.token_hex(8)}"
        self.app = request.app
        self.name = ""
        self.protocol = request.protocol
        self.ip = request.ip
        self.port = request.port
        self.query: Mapping[str, str] = request.query
        """The arguments it came with, secrets included."""
        self.user_agent = request.user_agent[:MAX_AGENT]
        self.referer = request.referer[:MAX_AGENT]
        self.user_id = ""
        self.since = since
        """When it came, seconds of the epoch."""
        self.on = False
        """Whether it was let in and is not over."""
        self.held = False
        """Whether the way in knows that it was: it can be closed."""
        self.rejected = False
        self._seq = 0
        self._close = request.close

    @property
    def path(self) -> str:
        """`/{app}`."""
        return f"/{self.app}"

    def reject(self, reason: str = "kicked") -> None:
        """In a `preConnect` handler: not let in. Later: ended."""
        again, self.rejected = self.rejected, True
        if self.held and not again:
            self._close(reason)

    def begins(self) -> None:
        """It is let in."""
        self.on = True

    def stays(self) -> None:
        """The way in knows that it was."""
        self.held = True

    def ends(self) -> bool:
        """It is over; whether it was let in, and had not ended before."""
        was, self.on, self.held = self.on, False, False
        return was

    def denial(self) -> Denial | None:
        """Whether a handler has rejected it before it was let in."""
        return REJECTED if self.rejected else None

    def event(self, action: Action, at: float, *, received: int = 0, reason: str = "") -> Event:
        """Its next event; `received` in bytes."""
        self._seq += 1
        facts = connect_facts(
            ip=address(self.ip, self.port),
            app=self.app,
            protocol=self.protocol,
            since=self.since,
            at=at,
            over=action is Action.DONE_CONNECT,
            received=received,
            user_agent=self.user_agent,
            referer=self.referer,
            reason=reason,
        )
        return Event(action, self.id, self._seq, at, facts, self.query)


class _Told:
    """A connection whose end is told (`hlsd.ports.connecting.Connected`)."""

    __slots__ = ("_desk", "_entry")

    def __init__(self, desk: ConnectionDesk, entry: ConnectionEntry) -> None:
        self._desk = desk
        self._entry = entry

    def done(self, reason: str, received: int = 0) -> None:
        """It is over."""
        self._desk.over(self._entry, reason, received)


class _Untold:
    """One of which nothing is told."""

    def done(self, reason: str, received: int = 0) -> None:
        """Nobody hears of it."""


_UNTOLD: Final = _Untold()


class ConnectionDesk:
    """The connections of one server (`hlsd.ports.connecting.ConnectDesk`)."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._told = TokenBucket(RATE, clock.monotonic(), BURST)

    async def connect(self, request: ConnectRequest) -> Connected | Refuse:
        """Asks and tells."""
        if not self._bus.asks(Action.PRE_CONNECT):
            if not self._told.has(1.0, self._clock.monotonic()):
                return _UNTOLD
            self._told.take()
        entry = ConnectionEntry(request, self._clock.wall())
        verdict = await self._bus.ask(entry.event(Action.PRE_CONNECT, self._clock.wall()), entry, entry.denial)
        if isinstance(verdict, Denial):
            return _refused(verdict)
        entry.begins()
        self._bus.emit(entry.event(Action.POST_CONNECT, self._clock.wall()), entry)
        if entry.rejected:  # by a handler of postConnect, when there was nothing to close yet
            self.over(entry, "kicked", 0)
            return _refused(REJECTED)
        entry.stays()
        return _Told(self, entry)

    def over(self, entry: ConnectionEntry, reason: str, received: int) -> None:
        """The connection is over; told once."""
        if entry.ends():
            event = entry.event(Action.DONE_CONNECT, self._clock.wall(), received=received, reason=reason)
            self._bus.emit(event, entry)


def _refused(denial: Denial) -> Refuse:
    return Refuse(RefuseCode.LIMIT if denial.reason == "limit" else RefuseCode.DENIED, denial.words)
