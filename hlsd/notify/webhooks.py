"""Tells the operator's URLs of events, and asks them: the outbox, a sender for each URL, the sync webhook.

The outbox lives as long as the server; URLs, their form and bounds may change meanwhile (`change`). What waits for a
URL that stays waits on; the old senders finish what they are at before the new ones begin, so that nothing is told
twice for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.base import masking
from hlsd.base.upkeep import end, keep
from hlsd.events import CONNECTS, Action, Event, new_id
from hlsd.events.facts import Facts
from hlsd.notify.outbox import Outbox
from hlsd.notify.payloads import PayloadFormat, form_of
from hlsd.notify.sender import Sender
from hlsd.notify.sync_webhook import SyncWebhook
from hlsd.notify.webhook_client import WebhookClient
from hlsd.operator.client import NoAnswer

if TYPE_CHECKING:
    import httpx

    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.events import Bus
    from hlsd.notify.settings import NotifySettings
    from hlsd.stats import NotifyStats

FILE: Final = "hlsd.sqlite"
FAREWELL: Final = 2.0
"""Seconds that senders have at the end."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a test event at one receiver; `status` 0: no answer, for a reason."""

    url: str
    status: int
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """One receiver: how much waits for it, since when (seconds of the epoch, 0: nothing), failures in a row."""

    url: str
    waiting: int
    oldest: float
    failures: int


