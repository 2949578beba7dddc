"""Asks the operator's back end, remembers what it said, and knows what to do while it says nothing.

Law: identical questions share one request; a refusal is remembered for as long as the back end wants it to hold, an
admission as long as the viewer may come back. Without an answer the last decision for a known viewer stands and a new
one is refused (`stale`, Flussonic's rule), or everybody is refused or let in, as the operator says. After
`TIRED` failures in a row the back end gets `REST` seconds of peace but for one question: new viewers are told at once
instead of after a timeout each. Every table has a bound. Redirects are answers, never followed. Monotonic seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import httpx
import structlog

from hlsd.auth.question import METHOD, Answer, BackendQuestion, Dialect, NoAnswer, duration_of, read, session_of, word
from hlsd.auth.verdict import Fault, Pass
from hlsd.base.clock import Clock
from hlsd.base.household import household
from hlsd.net.answers import BadAnswer, bounded

OnError = Literal["deny", "allow", "stale"]

MAX_ANSWER: Final = 64 * 1024
MAX_FLIGHTS: Final = 1000
"""Questions under way at once; further ones have no answer."""
MAX_OF_ADDRESS: Final = 250
"""Of these, about one address: while the back end is slow a stranger's would leave none for the others."""
MAX_KNOWN: Final = 100_000
MAX_DENIED: Final = 10_000
KEPT: Final = 3600.0
"""Seconds an admission is remembered for the time of an outage."""
DENIED_FOR: Final = 30.0
"""Seconds at most for which a refusal holds whose answer does not say how long."""
TIRED: Final = 5
REST: Final = 2.0


@dataclass(frozen=True, slots=True)
class AskQueue:
    """Where the back end is and how it is spoken to. Times in seconds."""

    url: str
    dialect: Dialect = "hlsd"
    secret: str = ""
    timeout: float = 3.0
    on_error: OnError = "stale"
    auth_duration: float = 180.0
    """How long an answer holds that does not say."""
    server_id: str = ""

    def __repr__(self) -> str:
        return f"Line(dialect={self.dialect!r}, on_error={self.on_error!r})"


class Backend:
    """The operator's back end at the end of one line."""

    def __init__(
        self, line: AskQueue, client: Callable[[], httpx.AsyncClient], clock: Clock, new_id: Callable[[], str]
    ) -> None:  # fmt: skip
        self._line = line
        self._client = client
        self._clock = clock
        self._new_id = new_id
        self._known: OrderedDict[bytes, tuple[float, int, Pass]] = OrderedDict()
        """By all that was asked: until when it holds, how often it was asked, what was said."""
        self._denied: OrderedDict[bytes, tuple[float, Fault]] = OrderedDict()
        self._flights: dict[bytes, asyncio.Task[Pass | Fault]] = {}
        self._askers: Counter[str] = Counter()
        """Questions under way by whom they are about."""
        self._failures = 0
        self._rest_until = 0.0
        self._log = structlog.get_logger()
        self.questions = 0
        """Requests sent."""

    async def ask(self, asked: BackendQuestion, held: Pass | None = None) -> Pass | Fault:
        """The back end's verdict; `held` is what a viewer was let in with who is here already."""
        session = session_of(asked)
        now = self._clock.monotonic()
        who = _key(asked, numbered=False)
        known = self._known.get(who)
        if known is not None and known[0] <= now:
            del self._known[who]
            known = None
        # A session that is looked at again is no new one to the back end, even if this process has forgotten the last.
        number = known[1] if known is not None else int(held is not None)
        asked = replace(asked, session=session, number=number if held is not None else 0)
        key = _key(asked)
        denied = self._denied.get(key)
        if denied is not None and held is None:
            if denied[0] > now:
                return replace(denied[1], guess=False)  # the same once more is no new guess
            del self._denied[key]
        flight = self._flights.get(key)
        if flight is None:
            asker = household(asked.ip)
            if len(self._flights) >= MAX_FLIGHTS or self._askers[asker] >= MAX_OF_ADDRESS:
                return self._without(held or (known[2] if known else None), "too many questions under way")
            flight = asyncio.create_task(self._fly(asked, key, held or (known[2] if known else None)), name="auth")
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

    async def _fly(self, asked: BackendQuestion, key: bytes, last: Pass | None) -> Pass | Fault:
        now = self._clock.monotonic()
        if self._failures >= TIRED:
            if now < self._rest_until:
                return self._without(last, "")
            self._rest_until = now + REST  # this one tries; the others wait for what it finds
        try:
            answer = await self._send(asked)
            verdict = read(answer, asked.app, self._line.auth_duration, self._clock.wall())
        except (NoAnswer, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._failures += 1
            if self._failures == TIRED:
                self._rest_until = self._clock.monotonic() + REST
            # the class alone where it is not ours: a message of httpx may hold the URL with the token in it
            return self._without(last, str(error) if isinstance(error, NoAnswer | BadAnswer) else type(error).__name__)
        self._failures = 0
        self._remember(asked, key, answer, verdict)
        return verdict

    def _remember(self, asked: BackendQuestion, key: bytes, answer: Answer, verdict: Pass | Fault) -> None:
        now = self._clock.monotonic()
        if isinstance(verdict, Pass):
            self._denied.pop(key, None)
            who = _key(asked, numbered=False)
            self._known[who] = (now + KEPT, asked.number + 1, verdict)
            self._known.move_to_end(who)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
            return
        self._known.pop(_key(asked, numbered=False), None)
        said = duration_of(answer)
        hold = min(self._line.auth_duration, DENIED_FOR) if said is None else said
        if hold > 0:
            self._denied[_key(replace(asked, number=0))] = (now + hold, verdict)
            while len(self._denied) > MAX_DENIED:
                self._denied.popitem(last=False)

    def _without(self, last: Pass | None, why: str) -> Pass | Fault:
        """The verdict without an answer."""
        if why:
            self._log.warning("auth callback unanswered", reason=why, rule=self._line.on_error)
        if self._line.on_error == "stale" and last is not None:
            return last
        if self._line.on_error == "allow":
            # asked again soon, for nobody has said yes
            return last or Pass(METHOD, auth_duration=min(self._line.auth_duration, DENIED_FOR))
        return Fault("back end does not answer", guess=False)

    async def _send(self, asked: BackendQuestion) -> Answer:
        line = self._line
        post = word(
            line.dialect,
            line.url,
            asked,
            secret=line.secret,
            event_id=self._new_id(),
            wall=self._clock.wall(),
            server_id=line.server_id,
        )
        async with asyncio.timeout(line.timeout):
            for attempt in (1, 2):
                self.questions += 1
                try:
                    async with self._client().stream(
                        post.method, post.url, content=post.body, headers=dict(post.headers)
                    ) as response:  # fmt: skip
                        body = await bounded(response, MAX_ANSWER)
                        return Answer(response.status_code, response.headers, body)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # A connection kept alive may be closed by the other side just as it is used: once more, on another.
                    if attempt == 2:
                        raise
        raise NoAnswer("no answer")  # pragma: no cover - the loop returns or raises


def _key(asked: BackendQuestion, *, numbered: bool = True) -> bytes:
    """What makes two questions the same: all that the back end could decide by, and which time it is asked."""
    parts = [
        asked.action, asked.app, asked.name, asked.protocol, asked.ip, asked.token, asked.user_agent, asked.referer,
        asked.host, asked.user_id, str(asked.number) if numbered else "",
        *(part for pair in sorted(asked.query.items()) for part in pair),
    ]  # fmt: skip
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode(errors="replace")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()
