"""Says what happens to viewers, publishers, relays, recordings: the events of the house, and the bus that carries them.

Law: an emitter never waits and never fails. Who listens is a *sink* (gets every event, at once, must not block: the
outbox, the log, the API's ring) or a *handler* of one action (in-process, sync or async). An action of `pre…` is asked,
not told: every *sync webhook* and handler may deny it, and the first denial stands. Field names are those of
Node-Media-Server's notifications (contract §2.3), so that old receivers keep working. Units: seconds of the epoch.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from hlsd.base import masking
from hlsd.events.facts import Facts
from hlsd.ports import Denial, Grant
from hlsd.subjects import Handler, Subject

UNANSWERED = "unanswered"
"""Reason of a denial that nobody has spoken: a receiver is out of order, and only who is known already may stay."""
BROKEN = Denial(503, "not decided", "error:internal")
"""What a sync webhook that raised has said."""
MAX_TASKS = 1000
"""Async handlers under way at once; further calls are dropped and logged."""


class Action(enum.StrEnum):
    """What an event tells; `pre…` are asked and can be denied."""

    PRE_CONNECT = "preConnect"
    POST_CONNECT = "postConnect"
    DONE_CONNECT = "doneConnect"
    PRE_PUBLISH = "prePublish"
    POST_PUBLISH = "postPublish"
    UPDATE_PUBLISH = "updatePublish"
    DONE_PUBLISH = "donePublish"
    PRE_PLAY = "prePlay"
    POST_PLAY = "postPlay"
    UPDATE_PLAY = "updatePlay"
    DONE_PLAY = "donePlay"
    FIX_PLAY = "fixPlay"
    """Of a cluster: what a session that is over was sent beyond what its `donePlay` said."""
    STREAM_START = "streamStart"
    STREAM_STOP = "streamStop"
    RELAY_START = "relayStart"
    RELAY_STOP = "relayStop"
    RECORD_START = "recordStart"
    RECORD_DONE = "recordDone"
    RECORD_LOST = "recordLost"
    RECORD_STORED = "recordStored"
    SNAPSHOT_DONE = "snapshotDone"
    JOB_DONE = "jobDone"
    TRANSCODE_REFUSED = "transcodeRefused"
    TRANSCODE_SHED = "transcodeShed"
    RECEIVER_DONE = "receiverDone"
    STREAM_WANTED = "streamWanted"
    STREAM_UNWATCHED = "streamUnwatched"
    TEST = "test"
    """Sent to receivers when the operator asks for it; nothing has happened."""


CONNECTS: Final = frozenset({Action.PRE_CONNECT, Action.POST_CONNECT, Action.DONE_CONNECT})
"""Receivers get these where they name them, and not by wanting everything: they come before anybody has shown a
credential, and a receiver that was written without them would refuse what it does not know."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `id` is whose event it is (session, publication, relay, recording): order is kept per id, `seq` counts them from 1.
    `query` is what the peer asked with, secrets included: it leaves only through `payload`.
    """

    action: Action
    id: str
    seq: int
    at: float
    facts: Facts = field(default_factory=Facts)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    event_id: str = field(default_factory=lambda: new_id())  # noqa: PLW0108 - it stands below

    def payload(self, server_id: str = "", *, send_secrets: bool = False) -> dict[str, object]:
        """What a receiver gets: a superset of Node-Media-Server's notification."""
        query = dict(self.query) if send_secrets else masking.arguments(self.query)
        return {
            "action": self.action.value,
            "id": self.id,
            "query": query,
            **self.facts,
            "event_id": self.event_id,
            "event_ts": int(self.at * 1000),
            "seq": self.seq,
            "server_id": server_id,
        }


Sink = Callable[[Event], None]
Verdict = Denial | Grant | None
"""What a sync webhook says: no, yes with what it knows of the peer, or yes."""
Asker = Callable[[Event], Awaitable[Verdict]]


