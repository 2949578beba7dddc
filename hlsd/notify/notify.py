"""Puts the listeners of a server's events together: ring, event log, and for URLs the sync webhook, outbox and senders.

It starts before whatever emits events and stops after it, so that the last donePlay is in the outbox; what could not be
delivered by then waits on disk for the next start. Senders get a moment at the end to deliver what is queued.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.base.upkeep import end, keep
from hlsd.events import Bus, Event
from hlsd.notify.event_ring import EventRing
from hlsd.notify.eventlog import EventLog
from hlsd.notify.hook_commands import HookCommands
from hlsd.notify.outbox import Outbox
from hlsd.notify.payloads import form_of
from hlsd.notify.sender import Sender
from hlsd.notify.settings import NotifySettings
from hlsd.notify.sync_webhook import SyncWebhook
from hlsd.notify.webhook_client import WebhookClient
from hlsd.stats import NotifyStats

if TYPE_CHECKING:
    import httpx

FILE: Final = "hlsd.sqlite"
FAREWELL: Final = 2.0
"""Seconds that senders have at the end."""


class Notify:
    """What listens to a server's `bus`; `refused(action, id)` closes a client that a receiver does not want.

    `state` is the folder for the outbox, `server_id` the node's name in events, `transport` the way to the receivers
    (None: the network).
    """

    def __init__(  # noqa: PLR0913 - what a server has
        self,
        settings: NotifySettings,
        bus: Bus,
        clock: Clock,
        stats: NotifyStats,
        *,
        state: Path,
        server_id: str,
        refused: Callable[[str, str], None],
        transport: httpx.AsyncBaseTransport | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults or Faults()
        self.ring = EventRing(int(clock.wall() * 1000), size=settings.ring, server_id=server_id)
        self._settings = settings
        self._clock = clock
        self._stats = stats
        self._refused = refused
        self._state = state
        self._server_id = server_id
        self._bus = bus
        self._eventlog: EventLog | None = None
        self._outbox: Outbox | None = None
        self._webhook_client: WebhookClient | None = None
        self._senders: list[Sender] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._running = False
        self._log = structlog.get_logger()
        bus.listen(self.ring.add)
        if settings.log is not None:
            log = EventLog(settings.log, size=settings.log_size, files=settings.log_files, server_id=server_id)
            self._eventlog = log
            bus.listen(log.add)
        self._commands = [
            HookCommands(rule, stats, server_id=server_id, send_secrets=settings.send_secrets, faults=faults)
            for rule in settings.exec
        ]
        for commands in self._commands:
            bus.listen(commands.put)
        if settings.url:
            self._wire_urls(transport)

    async def start(self) -> None:
        """Begins to write and to deliver."""
        self._running = True
        if self._eventlog is not None:
            self._eventlog.start()
        for commands in self._commands:
            commands.start()
        if self._outbox is None:
            return
        self._outbox.start()
        queues = [queue_of(url) for url in self._settings.url]
        before = self._clock.wall() - self._settings.keep_for
        left = await self._outbox.ask(lambda store: store.forget_others(queues, before))
        if left:
            self._log.warning(
                "events wait for URLs that are no longer in notify.url; they are dropped when they are too old",
                events=sum(left.values()),
            )
        if self._settings.format in {"srs", "nginx-rtmp"} and not self._settings.send_secrets:
            self._log.info(
                "receivers get *** in place of tokens: one that checks them refuses everybody",
                setting="notify.send_secrets",
                format=self._settings.format,
            )
        self._tasks = [keep(sender.run, "webhooks", self._faults) for sender in self._senders]

    async def kept(self) -> None:
        """Returns when what was told before is in the outbox; at once where there is none."""
        if self._outbox is not None and self._running:
            await self._outbox.ask(lambda _store: None)

    async def stop(self) -> None:
        """Delivers what it can within a moment; the rest waits on disk."""
        if not self._running:
            return
        self._running = False
        guard = self._faults.guard("notify_stop")
        with guard:
            await self._bus.close()
        ending = [commands.stop(FAREWELL) for commands in self._commands]
        if self._outbox is not None:
            ending.append(self._say_goodbye(self._outbox))
        with guard:
            await asyncio.gather(*ending)
        for task in self._tasks:
            await end(task)
        self._tasks = []
        if self._outbox is not None:
            with guard:
                await self._outbox.stop()
        if self._webhook_client is not None:
            with guard:
                await self._webhook_client.close()
        if self._eventlog is not None:
            await asyncio.to_thread(self._eventlog.stop)

    def _wire_urls(self, transport: httpx.AsyncBaseTransport | None) -> None:
        settings, stats, clock = self._settings, self._stats, self._clock
        form = form_of(settings.format, self._server_id, send_secrets=settings.send_secrets, batch=settings.batch > 1)
        secret = settings.secret.get_secret_value().encode() if settings.secret is not None else None
        wanted = frozenset(settings.events)
        self._webhook_client = webhook_client = WebhookClient(
            clock, stats, timeout=settings.timeout, secret=secret, transport=transport
        )
        self._outbox = outbox = Outbox(
            self._state / FILE,
            tuple(queue_of(url) for url in settings.url),
            form,
            stats,
            most=settings.max_queue,
            most_bytes=settings.max_queue_bytes,
            wake=self._wake,
            wanted=lambda event: _queued(event, wanted),
            faults=self._faults,
        )
        self._senders = [
            Sender(url, queue_of(url), form, outbox, webhook_client, settings, clock, stats, self._refused)
            for url in settings.url
        ]
        self._bus.listen(outbox.put)
        self._bus.consult(
            SyncWebhook(
                tuple(settings.url), form, webhook_client, clock, stats, on_error=settings.on_error, wanted=wanted
            )
        )

    def _wake(self) -> None:
        for sender in self._senders:
            sender.wake()

    async def _say_goodbye(self, outbox: Outbox) -> None:
        await outbox.ask(lambda _store: None)  # what was put is written now, and the senders know of it
        willing = [asyncio.ensure_future(sender.emptied()) for sender in self._senders if not sender.failures]
        if willing and self._tasks:
            await asyncio.wait(willing, timeout=FAREWELL)
        for waiter in willing:
            waiter.cancel()


def queue_of(url: str) -> str:
    """The queue's name in the file: URLs may hold passwords."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _queued(event: Event, wanted: frozenset[str]) -> bool:
    action = event.action.value
    return not action.startswith("pre") and (not wanted or action in wanted)