class _UrlLine:
    """What there is for the URLs of one reading of the settings."""

    def __init__(
        self,
        settings: NotifySettings,
        clock: Clock,
        stats: NotifyStats,
        server_id: str,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.settings = settings.model_copy()  # as it was read: a reload writes into the one of the server
        batch = settings.batch > 1
        self.form: PayloadFormat = form_of(settings.format, server_id, send_secrets=settings.send_secrets, batch=batch)
        secret = settings.secret.get_secret_value().encode() if settings.secret is not None else None
        wanted = frozenset(settings.events)
        self.poster = WebhookClient(clock, stats, timeout=settings.timeout, secret=secret, transport=transport)
        self.queues = tuple(queue_of(url) for url in settings.url)
        self.passes: Callable[[Event], bool] = lambda event: _queued(event, wanted)
        self.asker = SyncWebhook(
            tuple(settings.url), self.form, self.poster, clock, stats, on_error=settings.on_error, wanted=wanted
        )
        self.senders: list[Sender] = []
        self.tasks: list[asyncio.Task[None]] = []


class Webhooks:
    """Those of one server. `refused(action, id)` closes a client that a receiver does not want."""

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
        faults: Faults,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._stats = stats
        self._state = state
        self._server_id = server_id
        self._refused = refused
        self._faults = faults
        self._transport = transport
        self._running = False
        self._outbox: Outbox | None = None
        self._line: _UrlLine | None = None
        self._handing_over: set[asyncio.Task[None]] = set()
        self._tests = 0
        self._log = structlog.get_logger()
        if settings.url:
            self._take(self._made(settings))

    def _made(self, settings: NotifySettings) -> _UrlLine:
        return _UrlLine(settings, self._clock, self._stats, self._server_id, self._transport)

    def _take(self, line: _UrlLine) -> None:
        """Events go by this line from now on."""
        settings = line.settings
        if self._outbox is None:
            self._outbox = Outbox(
                self._state / FILE,
                line.queues,
                line.form,
                self._stats,
                most=settings.max_queue,
                most_bytes=settings.max_queue_bytes,
                wake=self._wake,
                wanted=line.passes,
                faults=self._faults,
            )
            self._bus.listen(self._outbox.put)
            if self._running:
                self._outbox.start()
        else:
            self._outbox.direct(line.queues, line.form, line.passes, settings.max_queue, settings.max_queue_bytes)
        line.senders = [
            Sender(url, queue, line.form, self._outbox, line.poster, settings, self._clock, self._stats, self._refused)
            for url, queue in zip(settings.url, line.queues, strict=True)
        ]
        self._bus.consult(line.asker, line.asker.wants)
        self._line = line

    async def start(self) -> None:
        """Begins to deliver."""
        self._running = True
        if self._outbox is None or self._line is None:
            return
        self._outbox.start()
        await self._begin(self._line)

    async def _begin(self, line: _UrlLine) -> None:
        assert self._outbox is not None
        settings = line.settings
        before = self._clock.wall() - settings.keep_for
        left = await self._outbox.ask(lambda store: store.forget_others(line.queues, before))
        if left:
            self._log.warning(
                "events wait for URLs that are no longer in notify.url; they are dropped when they are too old",
                events=sum(left.values()),
            )
        if settings.format in {"srs", "nginx-rtmp"} and not settings.send_secrets:
            self._log.info(
                "receivers get *** in place of tokens: one that checks them refuses everybody",
                setting="notify.send_secrets",
                format=settings.format,
            )
        line.tasks = [keep(sender.run, "webhooks", self._faults, lambda: True) for sender in line.senders]

    def change(self, settings: NotifySettings) -> Callable[[], None]:
        """What makes events go as `settings` say from then on; to be called in the event loop."""
        new = self._made(settings) if settings.url else None

        def commit() -> None:
            old = self._line
            if old is not None:
                self._bus.dismiss(old.asker)
            if new is not None:
                self._take(new)
            elif self._outbox is not None and old is not None:
                self._line = None
                self._outbox.direct((), old.form, lambda _event: False, settings.max_queue, settings.max_queue_bytes)
            if self._running:
                task = asyncio.create_task(self._hand_over(old, new), name="webhooks change")
                self._handing_over.add(task)
                task.add_done_callback(self._handing_over.discard)

        return commit

    async def _hand_over(self, old: _UrlLine | None, new: _UrlLine | None) -> None:
        with self._faults.guard("webhooks"):
            if old is not None:
                await self._retire(old)
            if new is not None and new is self._line:
                await self._begin(new)
            if old is not None:
                await asyncio.sleep(old.settings.timeout)  # who was asked a moment ago may still answer
        if old is not None:
            await old.poster.close()

    async def _retire(self, old: _UrlLine) -> None:
        calm = [task for sender, task in zip(old.senders, old.tasks, strict=False) if not sender.failures]
        for sender in old.senders:
            sender.retire()
        if calm:
            await asyncio.wait(calm, timeout=old.settings.timeout + 1.0)
        for task in old.tasks:
            await end(task)

    async def kept(self) -> None:
        """Returns when what was told before is in the outbox; at once where there is none."""
        if self._outbox is not None and self._running:
            await self._outbox.ask(lambda _store: None)

    async def goodbye(self) -> None:
        """Delivers what it can within a moment."""
        line, outbox = self._line, self._outbox
        if line is None or outbox is None:
            return
        await outbox.ask(lambda _store: None)  # what was put is written now, and the senders know of it
        willing = [asyncio.ensure_future(sender.emptied()) for sender in line.senders if not sender.failures]
        if willing and line.tasks:
            await asyncio.wait(willing, timeout=FAREWELL)
        for waiter in willing:
            waiter.cancel()

    async def stop(self) -> None:
        """The rest waits on disk."""
        self._running = False
        guard = self._faults.guard("notify_stop")
        for task in tuple(self._handing_over):
            await end(task)
        line = self._line
        for sending in line.tasks if line is not None else ():
            await end(sending)
        if self._outbox is not None:
            with guard:
                await self._outbox.stop()
        if line is not None:
            with guard:
                await line.poster.close()

    # -- as the operator sees it

    async def queues(self) -> list[QueueState]:
        """The receivers, as the settings list them."""
        line, outbox = self._line, self._outbox
        if line is None or outbox is None or not self._running:
            return []
        found = await outbox.ask(lambda store: [(store.length([one]), store.oldest([one])) for one in line.queues])
        return [
            QueueState(masking.address(url), waiting, oldest, sender.failures)
            for url, sender, (waiting, oldest) in zip(line.settings.url, line.senders, found, strict=True)
        ]

    async def test(self) -> list[Answered]:
        """Sends each receiver an event that says it is a test, past the queue; what they say of it closes nobody."""
        line = self._line
        if line is None:
            return []
        self._tests += 1
        facts = Facts(app="test", name="test", path="/test/test", reason="test")
        ident, now = f"test-{new_id()}", self._clock.wall()
        event = Event(Action.TEST, ident, self._tests, now, facts)
        body = line.form.body(event)
        if body is None:  # other servers' callbacks have no word for it: the end of a viewer whom nobody has seen
            event = Event(Action.DONE_PLAY, ident, self._tests, now, facts)
            body = line.form.body(event)
        if body is not None and line.form.lists:
            body = b"[%b]" % body
        return await asyncio.gather(*(self._try(line, url, body, event.event_id) for url in line.settings.url))

    async def _try(self, line: _UrlLine, url: str, body: bytes | None, event_id: str) -> Answered:
        shown, began = masking.address(url), self._clock.monotonic()
        if body is None:
            return Answered(shown, 0, f"the format {line.settings.format} has no word for a test event", 0.0)
        reply = await line.poster.post(
            url, body, content_type=line.form.content_type, event_id=event_id, attempt=1, phase="queued"
        )
        took = self._clock.monotonic() - began
        if isinstance(reply, NoAnswer):
            return Answered(shown, 0, reply.reason, took)
        return Answered(shown, reply.status, "", took)

    def _wake(self) -> None:
        for sender in self._line.senders if self._line is not None else ():
            sender.wake()


def queue_of(url: str) -> str:
    """The queue's name in the file: URLs may hold passwords."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _queued(event: Event, wanted: frozenset[str]) -> bool:
    action = event.action.value
    return not action.startswith("pre") and (action in wanted if wanted else event.action not in CONNECTS)
