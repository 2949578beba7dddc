"""Is where all pages that publish their recorder are known: who is here, who is away and may come back, who is new."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from hlsd.ingest.attendance import Attendance
from hlsd.ingest.publish_endings import QUIET
from hlsd.ingest.recorder import texts
from hlsd.ingest.recorder.endings import ending_of
from hlsd.ingest.recorder.figures import RecorderFigures, RecorderStats
from hlsd.ingest.recorder.publisher import RecorderHost, RecorderPublisher
from hlsd.ingest.recorder.visit import PageVisit
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hlsd.base.figures import Reporter
    from hlsd.ingest.recorder.texts import PageText
    from hlsd.ports import PlayRequest
    from hlsd.ports.recorder import RecorderSocket

START: Final = 10.0
"""Seconds for the first text."""


class RecorderRoom:
    """As `hlsd.ports.recorder.RecorderDesk`. `label(app)`: what an app is called in a figure."""

    def __init__(self, host: RecorderHost, label: Callable[[str], str] = str) -> None:
        self._host = host
        self._label = label
        self._publishers: dict[str, RecorderPublisher] = {}
        """By what lets a page go on."""
        self._connected = Attendance()
        self.stats = RecorderStats()

    @property
    def publishers(self) -> list[RecorderPublisher]:
        """Who publishes now, those included who are away."""
        return list(self._publishers.values())

    async def serve(self, asked: PlayRequest, socket: RecorderSocket) -> PublishEnding:
        """As `hlsd.ports.recorder.RecorderDesk`."""
        with self._connected:
            ending = await self._serve(asked, socket)
        if ending.reason not in ("closed", "lost"):
            self.stats.ended[ending.reason] += 1
            socket.tell(texts.refusal(ending.reason, ending.words))
        if ending.reason != "lost":
            socket.tell(texts.state("ended"))
        return ending

    async def _serve(self, asked: PlayRequest, socket: RecorderSocket) -> PublishEnding:
        said = await self._start(socket)
        if isinstance(said, PublishEnding):
            if said.reason not in QUIET:
                # Strangers do not fill the log of warnings: nobody was asked yet whether it may.
                self._host.log.info(
                    "publisher refused", app=asked.app, ip=asked.ip, protocol=asked.protocol, reason=said.words
                )
            return said
        visit = PageVisit(self._host, asked)
        if (ending := await visit.begin()) is not None:
            return ending
        ending = PublishEnding("lost")
        try:
            ending = await self._publish(asked, said, socket, visit)
        finally:
            visit.over(ending)
        return ending

    async def _publish(
        self, asked: PlayRequest, said: PageText, socket: RecorderSocket, visit: PageVisit
    ) -> PublishEnding:
        publisher = self._publishers.get(said.resume) if said.resume else None
        again = publisher is not None and (publisher.asked.app, publisher.asked.name) == (asked.app, asked.name)
        if publisher is None or not again:
            publisher = RecorderPublisher(self._host, secrets.token_hex(16), asked, self._over)
            if (ending := await publisher.enter(said)) is not None:
                return ending
            self._publishers[publisher.ident] = publisher
        else:
            self.stats.resumed += 1
        visit.carries(publisher)
        return await publisher.run(socket, again=again)

    async def _start(self, socket: RecorderSocket) -> PageText | PublishEnding:
        """The first text."""
        try:
            async with asyncio.timeout(START):
                first = await socket.read()
            if first is None:
                return PublishEnding("closed")
            said = texts.read_text(first, converts=self._host.converts) if isinstance(first, str) else None
            if said is None or said.type != "start":
                return PublishEnding("parameters", "the first thing to send is a start")
        except TimeoutError:
            return PublishEnding("late", f"no start within {START:g} s")
        except OSError:
            return PublishEnding("lost")
        except Exception as error:
            ending = ending_of(error)
            if ending is None:
                raise
            return ending
        return said

    def whose(self, app: str, ident: str) -> str:
        """As `hlsd.ports.recorder.RecorderDesk`."""
        publisher = self._publishers.get(ident)
        return publisher.name if publisher is not None and publisher.asked.app == app else ""

    def sweep(self) -> None:
        """As `hlsd.ports.recorder.RecorderDesk`."""
        now = self._host.clock.monotonic()
        guard = self._host.faults.guard("recorder_sweep")
        for publisher in self.publishers:
            with guard:
                publisher.sweep(now)

    async def gone(self, seconds: float) -> None:
        """As `hlsd.ports.recorder.RecorderDesk`."""
        await self._connected.gone(seconds)

    def figures(self) -> Sequence[Reporter]:
        """Who reports its figures."""
        return (RecorderFigures(self.stats, lambda: self.publishers, self._label),)

    def _over(self, publisher: RecorderPublisher) -> None:
        self._publishers.pop(publisher.ident, None)
