"""Publishes what one SRT peer sends: the door of RTMP (`hlsd.ports.Admission`), and behind it what MPEG-TS has.

Law: a publication is ended exactly once, unless the hub has dropped it: then nothing of it is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hlsd.base.errors import UnsupportedCodec
from hlsd.base.remarks import Remarks
from hlsd.ingest.mpeg.ts_demuxer import TsDemuxer
from hlsd.ingest.share import HELD_BACK
from hlsd.ports import LineState

if TYPE_CHECKING:
    from hlsd.base.clock import Clock
    from hlsd.base.faults import Faults
    from hlsd.base.logger import Log
    from hlsd.ingest.mpeg.media import MpegMedia
    from hlsd.ingest.srt.link import Link
    from hlsd.ports import Publication

NO_TS: Final = 64 * 1024
"""Bytes in which there must be packets of a transport stream."""


@dataclass(frozen=True, slots=True)
class SrtHost:
    """What a publisher knows of the server. `mpeg_media` takes what a publication sends.

    `first` and `idle`: seconds for the first media, and between two later.
    """

    clock: Clock
    log: Log
    faults: Faults
    mpeg_media: Callable[[Publication, float], MpegMedia]
    first: float
    idle: float


class SrtPublisher:
    """One publisher as the hub and its connection see it; `gone(reason)` is called when the server ends it."""

    def __init__(self, host: SrtHost, app: str, ip: str, gone: Callable[[str], None]) -> None:
        self.name = ""
        """The stream's, once it is let in: what it came with may be its key."""
        self.dropped = ""
        """Why the hub has let it go."""
        self.link: Link | None = None
        self._host = host
        self._app = app
        self._ip = ip
        self._gone = gone
        self._words = ""
        self._demuxer = TsDemuxer()
        self._media: MpegMedia | None = None
        self._publication: Publication | None = None
        self._heard = 0.0
        self._octets = 0
        self._remarks = Remarks(self._remark)

    # -- as the hub sees it

    def drop(self, reason: str) -> None:
        """The publication is gone already and must not be touched again."""
        self.dropped = reason
        self._publication = None
        if self._words:
            self._remark("publisher dropped", {"reason": self._words})
        media, self._media = self._media, None
        if media is not None:
            with self._host.faults.guard("srt_publisher"):
                media.release()
        self._gone(reason)

    def hear(self, words: str) -> None:
        """What the hub says before it drops: of SRT no peer has an ear for it, the log has."""
        self._words = words

    def held(self) -> int:
        """Bytes of its media that wait here."""
        link, media = self.link, self._media
        return (
            self._demuxer.held
            + (link.inbound.bytes if link is not None else 0)
            + (media.held if media is not None else 0)
        )

    def line(self) -> LineState | None:
        """How its packets come through."""
        link = self.link
        if link is None:
            return None
        counts = link.inbound.counts
        lost = counts.lost
        return LineState(not link.ended, lost / max(1, lost + counts.received), link.round_trip if link.measured else 0)

    # -- as its connection sees it

    def begin(self, publication: Publication, link: Link, now: float) -> None:
        """It is let in."""
        self._publication = publication
        self.name = publication.name
        self.link = link
        self._heard = now
        self._media = self._host.mpeg_media(publication, now)

    def feed(self, payloads: list[bytes], now: float) -> None:
        """Takes what its connection handed on."""
        octets = payloads[0] if len(payloads) == 1 else b"".join(payloads)
        publication, media = self._publication, self._media
        if publication is None or media is None:
            return
        self._octets += len(octets)
        publication.received(len(octets))
        wall = self._host.clock.wall()

        def work() -> None:
            for item in self._demuxer.feed(octets):
                if media.take(item, now, wall):
                    self._heard = now
                if self._media is not media:  # dropped meanwhile
                    return

        self._guarded(work)
        if not self._demuxer.synced and self._octets > NO_TS:
            self.end("error:protocol", "what it sends is no MPEG transport stream")

    def hold_back(self, now: float) -> None:
        """Something of it is dropped, as its part of this second is used up."""
        self._remarks.note(HELD_BACK, now)

    def second(self, now: float) -> None:
        """Once a second: patience."""
        media = self._media
        if media is None:
            return
        self._guarded(lambda: media.tick(now))
        patience = self._host.idle if media.begun else self._host.first
        if now - self._heard >= patience:
            self.end("idle", f"no media for {patience:g} s")

    def end(self, reason: str, why: str = "") -> None:
        """Ends the publication, if there is one; nothing happens if it is over."""
        publication, self._publication = self._publication, None
        media, self._media = self._media, None
        if publication is None:
            return
        if why:
            self._remark("publisher ended", {"reason": why})
        guard = self._host.faults.guard("publication_end")
        if media is not None:
            with guard:
                if not reason.startswith("error:"):
                    # libsrt says goodbye with its last packets unsent; some senders keep less than a datagram.
                    for item in self._demuxer.flush(cut=True):
                        media.take(item, self._host.clock.monotonic(), self._host.clock.wall())
            with guard:
                media.close()
        with guard:
            publication.end(reason)
        self._gone(reason)

    # -- how

    def _guarded(self, work: Callable[[], None]) -> None:
        """What media may raise ends this publisher and no other."""
        try:
            work()
        except UnsupportedCodec as error:
            self.end("error:codec", str(error))
        except Exception as error:  # noqa: BLE001 - an error of ours must end this publisher and no other
            self._host.faults.task("srt_publisher", error)
            self.end("error:internal")

    def _remark(self, event: str, facts: Mapping[str, object]) -> None:
        self._host.log.warning(event, app=self._app, name=self.name, ip=self._ip, protocol="srt", **facts)
