"""Answers the operator who changes something of the server itself: its configuration; and what becomes of events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from hlsd.api import models
from hlsd.api.models import NoQuery
from hlsd.api.operations import Call
from hlsd.api.problems import ApiError, Code
from hlsd.base.errors import ConfigError

if TYPE_CHECKING:
    from hlsd.api.context import ApiContext

TEST_EVERY: Final = 1.0
"""Seconds between two test events: whoever has a token is no flood for receivers."""


class UpkeepHandlers:
    """`reload` and the webhooks."""

    def __init__(self, premises: ApiContext) -> None:
        self._reread = premises.reread
        self._hooks = premises.webhooks
        self._clock = premises.clock
        self._tested = float("-inf")
        self._testing = asyncio.Lock()

    async def reload(self, call: Call, query: NoQuery) -> models.ReloadView:  # noqa: ARG002 - what every operation gets
        """Reads the configuration again."""
        if self._reread is None:
            raise ApiError(Code.NOT_RELOADED, "this server was begun by a program: that has its configuration")
        try:
            done = await self._reread()
        except ConfigError as error:
            raise ApiError(Code.NOT_RELOADED, str(error)) from None
        return models.ReloadView(changed=list(done.changed), needs_restart=list(done.restart))

    async def webhooks(self, call: Call, query: NoQuery) -> models.WebhookList:  # noqa: ARG002
        """The receivers of events."""
        found = await self._hooks.queues() if self._hooks is not None else ()
        return models.WebhookList(
            items=[
                models.WebhookView(
                    url=one.url, waiting=one.waiting, oldest=int(one.oldest * 1000), failures=one.failures
                )
                for one in found
            ]
        )

    async def test(self, call: Call, query: NoQuery) -> models.WebhookTestView:  # noqa: ARG002
        """Sends each receiver a test event."""
        if self._testing.locked() or self._clock.monotonic() - self._tested < TEST_EVERY:
            raise ApiError(Code.TOO_MANY_WAITING, "another test was a moment ago", {"retry-after": "1"})
        async with self._testing:
            self._tested = self._clock.monotonic()
            found = await self._hooks.test() if self._hooks is not None else ()
        return models.WebhookTestView(
            items=[
                models.WebhookTried(
                    url=one.url, status=one.status, reason=one.reason, duration_ms=round(one.seconds * 1000)
                )
                for one in found
            ]
        )