class Bus:
    """Carries the events of one server."""

    def __init__(self) -> None:
        self._sinks: list[Sink] = []
        self._askers: list[tuple[Asker, Callable[[Action], bool]]] = []
        self._handlers: dict[str, list[Handler]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger()

    def listen(self, sink: Sink) -> None:
        """`sink` gets every event from now on, `pre…` included."""
        self._sinks.append(sink)

    def consult(self, sync_webhook: Asker, cares: Callable[[Action], bool] = lambda _: True) -> None:
        """`sync_webhook` is asked about every `pre…` from now on; `cares` says whether it has a say in one."""
        self._askers.append((sync_webhook, cares))

    def leave(self, sink: Sink) -> None:
        """`sink` gets none from now on."""
        self._sinks = [one for one in self._sinks if one != sink]  # another list: an event may be on its way

    def dismiss(self, sync_webhook: Asker) -> None:
        """`sync_webhook` is asked no more; what it was asked already it still says."""
        self._askers = [one for one in self._askers if one[0] is not sync_webhook]

    def heard(self, action: Action) -> bool:
        """Whether anybody would hear an event of that action: if not, it need not be made."""
        return bool(self._sinks or self._handlers.get(action.value) or (self._askers and action.startswith("pre")))

    def asks(self, action: Action) -> bool:
        """Whether anybody has a say in it: a handler or a sync webhook, and not only listeners."""
        return bool(self._handlers.get(action.value)) or any(cares(action) for _, cares in self._askers)

    def on(self, action: str, handler: Handler) -> None:
        """Calls `handler(subject)` at every event of that action.

        Raises:
            ValueError: there is no such action.
        """
        self._handlers.setdefault(Action(action).value, []).append(handler)

    def off(self, action: str, handler: Handler) -> None:
        """Takes a handler back."""
        self._handlers.get(action, []).remove(handler)

    def emit(self, event: Event, subject: Subject) -> None:
        """Tells everybody; what they do wrong is logged and harms nobody."""
        for sink in self._sinks:
            try:
                sink(event)
            except Exception:  # noqa: BLE001 - a listener's fault is its own
                self._log.exception("event sink failed", action=event.action.value)
        for handler in self._handlers.get(event.action.value, ()):
            try:
                pending = handler(subject)
            except Exception:  # noqa: BLE001 - a listener's fault is its own
                self._log.exception("event handler failed", action=event.action.value)
                continue
            if inspect.isawaitable(pending):
                self._go(event.action, pending)

    async def ask(self, event: Event, subject: Subject, denied: Callable[[], Denial | None]) -> Verdict:
        """Puts a `pre…` to everybody. `denied()` says whether `subject.reject` was called meanwhile.

        A handler that fails denies nothing; a sync webhook's own rules say what its failure means, and one that breaks
        them by raising denies, because nobody has said yes.
        """
        for sink in self._sinks:
            try:
                sink(event)
            except Exception:  # noqa: BLE001 - a listener's fault is its own
                self._log.exception("event sink failed", action=event.action.value)
        verdict: Verdict = None
        for handler in self._handlers.get(event.action.value, ()):
            try:
                pending = handler(subject)
                if inspect.isawaitable(pending):
                    await pending
            except Exception:  # noqa: BLE001 - a listener's fault is its own
                self._log.exception("event handler failed", action=event.action.value)
            if (denial := denied()) is not None:
                return denial
        for sync_webhook, _ in self._askers:
            try:
                said = await sync_webhook(event)
            except Exception:  # noqa: BLE001 - whose ever fault it is, the door stays shut
                self._log.exception("sync webhook failed", action=event.action.value)
                return BROKEN
            if isinstance(said, Denial):
                return said
            verdict = said or verdict
        return verdict

    async def close(self) -> None:
        """Waits a moment for handlers under way, then cancels them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=1.0)
            for task in late:
                task.cancel()

    def _go(self, action: Action, pending: Awaitable[None]) -> None:
        if len(self._tasks) >= MAX_TASKS:
            self._log.warning("event handler dropped: too many under way", action=action.value)
            if inspect.iscoroutine(pending):
                pending.close()
            return

        async def run() -> None:
            try:
                await pending
            except Exception:  # noqa: BLE001 - a listener's fault is its own
                self._log.exception("event handler failed", action=action.value)

        task = asyncio.create_task(run(), name=f"on {action.value}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_id() -> str:
    """A UUID version 7 (RFC 9562 §5.7): sorts by time of birth."""
    stamp = int(time.time() * 1000) & 0xFFFF_FFFF_FFFF
    bits = stamp << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))
