"""Publishes what comes in packets from who says nothing else and hears nothing: cameras, vehicles, encoders by UDP.

Its connection, or the port it sends to, hands in what it has taken apart (`take`); the door is that of RTMP
(`hlsd.ports.Admission`). Law: a publication is ended exactly once, unless the hub has dropped it: then nothing of it is
called again. What comes before it is let in waits, at most `WAITING` bytes of it; what is beyond its part of the
processor is dropped, as by a lossy line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.file_form import size_of
from hlsd.ingest.mpeg.items import MpegLoss
from hlsd.ingest.publish_endings import QUIET, TOLD, conclude
from hlsd.ingest.share import HELD_BACK, Share
from hlsd.media.unit import Kind
from hlsd.ports import PublishRequest, Refuse
from hlsd.ports.flv_body import PublishEnding

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.mpeg.items import MpegItem
    from hlsd.ingest.mpeg.media import MpegMedia
    from hlsd.ports import Admission, Publication

WAITING: Final = 4 << 20
"""Bytes that wait for the door."""


@dataclass(frozen=True, slots=True)
class PacketHost:
    """What publishers know of the server. `make_media` makes what takes the items of one."""

    admission: Admission
    make_media: Callable[[Publication, float], MpegMedia]
    clock: Clock
    log: Log
    faults: Faults


class PacketOrigin(NamedTuple):
    """Who publishes, and where to. `idle`: seconds without media after which it has left."""

    app: str
    name: str
    protocol: str
    ip: str
    port: int
    idle: float
    query: Mapping[str, str] = {}


@dataclass
class PacketPublisher:
    """One publication; `over` is called once when it is. `held`: bytes that its source has not handed in yet."""

    host: PacketHost
    origin: PacketOrigin
    over: Callable[[PublishEnding], None]
    held: Callable[[], int] = lambda: 0
    name: str = ""
    """The stream's, once it is let in: what it came with may be its key."""
    share: Share = field(default_factory=Share)
    _publication: Publication | None = None
    _media: MpegMedia | None = None
    _ending: PublishEnding | None = None
    _words: str = ""
    _waiting: list[MpegItem] = field(default_factory=list)
    _waiting_bytes: int = 0
    _uncounted: int = 0
    _gap: bool = False
    """Something was dropped here."""
    _heard: float = 0.0

    def __post_init__(self) -> None:
        """It has been heard of now."""
        self._heard = self.host.clock.monotonic()
        self._remarks = Remarks(self._remark)

    # -- as the hub sees it

    def drop(self, reason: str) -> None:
        """The publication is gone already and must not be touched again."""
        media, self._media, self._publication = self._media, None, None
        if media is not None:
            with self.host.faults.guard("publication_end"):
                media.release()
        self._conclude(PublishEnding(reason, self._words or reason))

    def hear(self, words: str) -> None:
        """What the hub says before it drops."""
        self._words = words

    def waiting(self) -> int:
        """Bytes of its media that wait here."""
        media = self._media
        return self.held() + self._waiting_bytes + (media.held if media is not None else 0)

    # -- as its source sees it

    @property
    def live(self) -> bool:
        """Whether it is let in."""
        return self._media is not None

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._ending is not None

    async def enter(self) -> None:
        """Asks for the name; what comes meanwhile waits."""
        host, origin = self.host, self.origin
        request = PublishRequest(
            app=origin.app,
            name=origin.name,
            protocol=origin.protocol,
            ip=origin.ip,
            port=origin.port,
            drop=self.drop,
            tell=self.hear,
            held=self.waiting,
            query=origin.query,
        )
        try:
            verdict = await host.admission.publish(request)
            if isinstance(verdict, Refuse):
                self._conclude(PublishEnding(verdict.code.value, verdict.reason))
            elif self._ending is not None:  # its source has left meanwhile, or it was thrown out in the same breath
                verdict.end(TOLD.get(self._ending.reason, self._ending.reason))
            else:
                self._publication, self.name = verdict, verdict.name
                self._heard = host.clock.monotonic()
                self._media = host.make_media(verdict, self._heard)
                verdict.received(self._uncounted)
                items, self._waiting, self._waiting_bytes = self._waiting, [], 0
                self._give(items)
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)

    def take(self, items: list[MpegItem], size: int) -> None:
        """Takes what is whole with the last `size` bytes that came."""
        if self._ending is not None:
            return
        if self._media is None:
            self._keep(items, size)
            return
        assert self._publication is not None
        self._publication.received(size)
        if items:
            if self.share.exhausted:
                self._gap = True
                self._remarks.note(HELD_BACK, self.host.clock.monotonic(), seconds=round(self.share.spent, 2))
            else:
                self._give(items)

    def sweep(self, now: float) -> None:
        """Once a second: what is due, and a new second's share of the processor."""
        self.share.second()
        media = self._media
        if self._ending is not None:
            return
        try:
            if media is not None:
                media.tick(now)
            if now - self._heard >= self.origin.idle:
                self.end(PublishEnding("idle", f"no media for {self.origin.idle:g} s"))
        except UnsupportedCodec as error:
            self.end(PublishEnding("codec", str(error)))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)

    def end(self, ending: PublishEnding) -> None:
        """Ends the publication, if there is one; nothing happens if it is over."""
        if self._ending is not None:
            return
        publication, media = self._publication, self._media
        self._publication = self._media = None
        conclude(media, publication, ending.reason, self.host.faults)
        self._conclude(ending)

    # -- how

    def _keep(self, items: list[MpegItem], size: int) -> None:
        self._uncounted += size
        for item in items:
            self._waiting.append(item)
            self._waiting_bytes += size_of(item) + 64
        if self._waiting_bytes > WAITING:
            self._waiting, self._waiting_bytes, self._gap = [], 0, True

    def _give(self, items: list[MpegItem]) -> None:
        media, clock, share = self._media, self.host.clock, self.share
        assert media is not None
        now, wall = clock.monotonic(), clock.wall()
        share.start()
        try:
            if self._gap:
                self._gap = False
                media.take(MpegLoss(Kind.VIDEO), now, wall)
            for item in items:
                if media.take(item, now, wall):
                    self._heard = now
                if self._media is None:  # it was sent away by what came of that
                    break
        except UnsupportedCodec as error:
            self.end(PublishEnding("codec", str(error)))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._fail(error)
        share.stop()

    def _fail(self, error: Exception) -> None:
        self.host.faults.task(f"{self.origin.protocol}_publisher", error)
        self.end(PublishEnding("error:internal"))

    def _conclude(self, ending: PublishEnding) -> None:
        if self._ending is not None:
            return
        self._ending = ending
        self._waiting, self._waiting_bytes = [], 0
        if ending.reason not in QUIET:
            level = self.host.log.warning if self.name else self.host.log.info
            level("publisher refused", reason=ending.words, **self._facts())
        self.over(ending)

    def _facts(self) -> dict[str, object]:
        origin = self.origin
        return {"app": origin.app, "name": self.name, "ip": origin.ip, "protocol": origin.protocol}

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self.host.log.warning(event, **self._facts(), **facts)


def begins(items: list[MpegItem]) -> bool:
    """Whether there is anything to publish in these: what is missing alone asks for no name."""
    return any(not isinstance(item, MpegLoss) for item in items)
