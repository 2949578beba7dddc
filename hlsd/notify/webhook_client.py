"""Carries an event to a receiver: the operator's client with the headers, the signature and the figures of webhooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from hlsd.base.clock import Clock
from hlsd.operator.client import HttpQuestion, HttpReply, NoAnswer, OperatorClient
from hlsd.stats import NotifyStats

if TYPE_CHECKING:
    import httpx

Phase = Literal["sync", "queued"]


class WebhookClient:
    """The connections of one server to its receivers; `timeout` in seconds."""

    def __init__(
        self,
        clock: Clock,
        stats: NotifyStats,
        *,
        timeout: float,
        secret: bytes | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = OperatorClient(clock, transport=transport)
        self._client.http()  # loaded now, and not while the first event waits
        self._stats = stats
        self._timeout = timeout
        self._secret = secret

    async def post(  # noqa: PLR0913 - what a request has
        self, url: str, body: bytes, *, content_type: str, event_id: str, attempt: int, phase: Phase
    ) -> HttpReply | NoAnswer:
        """POSTs `body`; `attempt` counts from 1. Who is only told ("queued") has said all by its status."""
        headers = {"Content-Type": content_type, "X-Hlsd-Event-Id": event_id, "X-Hlsd-Attempt": str(attempt)}
        question = HttpQuestion("POST", url, headers, body)
        began = time.perf_counter()
        try:
            return await self._client.send(question, within=self._timeout, secret=self._secret, read=phase == "sync")
        finally:
            self._stats.duration[phase].observe(time.perf_counter() - began)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()
