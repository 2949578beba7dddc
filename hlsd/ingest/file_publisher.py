"""Publishes a file that comes over a connection which carries nothing else: FLV by HTTP and WebSocket, MPEG-TS by HTTP.

The counterpart of `rtmp_publisher`, by the same door (`hlsd.ports.Admission`); of HTTP it knows nothing
(`hlsd.ports.flv_body`), and what a file is made of says its form (`hlsd.ingest.file_form`). Law: a publication is ended
exactly once, unless the hub has dropped it: then nothing of it is called again. Nothing is read while what was read
before waits, so that a sender is slowed down by its connection; beside one read no more than one item is held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hlsd.base.errors import MediaError, ProtocolError, UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.base.upkeep import end
from hlsd.ingest.attendance import Attendance
from hlsd.ingest.publish_endings import QUIET, conclude
from hlsd.ingest.turns import Turns
from hlsd.media.flv import LargeTag
from hlsd.ports import Refuse
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.file_form import FileForm, FileSink
    from hlsd.ports import Admission, Publication, PublishRequest
    from hlsd.ports.flv_body import FlvBody


@dataclass
class FilePublishers:
    """All of one form. `first` and `idle`: seconds for the first media, and between two pieces of it later on."""

    admission: Admission
    form: FileForm[Any, Any]
    clock: Clock
    log: Log
    faults: Faults
    first: float
    idle: float
    here: set[FilePublisher] = field(default_factory=set)
    feeding: Attendance = field(default_factory=Attendance)

    def publisher(self, app: str, ip: str) -> FilePublisher:
        """A new one, of whom the log knows the app and the address."""
        return FilePublisher(self, app, ip)

    def sweep(self) -> None:
        """Once a second: deadlines, and a new second's share of the processor."""
        now = self.clock.monotonic()
        for publisher in list(self.here):
            publisher.sweep(now)

    async def gone(self, seconds: float) -> None:
        """Returns when nobody is left, or after that time."""
        await self.feeding.gone(seconds)


