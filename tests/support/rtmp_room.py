"""A running RtmpServer with an admission and an intake that only write down what reaches them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hlsd.base.clock import SystemClock
from hlsd.ingest.rtmp_server import RtmpServer
from hlsd.ingest.settings import RtmpSettings
from hlsd.ports import PublishRequest, Refuse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from hlsd.media.sounds import SoundFormat
    from hlsd.media.timed_event import TimedEvent
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import Publication


@dataclass
class NotedPublication:
    """A publication that notes how it ends."""

    name: str = "show"
    origin: int = 0
    bytes_received: int = 0
    ended: list[str] = field(default_factory=list)

    def tracks(self, tracks: Tracks) -> None:
        """Nothing is announced here."""

    def unit(self, unit: AccessUnit) -> None:
        """Nothing is parsed here."""

    def event(self, event: TimedEvent) -> None:
        """Nothing is said here."""

    def as_sent(self, form: SoundFormat, ticks: int, packet: bytes) -> None:
        """Nothing is heard here."""

    def event_lost(self, reason: str) -> None:
        """Nothing is dropped here."""

    def jump(self) -> None:
        """Nothing jumps here."""

    def received(self, size: int) -> None:
        self.bytes_received += size

    def repaired(self, kind: str) -> None:
        """Nothing is repaired here."""

    def left_out(self, codecs: tuple[str, ...]) -> None:
        """Nothing is left out here."""

    def tracks_left_out(self, names: tuple[str, ...]) -> None:
        """Nor here."""

    def converted(self, codecs: tuple[str, ...]) -> None:
        """Nothing is converted here."""

    def remark(self, event: str, facts: Mapping[str, object]) -> None:
        """Nothing is dropped here."""

    def end(self, reason: str) -> None:
        self.ended.append(reason)


class NotedTags:
    """An intake that notes the tags, and raises `raises` at the first one if it is given."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.tags: list[tuple[int, int, bytes]] = []
        self.closed = 0
        self.raises = raises

    def tag(self, type_id: int, timestamp: int, body: bytes, now: float, wall: float) -> None:
        if self.raises is not None:
            raise self.raises
        self.tags.append((type_id, timestamp, body))

    @property
    def held(self) -> int:
        """Nothing is kept but what the test looks at."""
        return 0

    def tick(self, now: float) -> None:
        """Nothing is due here."""

    def close(self) -> None:
        self.closed += 1

    def count(self) -> Counter[int]:
        """How many tags of each type came."""
        return Counter(type_id for type_id, _, _ in self.tags)


class NotedAdmission:
    """Lets in whoever asks, or answers `verdict`, once `gate` is open."""

    def __init__(self, verdict: Refuse | None = None) -> None:
        self.verdict = verdict
        self.requests: list[PublishRequest] = []
        self.publications: list[NotedPublication] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, request: PublishRequest) -> Publication | Refuse:
        self.requests.append(request)
        await self.gate.wait()
        if self.verdict is not None:
            return self.verdict
        publication = NotedPublication(request.name)
        self.publications.append(publication)
        return publication


@dataclass
class Room:
    """The server and what it told its neighbours."""

    server: RtmpServer
    admission: NotedAdmission
    sinks: list[NotedTags]

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.server.port}/live/show"


@contextlib.asynccontextmanager
async def rtmp_room(
    *, admission: NotedAdmission | None = None, raises: Exception | None = None, **settings: object
) -> AsyncIterator[Room]:
    """A server on a free loopback port."""
    doorman = admission or NotedAdmission()
    sinks: list[NotedTags] = []

    def intake(_publication: Publication, _now: float) -> NotedTags:
        sinks.append(NotedTags(raises))
        return sinks[-1]

    config = RtmpSettings.model_validate({"bind": "127.0.0.1", "port": 0, **settings})
    server = RtmpServer(config, doorman, intake, SystemClock())
    await server.start()
    try:
        yield Room(server, doorman, sinks)
    finally:
        doorman.gate.set()
        await server.stop(1.0)
