"""Is one run of a name as HLS: what all its renditions have in common, and the renditions.

Law: "All media playlists: same TD, same SERVER-CONTROL, PROGRAM-DATE-TIME in all or none with one mapping, same
discontinuity numbers, matching timestamps" (MV12). So the first media sequence number, the target duration, what low
latency promises, the limits of cutting and the wall clock belong to the run. The rendition that was made first leads:
it is cut, and dated; the others list its parts with pictures of their own (`hlsd.segmenter.ladder`). A rendition joins
before the run's first segment.

`main`, the media as it was published, leads and is always there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hlsd.base.faults import Faults
from hlsd.media.unit import TICKS
from hlsd.ports import MAIN, OfferedRendition
from hlsd.segmenter.cut import CutLimits
from hlsd.segmenter.ladder import RenditionLadder
from hlsd.segmenter.live import LiveGroup
from hlsd.segmenter.sinks import Sinks

if TYPE_CHECKING:
    from hlsd.media.segment_keys import SegmentKeys
    from hlsd.ports import MediaRun, SegmentSink
    from hlsd.segmenter.facts import LowLatency
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.rendition import Rendition
    from hlsd.segmenter.settings import HlsSettings


class Run:
    """The HLS of one run (`hlsd.ports.MediaRun`). `id` is a path part, never used again (MP19).

    `keys`: what the main rendition is encrypted by, if it is to be.
    """

    def __init__(  # noqa: PLR0913 - what a run is
        self,
        id: str,  # noqa: A002 - it is one
        settings: HlsSettings,
        *,
        first_msn: int,
        first_discontinuity: int = 0,
        faults: Faults | None = None,
        keys: SegmentKeys | None = None,
    ) -> None:
        self.id = id
        self.settings = settings
        self.first_msn = first_msn
        self.first_discontinuity = first_discontinuity
        self.faults = faults or Faults()
        self.target_duration = 0
        """EXT-X-TARGETDURATION, seconds; 0 until the first rendition is to be shown."""
        self.promises: LowLatency | None = None
        """What low latency promises, fixed with it; None if nothing."""
        self.limits = CutLimits(
            segment_target=round(settings.time * TICKS),
            segment_limit=round(settings.max_segment * TICKS),
            part_target=round(settings.part * TICKS),
            segment_bytes=settings.max_segment_bytes,
        )
        self.ladder = RenditionLadder(self)
        """The renditions beside the leading one."""
        self.group = LiveGroup(keys)
        self.sinks = Sinks(self.faults)
        self.renditions: dict[str, Rendition] = {}
        """By name, the leading one first."""

    # -- as its renditions see it

    def join(self, rendition: Rendition) -> None:
        """Takes one in; its name stands in URLs."""
        assert rendition.name not in self.renditions
        assert not any(other.window.segments for other in self.renditions.values())
        self.renditions[rendition.name] = rendition

    @property
    def watched(self) -> bool:
        """Whether somebody waits for what is next of any rendition."""
        lives = self.group.lives  # asked for each unit until there is a playlist
        return lives[0].watched or (len(lives) > 1 and any(live.watched for live in lives))

    def date(self, rendition: Rendition, msn: int, own: float) -> float:
        """The wall clock of a segment's first frame: the leading rendition's if it has that segment, else `own`."""
        leader = self._leader
        if rendition is not leader:
            window = leader.window
            for segment in (window.open, *reversed(window.segments), *reversed(window.removed)):
                if segment is not None and segment.msn == msn:
                    return segment.date
        return own

    def aim(self, target_duration: int) -> int:
        """The target duration: that of the first rendition that asks (TL05, MV12)."""
        self.target_duration = self.target_duration or target_duration
        return self.target_duration

    def promise(self, promises: LowLatency) -> LowLatency:
        """What low latency promises: what it promised first (LL07)."""
        self.promises = self.promises or promises
        return self.promises

    # -- as the hub and delivery see it

    @property
    def main(self) -> Rendition:
        """The main rendition."""
        return self.renditions[MAIN]

    @property
    def live(self) -> Live:
        """The main rendition as it is served."""
        return self.renditions[MAIN].live

    def offered(self) -> list[OfferedRendition]:
        """What viewers are offered, the main one first."""
        found = []
        for one in self.renditions.values():
            offer = one.live.offer
            if offer is not None:
                tracks, rates = offer
                found.append(
                    OfferedRendition(one.name, tracks, one.frame_rate, rates.bandwidth, rates.average_bandwidth)
                )
        return found

    @property
    def about(self) -> tuple[str, str]:
        """The run's id and its codecs."""
        return self.live.about

    @property
    def bytes(self) -> int:
        """Of media held."""
        return sum([one.window.bytes for one in self.renditions.values()])

    @property
    def kept(self) -> float:
        """Seconds that it stays after its end (EN04)."""
        return max(one.window.duration() + one.window.target_duration for one in self.renditions.values())

    @property
    def ended(self) -> bool:
        """Whether nothing will follow."""
        return self._leader.window.ended

    @property
    def frame_rate(self) -> float:
        """Of the main rendition."""
        return self._leader.frame_rate

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        return self._leader.muted

    @property
    def counts(self) -> Counter[str]:
        """Listed so far, by kind."""
        first, *others = self.renditions.values()
        return sum([one.counts for one in others], first.counts) if others else first.counts

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame."""
        return sum([one.forced_cuts for one in self.renditions.values()])

    def allow(self, bitrate: float) -> None:
        """Lets the windows grow with what comes in."""
        for one in self.renditions.values():
            one.allow(bitrate)

    def shrink(self, to: int) -> None:
        """Lets go of old media: each rendition of as large a part of it as of the others."""
        held, to = self.bytes, max(0, to)
        for one in self.renditions.values() if held > to else ():
            head = one.window.media_sequence
            one.window.shrink(one.window.bytes * to // held)
            if one.window.media_sequence != head:
                one.live.changed()  # another playlist is another version, wherever it is rendered

    def follow(self, previous: MediaRun | None) -> None:
        """Answers for the ended run of the same name too."""
        for name, one in self.renditions.items():
            one.live.follow(previous.live.rendition(name) if previous is not None else None)

    def remove(self) -> None:
        """Gone from the server."""
        self.sinks.clear()
        for one in self.renditions.values():
            one.live.remove()

    def attach(self, name: str, sink: SegmentSink) -> None:
        """Tells `sink` of every segment that is opened from now on."""
        self.sinks.attach(name, sink)

    def detach(self, name: str) -> None:
        """Ends `attach`."""
        self.sinks.detach(name)

    @property
    def _leader(self) -> Rendition:
        return next(iter(self.renditions.values()))
