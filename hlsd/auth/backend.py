"""Asks the operator's back end, remembers what it said, and knows what to do while it says nothing.

Law: identical questions share one request; a refusal is remembered for as long as the back end wants it to hold, an
admission as long as the viewer may come back. Without an answer the last decision for a known viewer stands and a new
one is refused (`stale`, Flussonic's rule), or everybody is refused or let in, as the operator says. After
`TIRED` failures in a row the back end gets `REST` seconds of peace but for one question: new viewers are told at once
instead of after a timeout each. Every table has a bound. Redirects are answers, never followed. Monotonic seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from hlsd.auth.question import BackendQuestion, Dialect, key_of, session_of, word
from hlsd.auth.verdict import Fault, Pass, passed
from hlsd.base.clock import Clock
from hlsd.base.household import household
from hlsd.operator import answer
from hlsd.operator.client import HttpReply, NoAnswer, OperatorClient
from hlsd.operator.memory import GrantMemory
from hlsd.operator.silence import SOON, OnError, unanswered
from hlsd.ports import Denial, Grant

MAX_FLIGHTS: Final = 1000
"""Questions under way at once; further ones have no answer."""
MAX_OF_ADDRESS: Final = 250
"""Of these, about one address: while the back end is slow a stranger's would leave none for the others."""
MAX_DENIED: Final = 10_000
DENIED_FOR: Final = 30.0
"""Seconds at most for which a refusal holds whose answer does not say how long."""
TIRED: Final = 5
REST: Final = 2.0


@dataclass(frozen=True, slots=True)
class CallbackEndpoint:
    """Where the back end is and how it is spoken to. Times in seconds."""

    url: str = field(repr=False)
    dialect: Dialect = "hlsd"
    secret: str = field(default="", repr=False)
    timeout: float = 3.0
    on_error: OnError = "stale"
    auth_duration: float = 180.0
    """How long an answer holds that does not say."""
    server_id: str = ""


class Backend:
    """The operator's back end, asked at one endpoint."""

    def __init__(
        self, endpoint: CallbackEndpoint, client: OperatorClient, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._endpoint = endpoint
        self._client = client
        self._clock = clock
        self._new_id = new_id
        self._known = GrantMemory()
        self._denied: OrderedDict[bytes, tuple[float, Fault]] = OrderedDict()
        self._flights: dict[bytes, asyncio.Task[Pass | Fault]] = {}
        self._askers: Counter[str] = Counter()
        """Questions under way by whom they are about."""
        self._failures = 0
        self._rest_until = 0.0
        self._log = structlog.get_logger()

    async def ask(self, asked: BackendQuestion, held: Grant | None = None) -> Pass | Fault:
        """The back end's verdict; `held` is what a viewer was let in with who is here already."""
        session = session_of(asked)
        now = self._clock.monotonic()
        known = self._known.find(key_of(asked, numbered=False), now)
        # A session that is looked at again is no new one to the back end, even if this process has forgotten the last.
        number = known.times if known is not None else int(held is not None)
        asked = replace(asked, session=session, number=number if held is not None else 0)
        last = held or (known.grant if known is not None else None)
        key = key_of(asked)
        denied = self._denied.get(key)
        if denied is not None and held is None:
            if denied[0] > now:
                return replace(denied[1], guess=False)  # the same once more is no new guess
            del self._denied[key]
        flight = self._flights.get(key)
        if flight is None:
            asker = household(asked.ip)
            if len(self._flights) >= MAX_FLIGHTS or self._askers[asker] >= MAX_OF_ADDRESS:
                return self._without(last, "too many questions under way")
            flight = asyncio.create_task(self._fly(asked, key, last), name="auth")
            self._flights[key] = flight
            self._askers[asker] += 1
            flight.add_done_callback(lambda _: self._landed(key, asker))
        return await asyncio.shield(flight)  # who hangs up must not take the answer from the others

    async def close(self) -> None:
        """Gives up what is under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: bytes, asker: str) -> None:
        self._flights.pop(key, None)
        self._askers[asker] -= 1
        if not self._askers[asker]:
            del self._askers[asker]

    async def _fly(self, asked: BackendQuestion, key: bytes, last: Grant | None) -> Pass | Fault:
        now = self._clock.monotonic()
        if self._failures >= TIRED:
            if now < self._rest_until:
                return self._without(last, "")
            self._rest_until = now + REST  # this one tries; the others wait for what it finds
        reply = await self._send(asked)
        if isinstance(reply, NoAnswer):
            return self._failed(last, reply)
        said = answer.read(reply, asked.app, self._clock.wall(), duration=self._endpoint.auth_duration)
        if isinstance(said, NoAnswer):
            return self._failed(last, said)
        self._failures = 0
        if isinstance(said, Denial):
            return self._refused(asked, reply)
        self._denied.pop(key, None)
        self._known.note(key_of(asked, numbered=False), said, self._clock.monotonic(), asked.number + 1)
        return passed(said)

    def _failed(self, last: Grant | None, silence: NoAnswer) -> Pass | Fault:
        self._failures += 1
        if self._failures == TIRED:
            self._rest_until = self._clock.monotonic() + REST
        return self._without(last, silence.reason)

    def _refused(self, asked: BackendQuestion, reply: HttpReply) -> Fault:
        """A refusal holds for a while: whoever tries and tries is not asked about each time."""
        fault = Fault(f"back end said {reply.status}")
        self._known.forget(key_of(asked, numbered=False))
        wished = answer.hold_of(reply)
        hold = min(self._endpoint.auth_duration, DENIED_FOR) if wished is None else wished
        if hold > 0:
            self._denied[key_of(replace(asked, number=0))] = (self._clock.monotonic() + hold, fault)
            while len(self._denied) > MAX_DENIED:
                self._denied.popitem(last=False)
        return fault

    def _without(self, last: Grant | None, why: str) -> Pass | Fault:
        """The verdict without an answer."""
        endpoint = self._endpoint
        if why:
            self._log.warning("auth callback unanswered", reason=why, rule=endpoint.on_error)
        verdict = unanswered(endpoint.on_error, last, soon=min(endpoint.auth_duration or SOON, SOON))
        return passed(verdict) if isinstance(verdict, Grant) else Fault("back end does not answer", guess=False)

    async def _send(self, asked: BackendQuestion) -> HttpReply | NoAnswer:
        endpoint = self._endpoint
        question = word(
            endpoint.dialect,
            endpoint.url,
            asked,
            event_id=self._new_id(),
            wall=self._clock.wall(),
            server_id=endpoint.server_id,
        )
        return await self._client.send(question, within=endpoint.timeout, secret=endpoint.secret.encode() or None)
