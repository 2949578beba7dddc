"""Puts the listeners of a server's events together: ring, event log, programs, and for URLs the webhooks.

It starts before whatever emits events and stops after it, so that the last donePlay is in the outbox; what could not be
delivered by then waits on disk for the next start. Senders get a moment at the end to deliver what is queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hlsd.base.clock import Clock
from hlsd.base.faults import Faults
from hlsd.events import Bus
from hlsd.notify.event_ring import EventRing
from hlsd.notify.eventlog import EventLog
from hlsd.notify.hook_commands import HookCommands
from hlsd.notify.settings import NotifySettings
from hlsd.notify.webhooks import FAREWELL, Webhooks
from hlsd.stats import NotifyStats

if TYPE_CHECKING:
    import httpx

_URLS = frozenset(
    {"url", "format", "secret", "timeout", "on_error", "events", "batch", "send_secrets", "parallel", "max_queue"}
    | {"max_queue_bytes", "backoff_first", "backoff_max", "keep_for"}
)
CHANGING = _URLS | {"exec"}
"""Keys that `change` takes."""


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
        self._stats = stats
        self._server_id = server_id
        self._bus = bus
        self._eventlog: EventLog | None = None
        self._running = False
        bus.listen(self.ring.add)
        if settings.log is not None:
            log = EventLog(settings.log, size=settings.log_size, files=settings.log_files, server_id=server_id)
            self._eventlog = log
            bus.listen(log.add)
        self._commands = self._programs(settings)
        self._leaving: set[asyncio.Task[None]] = set()
        for commands in self._commands:
            bus.listen(commands.put)
        self.webhooks = Webhooks(
            settings,
            bus,
            clock,
            stats,
            state=state,
            server_id=server_id,
            refused=refused,
            faults=self._faults,
            transport=transport,
        )
        self._read = settings.model_copy()
        """The settings that are in force: the server's own are written anew by a reload."""

    async def start(self) -> None:
        """Begins to write and to deliver."""
        self._running = True
        if self._eventlog is not None:
            self._eventlog.start()
        for commands in self._commands:
            commands.start()
        await self.webhooks.start()

    def change(self, settings: NotifySettings) -> Callable[[], None]:
        """What puts other settings in force. Programs that run already come to their end."""
        before = self._read
        urls = programs = None
        if any(getattr(before, key) != getattr(settings, key) for key in _URLS):
            urls = self.webhooks.change(settings)
        if before.exec != settings.exec or before.send_secrets != settings.send_secrets:
            programs = self._programs(settings)

        def commit() -> None:
            self._read = settings
            if urls is not None:
                urls()
            if programs is not None:
                self._replace(programs)

        return commit

    def _programs(self, settings: NotifySettings) -> list[HookCommands]:
        return [
            HookCommands(
                rule,
                self._stats,
                server_id=self._server_id,
                send_secrets=settings.send_secrets,
                faults=self._faults,
            )
            for rule in settings.exec
        ]

    def _replace(self, programs: list[HookCommands]) -> None:
        for old in self._commands:
            self._bus.leave(old.put)
            if self._running:
                task = asyncio.create_task(old.stop(old.patience), name="notify.exec change")
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        self._commands = programs
        for new in programs:
            self._bus.listen(new.put)
            if self._running:
                new.start()

    async def kept(self) -> None:
        """Returns when what was told before is in the outbox; at once where there is none."""
        await self.webhooks.kept()

    async def stop(self) -> None:
        """Delivers what it can within a moment; the rest waits on disk."""
        if not self._running:
            return
        self._running = False
        guard = self._faults.guard("notify_stop")
        with guard:
            await self._bus.close()
        for task in tuple(self._leaving):
            task.cancel()
        with guard:
            await asyncio.gather(*[commands.stop(FAREWELL) for commands in self._commands], self.webhooks.goodbye())
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self.webhooks.stop()
        if self._eventlog is not None:
            await asyncio.to_thread(self._eventlog.stop)
