"""Asks the operator's receivers whether a viewer or publisher may: the `pre…` events, while somebody waits.

Law: every URL must allow, the first denial stands. A receiver that cannot be reached, is too slow or answers 5xx says
nothing; `on_error` then decides: "deny", "allow", or "stale" (who was allowed with the same arguments from the same
address within `REMEMBERED` seconds still is, others are denied: "keep last decision for a known session, deny a new
one", contract §2.3). At most `MAX_REMEMBERED` decisions are remembered, by a hash; nothing is retried but a
connection that turned out to be closed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.events import UNANSWERED, Event
from hlsd.notify.payloads import PayloadFormat, host_of
from hlsd.notify.settings import OnError
from hlsd.notify.webhook_client import Failure, WebhookClient
from hlsd.ports import Denial, Grant
from hlsd.stats import NotifyStats

REMEMBERED: Final = 3600.0
MAX_REMEMBERED: Final = 10_000
OUT_OF_ORDER: Final = Denial(403, "not allowed", "callback_failed")
UNKNOWN: Final = Denial(403, "not allowed", UNANSWERED)
"""Nobody says no either: it denies a new viewer, and ends nobody who watches."""


class SyncWebhook:
    """Asks about the actions that are `wanted` (empty: all); `hlsd.events.Asker` is its call."""

    def __init__(  # noqa: PLR0913 - what it needs to know
        self,
        urls: tuple[str, ...],
        form: PayloadFormat,
        webhook_client: WebhookClient,
        clock: Clock,
        stats: NotifyStats,
        *,
        on_error: OnError,
        wanted: frozenset[str] = frozenset(),
    ) -> None:
        self._urls = urls
        self._form = form
        self._webhook_client = webhook_client
        self._clock = clock
        self._stats = stats
        self._on_error = on_error
        self._wanted = wanted
        self._allowed: OrderedDict[bytes, tuple[float, Grant]] = OrderedDict()
        self._log = structlog.get_logger()

    async def __call__(self, event: Event) -> Denial | Grant | None:
        """What the receivers say, or what is to be done where they say nothing."""
        if self._wanted and event.action.value not in self._wanted:
            return None
        body = self._form.body(event)
        if body is None:
            return None
        if self._form.lists:
            body = b"[%b]" % body
        said = await asyncio.gather(*(self._ask(url, event, body) for url in self._urls))
        grant = Grant(method="callback")
        for verdict in said:
            if isinstance(verdict, Denial):
                self._allowed.pop(_who(event), None)
                self._count(event, "denied")
                return verdict
            if verdict is not None:
                grant = _both(grant, verdict)
        if None in said:
            return self._without_answer(event)
        self._remember(event, grant)
        self._count(event, "ok")
        return grant

    async def _ask(self, url: str, event: Event, body: bytes) -> Denial | Grant | None:
        reply = await self._webhook_client.post(
            url, body, content_type=self._form.content_type, event_id=event.event_id, attempt=1, phase="sync"
        )
        if isinstance(reply, Failure):
            self._log.warning(
                "receiver not asked", url=masking.address(url), action=event.action.value, reason=reply.reason
            )
            return None
        verdict = self._form.verdict(event, reply, self._clock.wall())
        if verdict is None:
            self._log.warning(
                "receiver not asked", url=masking.address(url), action=event.action.value, status=reply.status
            )
        return verdict

    def _without_answer(self, event: Event) -> Denial | Grant | None:
        self._count(event, "failed")
        if self._on_error == "allow":
            return None
        if self._on_error == "stale":
            at, grant = self._allowed.get(_who(event), (-REMEMBERED, None))
            if grant is not None and self._clock.monotonic() - at <= REMEMBERED:
                return grant
            return UNKNOWN
        return OUT_OF_ORDER

    def _remember(self, event: Event, grant: Grant) -> None:
        if self._on_error != "stale":
            return
        who = _who(event)
        self._allowed[who] = (self._clock.monotonic(), grant)
        self._allowed.move_to_end(who)
        if len(self._allowed) > MAX_REMEMBERED:
            self._allowed.popitem(last=False)

    def _count(self, event: Event, result: str) -> None:
        self._stats.events[event.action.value, result] += 1


def _who(event: Event) -> bytes:
    """Who asks for what, as a hash: address without its port, path and every argument."""
    known = [
        event.action.value,
        host_of(event.facts),
        str(event.facts.get("path", "")),
        *map(str, sorted(event.query.items())),
    ]
    return hashlib.sha256("\0".join(known).encode("utf-8", "replace")).digest()[:16]


def _both(one: Grant, other: Grant) -> Grant:
    """What two receivers grant together: the narrower of each bound, the later one's words."""
    return replace(
        one,
        user_id=other.user_id or one.user_id,
        name=other.name or one.name,
        max_sessions=_least(one.max_sessions, other.max_sessions),
        auth_duration=_least(one.auth_duration, other.auth_duration),
        expires=_least(one.expires, other.expires),
        ends=_least(one.ends, other.ends),
    )


_Bound = TypeVar("_Bound", int, float)


def _least(one: _Bound, other: _Bound) -> _Bound:
    """The smaller of two bounds of which 0 is none."""
    return min(one, other) if one and other else one or other
