"""Sends a stream on to RTMP and SRT servers: one queue and one connection for each target, whatever the others do.

Law: a target that is slow, dead or refuses costs the stream nothing and the other targets nothing. Its queue is
bounded in seconds and bytes; beyond either, what waits is dropped up to the next key frame, so that what arrives always
decodes.
While there is no connection the queue holds the newest key frame and what follows, so a target begins with a picture.
Times on the wire are the stream's, in ms, and never go back. Seconds, monotonic.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger

from hlsd.base import masking
from hlsd.base.clock import Clock
from hlsd.base.errors import HlsdError
from hlsd.base.faults import Faults
from hlsd.events import Action, Bus, Event, new_id
from hlsd.events.facts import relay_facts
from hlsd.ingest.rtmp_push import PushError, PushRefused, RtmpPush
from hlsd.media.flv import SCRIPT
from hlsd.net.congestion import Congestion
from hlsd.relay.address import ONLY, PUSHED, Address, read_address
from hlsd.relay.backoff import STABLE, Backoff
from hlsd.relay.dial import CONNECT_WITHIN, Dial, SourceError
from hlsd.relay.plan import Fillable, Plan
from hlsd.relay.relayed import Relayed
from hlsd.relay.template import TemplateSubject, carried
from hlsd.stats import RelayStats

if TYPE_CHECKING:
    from hlsd.relay.srt_push import SrtPush

STALLED: Final = 15.0
"""Seconds that a target may take nothing; then the connection is made anew."""
SET_DATA_FRAME: Final = b"\x02\x00\x0d@setDataFrame"


class Sending(Protocol):
    """What a push knows of the service it belongs to."""

    clock: Clock
    bus: Bus
    log: FilteringBoundLogger
    server_id: str
    max_seconds: float
    max_bytes: int
    push_congestion: Congestion

    faults: Faults

    def dial(self, plan: Plan) -> Dial:
        """The way out for a plan."""
        ...


class PushedTag(NamedTuple):
    """A tag as it waits: type, ms, body; `key`: playing can begin here."""

    kind: int
    time: int
    body: bytes
    key: bool


class Push(Relayed):
    """One target of one stream. `run` is its whole life; `put` and `opening` are what the stream says."""

    def __init__(
        self, host: Sending, plan: Plan, template: Fillable, subject: TemplateSubject, figures: RelayStats
    ) -> None:
        self.id = new_id()
        self.plan = plan
        self.subject = subject
        self.over = ""
        self.shown = ""
        """The address of the last try, masked."""
        self.error = ""
        self.since = host.clock.wall()
        self.active = False
        """Whether the target takes media at this instant."""
        self.sent_bytes = 0
        self.dropped = 0
        """Frames that the target was too slow for."""
        self._host = host
        self._template = template
        self._figures = figures
        self._backoff = Backoff(*plan.backoff)
        self._url = ""  # of this try: never to be shown
        self._opening: list[PushedTag] = []
        self._queue: deque[PushedTag] = deque()
        self._bytes = 0
        self._need_key = True
        self._time = 0  # of the newest frame: a configuration that comes between frames is dated by it
        self._more = asyncio.Event()
        self._sequence = 0
        self._task: asyncio.Task[None] | None = None
        self._log = host.log.bind(app=subject.app, name=subject.name, rule=plan.name)

    # What the stream says.

    def opening(self, tags: list[PushedTag], *, keep: bool = False) -> None:
        """What goes before the next key frame: metadata and configuration. `keep`: what waits is still of use."""
        if not keep:
            self._drop()
        self._opening = tags
        if self.active:
            self._add([tag._replace(time=self._time) for tag in tags])

    def put(self, tag: PushedTag) -> None:
        """The next frame."""
        self._time = tag.time
        if tag.key and not self.active:
            self._drop(count=False)
        elif self._full(tag):
            self._drop()
        if self._need_key:
            if not tag.key:
                self.dropped += self.active
                return
            self._need_key = False
        self._add((tag,))

    def say(self, body: bytes) -> None:
        """A data message, with the time of the newest frame; nothing where it goes on with a key frame."""
        if not self._need_key:
            self.put(PushedTag(SCRIPT, self._time, body, False))

    def _full(self, tag: PushedTag) -> bool:
        queue = self._queue
        if not queue:
            return False
        if self._bytes + len(tag.body) > self._host.max_bytes:
            return True
        return tag.time - queue[0].time > self._host.max_seconds * 1000

    def _add(self, tags: Iterable[PushedTag]) -> None:
        for tag in tags:
            self._queue.append(tag)
            self._bytes += len(tag.body)
        self._more.set()

    def _drop(self, *, count: bool = True) -> None:
        if count and self.active:
            self.dropped += len(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._need_key = True

    def reset(self) -> None:
        """What waits is not whole any more: it goes on at the next key frame."""
        self._drop()

    def stop(self, reason: str) -> None:
        """Ends it; what waits is not sent any more. `run` returns soon."""
        self.over = self.over or reason
        self._more.set()
        if self._task is not None:
            self._task.cancel()

    def finish(self, reason: str) -> None:
        """Ends it once what waits has been sent."""
        if self.active:
            self.over = self.over or reason
            self._more.set()
        else:
            self.stop(reason)

    def reject(self, reason: str = "kicked") -> None:
        """As `hlsd.subjects.Subject`."""
        self.stop(reason)

    # The connection.

    async def run(self) -> None:
        """Connects and sends until it is stopped."""
        self._task = asyncio.current_task()
        try:
            while not self.over:
                pause = await self._try()
                if not self._stopped():
                    await asyncio.sleep(pause)
        except asyncio.CancelledError:
            if not self.over:
                raise
        finally:
            self.over = self.over or "stopped"
            self._drop(count=False)

    def _stopped(self) -> bool:
        return bool(self.over)

    async def _try(self) -> float:
        """One connection; returns the seconds to wait before the next."""
        began = 0.0
        result = "error"
        clock = self._host.clock.monotonic
        try:
            push = await self._connect()
            began = clock()
            self._figures.starts["ok"] += 1
            self._figures.up += 1
            self._log.info("relay push started", url=self.shown, congestion=self._host.push_congestion.held)
            self._tell(Action.RELAY_START)
            try:
                await self._send(push)
            finally:
                self.active = False
                self._drop(count=False)
                await _close(push)
        except PushRefused as error:
            result = "refused"
            self.error = masking.without(str(error), self._url)  # a server may quote the key
            self._backoff.failures = max(self._backoff.failures, 4)  # it has said no: no use in hurrying
        except (HlsdError, OSError, ValueError) as error:
            self.error = masking.without(str(error), self._url)
        except Exception as error:  # noqa: BLE001 - a fault of ours costs the target a connection, not the rest of the day
            self.error = "internal error"
            self._host.faults.task("relay", error)
        finally:
            if began:
                self._figures.up -= 1
                self._tell(Action.RELAY_STOP, reason=self.over or "closed")
        if began and clock() - began >= STABLE:
            self._backoff.good()
        elif not began:
            self._figures.starts[result] += 1
        self._log.info("relay target lost" if began else "relay target not reached", url=self.shown, reason=self.error)
        return self._backoff.pause(random.random())  # noqa: S311 - jitter

    async def _connect(self) -> RtmpPush | SrtPush:
        host, plan, subject = self._host, self.plan, self.subject
        via = carried(subject.args, host.server_id) if plan.via else ""
        url = self._template.fill(
            subject,
            now=host.clock.wall(),
            server_id=host.server_id,
            signing=plan.signing,
            forward=plan.forward,
            via=via,
        )
        self._url = url
        self.shown = masking.address(url)
        address = read_address(url)
        if address.scheme not in PUSHED:
            raise SourceError(ONLY, final=True)
        *others, last = await host.dial(plan).addresses(address)
        for ip in others:
            try:
                return await self._connect_to(ip, url, address)
            except PushRefused:
                raise
            except PushError:
                continue  # a name may have addresses where nobody listens
        return await self._connect_to(last, url, address)

    async def _connect_to(self, ip: str, url: str, address: Address) -> RtmpPush | SrtPush:
        self.ip = ip
        if address.scheme == "srt":
            from hlsd.relay.srt_push import SrtPush  # noqa: PLC0415 - what nobody uses is not loaded
            from hlsd.relay.srt_target import read_target  # noqa: PLC0415

            return await SrtPush.connect(read_target(address), ip, address.port, CONNECT_WITHIN)
        return await RtmpPush.connect(url, ip=ip, within=CONNECT_WITHIN, prepare=self._host.push_congestion.apply)

    async def _send(self, push: RtmpPush | SrtPush) -> None:
        """Sends what comes until the connection is lost. Raises PushError."""
        for tag in self._opening:
            await push.send(tag.kind, self._queue[0].time if self._queue else 0, tag.body)
        self.active = True
        queue, more = self._queue, self._more
        sent = push.sent
        while True:
            if not queue:
                if self.over:
                    return
                more.clear()
                await more.wait()
                continue
            tag = queue.popleft()
            self._bytes -= len(tag.body)
            try:
                async with asyncio.timeout(STALLED):
                    await push.send(tag.kind, tag.time, tag.body)
            except TimeoutError:
                push.abort()
                raise SourceError(f"took nothing for {STALLED:g} s") from None
            size = push.sent - sent
            sent = push.sent
            self.sent_bytes += size
            self._figures.sent_bytes += size

    def _tell(self, action: Action, reason: str | None = None) -> None:
        self._sequence += 1
        host = self._host
        facts = relay_facts(
            app=self.subject.app,
            name=self.subject.name,
            mode="push",
            rule=self.plan.name,
            url=self.shown,
            since=self.since,
            sent=self.sent_bytes,
            reason=reason,
        )
        host.bus.emit(Event(action, self.id, self._sequence, host.clock.wall(), facts), self)


async def _close(push: RtmpPush | SrtPush) -> None:
    """Says goodbye; cut off from it, drops the connection."""
    try:
        with contextlib.suppress(HlsdError, OSError):
            await push.close(1.0)
    finally:
        push.abort()
