"""Publishes what one page records, by one connection after the other: RTMP's door, and the same `Normaliser` behind it.

Law: a publication is ended exactly once, unless the hub has dropped it: then nothing of it is called again. What was
taken is counted before anything else can happen, so that a page can go on from the very byte; nothing is read while
what was read before waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.base.upkeep import end
from hlsd.ingest.publish_endings import QUIET, conclude
from hlsd.ingest.recorder import texts
from hlsd.ingest.recorder.chunks import ChunkReader
from hlsd.ingest.recorder.container import ContainerReader
from hlsd.ingest.recorder.endings import ending_of
from hlsd.ingest.recorder.media import RecordedMedia
from hlsd.ingest.recorder.pieces import RecordedPiece
from hlsd.ingest.turns import Turns
from hlsd.ports import PublishRequest, Refuse
from hlsd.ports.flv_body import PublishEnding
from hlsd.ports.recorder import BACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.recorder.container import RecordingReader
    from hlsd.ingest.recorder.pieces import RecordedItem
    from hlsd.ingest.recorder.texts import PageText
    from hlsd.ports import Admission, PlayRequest, Publication, SoundDesk
    from hlsd.ports.connecting import ConnectDesk
    from hlsd.ports.converted_pictures import PictureDesks
    from hlsd.ports.recorder import RecorderSocket

_LOST: Final = PublishEnding("lost")


@dataclass(frozen=True, slots=True)
class RecorderHost:
    """What a publisher knows of the server.

    `first`, `idle` and `grace`: seconds for the first media, between two pieces of it later on, and for who was cut off
    or pauses.
    """

    admission: Admission
    clock: Clock
    log: Log
    faults: Faults
    sound: SoundDesk | None
    first: float
    idle: float
    grace: float
    pictures: PictureDesks = lambda: None
    connections: ConnectDesk | None = None

    @property
    def converts(self) -> bool:
        """Whether pictures that are not carried are converted."""
        return self.pictures() is not None


class RecorderPublisher:
    """One publication; `over(self)` is called when it is. Whoever knows `ident` may go on with it."""

    def __init__(
        self, host: RecorderHost, ident: str, asked: PlayRequest, over: Callable[[RecorderPublisher], None]
    ) -> None:
        self.ident = ident
        self.asked = asked
        self.taken = 0
        """Bytes of the recording under way that need not be sent again."""
        self.received = 0
        """Bytes of recordings that have come in all."""
        self._host = host
        self._gone = over
        self.name = ""
        """The stream's public name, known once it is let in: what it came with may be its key."""
        self._reader: RecordingReader = ContainerReader()
        self._items: deque[RecordedItem] = deque()
        """What was read and is not worked on yet."""
        self._media: RecordedMedia | None = None
        self._publication: Publication | None = None
        self._turns = Turns(Remarks(self._remark), host.clock)
        self._words = ""
        self._heard = 0.0
        """When the last media came (monotonic)."""
        self._told_live = False
        self._acked = -1
        """What was acknowledged last of this recording."""
        self._away: float | None = None
        """Since when it has no connection."""
        self._paused: float | None = None
        self._socket: RecorderSocket | None = None
        self._feeding: asyncio.Task[PublishEnding | None] | None = None
        self.over: asyncio.Future[PublishEnding] = asyncio.get_running_loop().create_future()
        """How it ended."""

    # -- as the hub sees it

    def drop(self, reason: str) -> None:
        """The publication is gone already and must not be touched again."""
        self._publication = None
        media, self._media = self._media, None
        if media is not None:
            with self._host.faults.guard("publication_end"):  # whatever it is, its entry must go
                media.release()
        self._conclude(PublishEnding(reason, self._words or reason))

    def hear(self, words: str) -> None:
        """What the hub says before it drops."""
        self._words = words

    def held(self) -> int:
        """Bytes of its media that wait here."""
        socket, media = self._socket, self._media
        waiting = sum([len(item.data) for item in self._items if isinstance(item, RecordedPiece)])
        waiting += socket.held if socket is not None else 0
        return self._reader.held + waiting + (media.held if media is not None else 0)

    @property
    def app(self) -> str:
        """Where it publishes."""
        return self.asked.app

    @property
    def away(self) -> bool:
        """Whether it has no connection."""
        return self._away is not None

    @property
    def lag(self) -> float:
        """How late what it sends comes, seconds."""
        media = self._media
        return media.clock.lag(self._host.clock.monotonic()) if media is not None else 0.0

    # -- as its room sees it

    async def enter(self, said: PageText) -> PublishEnding | None:
        """Asks for the name; None if it is let in."""
        host, asked = self._host, self.asked
        request = PublishRequest(
            app=asked.app,
            name=asked.name,
            protocol=asked.protocol,
            ip=asked.ip,
            port=asked.port,
            drop=self.drop,
            tell=self.hear,
            held=self.held,
            away=lambda: self.away,
            query=asked.query,
            user_agent=asked.user_agent,
            referer=asked.referer,
            bearer=asked.bearer,
        )
        try:
            verdict = await host.admission.publish(request)
            if isinstance(verdict, Refuse):
                self._conclude(PublishEnding(verdict.code.value, verdict.reason))
            elif not self.over.done():  # unless it was let in and thrown out in one breath
                self._publication = verdict
                self.name = verdict.name
                self._heard = host.clock.monotonic()
                self._media = RecordedMedia(verdict, self._heard, host.sound, host.pictures)
                self._begin(said)
                host.log.info("recording begins", **self._facts(), mime=said.mime, **dict(said.facts))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)
        return self.over.result() if self.over.done() else None

    async def run(self, socket: RecorderSocket, *, again: bool) -> PublishEnding:
        """Publishes what comes by a connection, to its end or that of the publication; `again`: it is not the first."""
        self._attach(socket, again=again)
        feeding = self._feeding = asyncio.create_task(self._feed(socket))
        try:
            await asyncio.wait((feeding, self.over), return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not feeding.cancelled() and (ending := feeding.result()) is not None:
                self.end(ending)
            if self.over.done():
                return self.over.result()
            return _LOST
        finally:
            await end(feeding)
            self._detach(socket)

    def sweep(self, now: float) -> None:
        """Once a second: what is due, and a new second's share of the processor."""
        self._turns.second()
        host, media, socket = self._host, self._media, self._socket
        if media is None:
            return
        try:
            media.tick(now)
        except UnsupportedCodec as error:
            self.end(PublishEnding("codec", str(error)))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)
        patience = host.idle if media.begun else host.first
        if self._away is not None:
            if now - self._away >= host.grace:
                self.end(_LOST)
        elif self._paused is not None:
            if now - self._paused >= host.grace:
                self.end(PublishEnding("idle", f"paused for more than {host.grace:g} s"))
        elif now - self._heard >= patience:
            self.end(PublishEnding("idle" if media.begun else "late", f"no media for {patience:g} s"))
        if socket is not None and not self.over.done():
            socket.tick(now)
            self._acknowledge(socket, media)

    def end(self, ending: PublishEnding) -> None:
        """Ends the publication, if there is one; nothing happens if it is over."""
        if self.over.done():
            return
        publication, media = self._publication, self._media
        self._publication = self._media = None
        conclude(media, publication, ending.reason, self._host.faults)
        self._conclude(ending)

    # -- its connection

    def _attach(self, socket: RecorderSocket, *, again: bool) -> None:
        old, self._socket = self._socket, socket
        if old is not None:  # the page knows sooner than we do that it is dead
            if self._feeding is not None:
                self._feeding.cancel()
            old.cut()
        socket.admitted()
        self._away = None
        self._heard = self._host.clock.monotonic()
        if again:
            self._resume()  # if it still pauses it says so again
            self._host.log.info("publisher is back", **self._facts())
        socket.tell(texts.ready(self.ident, self.taken if again else None))
        if again and self._told_live:
            socket.tell(texts.state("live"))

    def _detach(self, socket: RecorderSocket) -> None:
        if self._socket is not socket:
            return
        self._socket = self._feeding = None
        if not self.over.done():
            self._away = self._host.clock.monotonic()
            self._host.log.info("publisher is away", **self._facts())

    def _acknowledge(self, socket: RecorderSocket, media: RecordedMedia) -> None:
        """Says what has been taken, and the lag; not again in a pause in which nothing comes."""
        if media.begun and (self._paused is None or self.taken != self._acked):
            socket.tell(texts.ack(self.taken, self.lag))
            self._acked = self.taken

    # -- the work

    async def _feed(self, socket: RecorderSocket) -> PublishEnding | None:
        """How the publication is to end; None if it is this connection's end only."""
        try:
            return await self._work(socket)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            ending = ending_of(error, self._reader.position)
            if ending is None:
                self._fail(error)
            return ending

    async def _work(self, socket: RecorderSocket) -> PublishEnding | None:
        """Works on what comes. Raises as `read` and `RecordedMedia.take` do."""
        share, items = self._turns.share, self._items
        while True:
            if items:
                await self._hand_over(socket)
            if share.exhausted:
                await self._turns.next_second()
            try:
                said = await socket.read()
            except OSError:  # of the connection: any other one is ours
                return None
            if said is None:
                return None if socket.code == BACK else PublishEnding("closed")
            share.start()
            if isinstance(said, str):
                self._listen(said, socket)
            elif (publication := self._publication) is not None:
                publication.received(len(said))
                self.received += len(said)
                self.taken += len(said)
                items += self._reader.feed(said)
            else:
                return None
            if share.used_up():  # what was read need not have been media
                await self._turns.give_way()
            share.stop()

    async def _hand_over(self, socket: RecorderSocket) -> None:
        """Works on what waits, as much in a turn as others can bear."""
        share, items, clock = self._turns.share, self._items, self._host.clock
        now, wall = clock.monotonic(), clock.wall()
        share.start()
        while items:
            media = self._media
            if media is None:
                items.clear()
                break
            item = items.popleft()
            media.take(item, now, wall)
            if isinstance(item, RecordedPiece):
                self._heard = now
                if not self._told_live:
                    self._told_live = True
                    socket.tell(texts.state("live"))
            if share.used_up():
                await self._turns.give_way()
                now, wall = clock.monotonic(), clock.wall()
        share.stop()

    # -- what it says

    def _listen(self, text: str, socket: RecorderSocket) -> None:
        """Takes a text. Raises BadText, UnsupportedCodec."""
        said = texts.read_text(text, converts=self._host.converts)
        if said.type == "start":
            self._begin(said)
            socket.tell(texts.ready(self.ident))
        elif said.type == "pause":
            self._pause(socket)
        elif said.type == "resume":
            self._resume()
            if self._told_live:
                socket.tell(texts.state("live"))
        else:
            socket.tell(texts.complaint("a text of a type that is not known"))

    def _begin(self, said: PageText) -> None:
        """A recording begins; what is not whole of the one before is dropped."""
        self._reader = ChunkReader() if said.mime == texts.CHUNKS else ContainerReader()
        self.taken = 0
        self._acked = -1
        self._resume()
        media, now = self._media, self._host.clock.monotonic()
        if media is not None:
            media.clock.begin(now)
            if said.codecs:
                media.normaliser.expect(picture=said.picture, sound=said.sound, now=now)
            if said.converted and self._host.sound is not None:
                self._host.sound.warm()  # before its first packet, which the picture would have to wait for

    def _pause(self, socket: RecorderSocket) -> None:
        media = self._media
        if self._paused is None and media is not None:
            self._paused = self._host.clock.monotonic()
            media.clock.pause(self._paused)
            socket.tell(texts.state("away"))

    def _resume(self) -> None:
        media = self._media
        if self._paused is not None and media is not None:
            self._paused = None
            self._heard = self._host.clock.monotonic()
            media.resume(self._heard)

    # -- the end

    def _fail(self, error: Exception) -> None:
        self._host.faults.task("recorder_publisher", error)
        self.end(PublishEnding("error:internal"))

    def _conclude(self, ending: PublishEnding) -> None:
        if self.over.done():
            return
        self._items.clear()
        self.over.set_result(ending)
        if ending.reason not in QUIET and self.name:
            self._host.log.warning("publisher refused", reason=ending.words, **self._facts())
        self._gone(self)

    def _facts(self) -> dict[str, object]:
        return {"app": self.asked.app, "name": self.name, "ip": self.asked.ip, "protocol": self.asked.protocol}

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._host.log.warning(event, **self._facts(), **facts)
