"""Asks the operator's receivers whether a viewer or publisher may: the `pre…` events, while somebody waits.

Law: every URL must allow, the first denial stands. What a receiver means `hlsd.operator.answer` says; what holds while
one says nothing (not reached, too slow, 5xx, a bound that cannot be read) `hlsd.operator.silence`: known is who was
allowed, within the last hour, with everything that a receiver could decide by.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeVar

import structlog

from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.events import CONNECTS, Action, Event
from hlsd.notify.payloads import PayloadFormat, host_of
from hlsd.notify.webhook_client import WebhookClient
from hlsd.operator.answer import METHOD, Said
from hlsd.operator.client import HttpReply, NoAnswer
from hlsd.operator.memory import GrantMemory, key_of
from hlsd.operator.silence import OnError, unanswered
from hlsd.ports import Denial, Grant
from hlsd.stats import NotifyStats


class SyncWebhook:
    """Asks about the actions that are `wanted` (empty: all but of connections); `hlsd.events.Asker` is its call."""

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
        self._allowed = GrantMemory()
        self._log = structlog.get_logger()

    def wants(self, action: Action) -> bool:
        """Whether it asks about such an action."""
        return action.value in self._wanted if self._wanted else action not in CONNECTS

    async def __call__(self, event: Event) -> Denial | Grant | None:
        """What the receivers say, or what is to be done where they say nothing."""
        if not self.wants(event.action):
            return None
        body = self._form.body(event)
        if body is None:
            return None
        if self._form.lists:
            body = b"[%b]" % body
        said = await asyncio.gather(*(self._ask(url, event, body) for url in self._urls))
        who = _who(event)
        for verdict in said:
            if isinstance(verdict, Denial):
                self._allowed.forget(who)
                self._count(event, "denied")
                return verdict
        grants = [verdict for verdict in said if isinstance(verdict, Grant)]
        if len(grants) < len(said):
            self._count(event, "failed")
            return self._without_answer(event, who)
        grant = Grant(method=METHOD)
        for verdict in grants:
            grant = _both(grant, verdict)
        self._allowed.note(who, grant, self._clock.monotonic())
        self._count(event, "ok")
        return grant

    async def _ask(self, url: str, event: Event, body: bytes) -> Said:
        reply = await self._webhook_client.post(
            url, body, content_type=self._form.content_type, event_id=event.event_id, attempt=1, phase="sync"
        )
        said = reply if isinstance(reply, NoAnswer) else self._form.verdict(event, reply, self._clock.wall())
        if isinstance(said, NoAnswer):
            self._log.warning(
                "receiver not asked", url=masking.address(url), action=event.action.value, reason=said.reason
            )
        elif isinstance(said, Denial) and isinstance(reply, HttpReply):
            # Not the stream's name, which may be a key; its other lines have it where it is none.
            self._log.info(
                "receiver refuses",
                url=masking.address(url),
                action=event.action.value,
                app=event.facts.get("app", "")[:128],
                ip=host_of(event.facts),
                status=reply.status,
                answer=_shown(reply.body),
            )
        return said

    def _without_answer(self, event: Event, who: bytes) -> Denial | Grant | None:
        known = self._allowed.find(who, self._clock.monotonic())
        if known is None and self._on_error == "allow" and event.seq > 1:
            return None  # whoever is here already goes on with what was granted, which is more than we know
        return unanswered(self._on_error, known.grant if known is not None else None)

    def _count(self, event: Event, result: str) -> None:
        self._stats.events[event.action.value, result] += 1


def _shown(body: bytes) -> str:
    """The beginning of an answer, for the log."""
    text = body[:400].decode(errors="replace")
    return "".join(one if one.isprintable() else " " for one in text).strip()[:100]


def _who(event: Event) -> bytes:
    """Who asks for what: all that a receiver is told of a peer and could decide by; the port changes each time."""
    facts = event.facts
    parts = (
        event.action.value, facts.get("app", ""), facts.get("name", ""), facts.get("protocol", ""), host_of(facts),
        facts.get("user_agent", ""), facts.get("referer", ""), facts.get("user_id", ""),
    )  # fmt: skip
    return key_of(parts, event.query)


def _both(one: Grant, other: Grant) -> Grant:
    """What two receivers grant together: the narrower of each bound, the later one's words."""
    return replace(
        one,
        user_id=other.user_id or one.user_id,
        name=other.name or one.name,
        max_sessions=_least(one.max_sessions, other.max_sessions),
        unique=one.unique or other.unique,
        auth_duration=_least(one.auth_duration, other.auth_duration),
        expires=_least(one.expires, other.expires),
        ends=_least(one.ends, other.ends),
    )


_Bound = TypeVar("_Bound", int, float)


def _least(one: _Bound, other: _Bound) -> _Bound:
    """The smaller of two bounds of which 0 is none."""
    return min(one, other) if one and other else one or other
