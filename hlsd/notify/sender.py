"""Delivers one URL's queue: at least once, in order for each viewer and publisher, and patiently.

Law: an event leaves the store when the receiver has taken it (2xx), has refused it for good, or has not taken it for
`keep_for`. Events of one owner go one after another; up to `parallel` owners at once. After a failure the queue waits
(1, 2, 4 … `backoff_max` seconds) and then tries a single event, so that a receiver that comes back is not run over; the
owner whose event failed waits by its own count, so that one poisonous event does not hold up the rest. A refusal for
good (4xx but 408 and 429) of postPlay and postPublish closes that client, as Node-Media-Server does; of others it is
final only where the receiver says that it is the event it does not like (`FINAL`): a wrong deployment that answers 404
to everything must not cost a night's records. In memory there is one page of the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.events import Action
from hlsd.notify.outbox import Outbox
from hlsd.notify.payloads import PayloadFormat
from hlsd.notify.settings import NotifySettings
from hlsd.notify.store import Letter
from hlsd.notify.webhook_client import WebhookClient
from hlsd.operator.client import NoAnswer
from hlsd.stats import NotifyStats

PAGE: Final = 200
"""Events of one queue in memory at most (or one batch)."""
FINAL: Final = frozenset({400, 410, 413, 415, 422})
_CLOSES: Final = frozenset({Action.POST_PLAY.value, Action.POST_PUBLISH.value})
_LATER: Final = frozenset({408, 429})


def backoff(failures: int, first: float, most: float) -> float:
    """Seconds to wait after so many failures in a row: `first`, doubled each time, up to `most`."""
    return float(min(most, first * 2.0 ** min(failures - 1, 30)))


class Sender:
    """One URL's deliveries; `refused(action, id)` is told of a postPlay or postPublish that the receiver forbids."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it needs to know
        self,
        url: str,
        queue: str,
        form: PayloadFormat,
        outbox: Outbox,
        webhook_client: WebhookClient,
        settings: NotifySettings,
        clock: Clock,
        stats: NotifyStats,
        refused: Callable[[str, str], None],
    ) -> None:
        self.failures = 0
        """Attempts in a row that the receiver did not take."""
        self._url = url
        self._queue = queue
        self._form = form
        self._outbox = outbox
        self._webhook_client = webhook_client
        self._settings = settings
        self._clock = clock
        self._stats = stats
        self._refused = refused
        self._retired = False
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._log = structlog.get_logger().bind(url=masking.address(url))

    def wake(self) -> None:
        """Something was added to the queue."""
        self._idle.clear()
        self._more.set()

    def retire(self) -> None:
        """Another one takes its place: `run` returns when what it is at is done."""
        self._retired = True
        self._more.set()

    async def run(self) -> None:
        """Delivers until cancelled, or retired."""
        while not self._retired:
            self._more.clear()
            page = await self._page()
            if not page:
                await self._rest()
            elif await self._send_page(page):
                if self.failures:
                    self._log.info("receiver takes events again", failures=self.failures)
                self.failures = 0
            else:
                self.failures += 1
                if self.failures == 1:
                    self._log.warning("receiver does not take events: they wait on disk")
                await asyncio.sleep(backoff(self.failures, self._settings.backoff_first, self._settings.backoff_max))

    async def emptied(self) -> None:
        """Returns when nothing is left to be sent now."""
        await self._idle.wait()

    async def _page(self) -> list[Letter]:
        limit = 1 if self.failures else self._settings.batch if self._settings.batch > 1 else PAGE
        now, horizon = self._clock.wall(), self._settings.backoff_max
        return await self._outbox.ask(lambda store: store.page(self._queue, now, limit, horizon))

    async def _rest(self) -> None:
        """Waits for another event, or for when one that failed is due again."""
        due = await self._outbox.ask(lambda store: store.next_due(self._queue))
        if self._more.is_set() or self._retired:
            return
        if due is None:
            self._idle.set()
            await self._more.wait()
            return
        wait = min(max(0.01, due - self._clock.wall()), self._settings.backoff_max)
        try:
            async with asyncio.timeout(wait):
                await self._more.wait()
        except TimeoutError:
            return

    async def _send_page(self, page: list[Letter]) -> bool:
        """False if the receiver failed to take something."""
        if self._settings.batch > 1 and len(page) > 1:
            return await self._send_batch(page)
        owners: dict[str, list[Letter]] = {}
        for letter in page:
            owners.setdefault(letter.id, []).append(letter)
        waiting = deque(owners.values())
        well = True

        async def work() -> None:
            nonlocal well
            while waiting and well:
                for letter in waiting.popleft():
                    if self._retired:
                        return
                    if not await self._send(letter):
                        well = False
                        break  # what is behind it waits with it

        await asyncio.gather(*(work() for _ in range(min(self._settings.parallel, len(waiting)))))
        return well

    async def _send(self, letter: Letter) -> bool:
        body = b"[%b]" % letter.body if self._form.lists else letter.body
        status = await self._post(body, letter.event_id, letter.attempt + 1)
        if 200 <= status < 300:
            self._finish([letter], "ok")
        elif letter.action in _CLOSES and 400 <= status < 500 and status not in _LATER:
            self._finish([letter], "denied")
            self._refused(letter.action, letter.id)
        elif status in FINAL:
            self._log.warning(
                "receiver refuses an event", action=letter.action, event_id=letter.event_id, status=status
            )
            self._finish([letter], "denied")
        else:
            self._delay(letter)
            return False
        return True

    async def _send_batch(self, page: list[Letter]) -> bool:
        status = await self._post(
            b"[%b]" % b",".join(letter.body for letter in page), page[0].event_id, page[0].attempt + 1
        )
        if 200 <= status < 300:
            self._finish(page, "ok")
            return True
        if 400 <= status < 500 and status not in _LATER:
            # It does not like something among them: one by one, in order, it will show.
            for letter in page:
                if not await self._send(letter):
                    return False
            return True
        for letter in {letter.id: letter for letter in reversed(page)}.values():  # the first of each owner
            self._delay(letter)
        return False

    async def _post(self, body: bytes, event_id: str, attempt: int) -> int:
        reply = await self._webhook_client.post(
            self._url, body, content_type=self._form.content_type, event_id=event_id, attempt=attempt, phase="queued"
        )
        if isinstance(reply, NoAnswer):
            self._log.debug("event not delivered", event_id=event_id, attempt=attempt, reason=reply.reason)
            return 0
        return reply.status

    def _finish(self, letters: list[Letter], result: str) -> None:
        for letter in letters:
            self._stats.events[letter.action, result] += 1
        seqs = [letter.seq for letter in letters]
        self._outbox.tell(lambda store: store.remove(self._queue, seqs))

    def _delay(self, letter: Letter) -> None:
        now = self._clock.wall()
        if now - letter.at > self._settings.keep_for:
            self._log.warning("event given up", action=letter.action, event_id=letter.event_id, attempts=letter.attempt)
            self._finish([letter], "dropped")
            return
        self._stats.events[letter.action, "retried"] += 1
        due = now + backoff(letter.attempt + 1, self._settings.backoff_first, self._settings.backoff_max)
        self._outbox.tell(lambda store: store.delay(letter, due))