class FilePublisher:
    """One publisher (`hlsd.ports.flv_body.BodyPublisher`)."""

    def __init__(self, all_of_them: FilePublishers, app: str, ip: str) -> None:
        self._host = all_of_them
        self._app = app
        self._name = ""
        """Known once it is let in: what it came with may be its key."""
        self._ip = ip
        self._form = all_of_them.form
        self._reader = self._form.reader()
        self._items: deque[Any] = deque()
        """What was read and is not worked on yet."""
        self._uncounted = 0
        """Bytes that came before there was a publication."""
        self._turns = Turns(Remarks(self._remark), all_of_them.clock)
        self._words = ""
        self._heard = 0.0
        """When the last media came (monotonic)."""
        self._begun = False
        self._over: asyncio.Future[PublishEnding] = asyncio.get_running_loop().create_future()
        self._publication: Publication | None = None
        self._sink: FileSink | None = None

    # -- as the hub sees it

    def drop(self, reason: str) -> None:
        """The publication is gone already and must not be touched again."""
        self._publication = self._sink = None
        self._items.clear()
        if not self._over.done():
            self._over.set_result(PublishEnding(reason, self._words or reason))

    def hear(self, words: str) -> None:
        """What the hub says before it drops."""
        self._words = words

    def held(self) -> int:
        """Bytes of its media that wait here."""
        sink = self._sink
        waiting = sum([self._form.weigh(item) for item in self._items])
        return self._reader.held + waiting + (sink.held if sink is not None else 0)

    # -- as its connection sees it

    async def open(self, body: FlvBody) -> PublishEnding | None:
        """Reads until it is clear that it is a file of that form."""
        first, form = self._host.first, self._form
        try:
            async with asyncio.timeout(first):
                while not self._reader.started:
                    octets = await body.read()
                    if not octets:
                        self._end(PublishEnding(form.none, f"no {form.name} stream"))
                        break
                    self._uncounted += len(octets)
                    self._items += self._reader.feed(octets)
        except TimeoutError:
            self._end(PublishEnding("late", f"no {form.name} stream within {first:g} s"))
        except (MediaError, ProtocolError, OSError) as error:
            self._end(self._ending_of(error))
        return self._over.result() if self._over.done() else None

    async def enter(self, request: PublishRequest) -> PublishEnding | None:
        """Asks for the name."""
        host = self._host
        try:
            verdict = await host.admission.publish(request)
            if isinstance(verdict, Refuse):
                return PublishEnding(verdict.code.value, verdict.reason)
            if self._over.done():  # let in and thrown out in one breath: the hub wants to hear nothing more
                return self._over.result()
            self._publication = verdict
            self._name = verdict.name
            self._heard = host.clock.monotonic()
            self._sink = host.form.sink(verdict, self._heard)
            verdict.received(self._uncounted)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)
        return self._over.result() if self._over.done() else None

    async def feed(self, body: FlvBody) -> PublishEnding:
        """Publishes all that comes."""
        host = self._host
        host.here.add(self)
        feeding = asyncio.create_task(self._run(body))
        with host.feeding:
            try:
                return await asyncio.shield(self._over)
            finally:
                self._end(PublishEnding("lost"))  # unless it has ended: whoever waited was cancelled
                await end(feeding)
                host.here.discard(self)

    def sweep(self, now: float) -> None:
        """Once a second."""
        self._turns.second()
        host, sink = self._host, self._sink
        if sink is None:
            return
        patience = host.idle if self._begun else host.first
        try:
            sink.tick(now)
            if now - self._heard >= patience:
                self._end(PublishEnding("idle" if self._begun else "late", f"no media for {patience:g} s"))
        except UnsupportedCodec as error:
            self._end(self._ending_of(error))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)

    # -- the work

    async def _run(self, body: FlvBody) -> None:
        try:
            await self._work(body)
        except (MediaError, ProtocolError) as error:
            self._end(self._ending_of(error))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)
        else:
            self._end(PublishEnding("closed"))

    async def _work(self, body: FlvBody) -> None:
        """Works on what comes until it ends, or nobody wants it any more. Raises as `read` and `tag` do."""
        share, reader, items = self._turns.share, self._reader, self._items
        while True:
            if items:
                await self._hand_over()
            if share.exhausted:
                await self._turns.next_second()
            try:
                octets = await body.read()
            except OSError as error:  # of the connection: any other one is ours
                self._end(self._ending_of(error))
                return
            publication = self._publication
            if publication is None:
                return
            if not octets:
                items += reader.rest()
                await self._hand_over()
                return
            publication.received(len(octets))
            share.start()
            items += reader.feed(octets)
            share.stop()

    async def _hand_over(self) -> None:
        """Works on the items that wait, as many in a turn as others can bear."""
        share, items, clock = self._turns.share, self._items, self._host.clock
        give = self._form.give
        now, wall = clock.monotonic(), clock.wall()
        share.start()
        while items:
            sink = self._sink
            if sink is None:
                items.clear()
                break
            if give(sink, items.popleft(), now, wall):
                self._heard = now
                self._begun = True
            if share.used_up():
                await self._turns.give_way()
                now, wall = clock.monotonic(), clock.wall()
        share.stop()

    # -- the end

    def _fail(self, error: Exception) -> None:
        self._host.faults.task(self._form.label, error)
        self._end(PublishEnding("error:internal"))

    def _end(self, ending: PublishEnding) -> None:
        """Ends the publication, if there is one; nothing happens if it is over."""
        if self._over.done():
            return
        publication, sink = self._publication, self._sink
        self._publication = self._sink = None
        self._over.set_result(ending)
        if ending.reason not in QUIET:
            # Strangers do not fill the log of warnings.
            level = self._host.log.info if publication is None else self._host.log.warning
            level("publisher refused", app=self._app, name=self._name, ip=self._ip, reason=ending.words)
        conclude(sink, publication, ending.reason, self._host.faults)

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._host.log.warning(event, app=self._app, name=self._name, ip=self._ip, **facts)

    def _ending_of(self, error: MediaError | ProtocolError | OSError) -> PublishEnding:
        """What it means that `error` was raised while something was read or worked on."""
        if isinstance(error, UnsupportedCodec):
            return PublishEnding("codec", str(error))
        if isinstance(error, LargeTag):
            return PublishEnding("large", str(error))
        if isinstance(error, MediaError):
            return PublishEnding(self._form.none, str(error))
        return PublishEnding("protocol", str(error)) if isinstance(error, ProtocolError) else PublishEnding("lost")
