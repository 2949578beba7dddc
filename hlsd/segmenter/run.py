"""Is one run of a name as HLS: what all its renditions have in common, and the renditions.

Law: "All media playlists: same TD, same SERVER-CONTROL, PROGRAM-DATE-TIME in all or none with one mapping, same
discontinuity numbers, matching timestamps" (MV12). So the first media sequence number, the target duration, what low
latency promises, the limits of cutting and the wall clock belong to the run. The rendition that was made first leads:
it decides where segments end, and by what clock they are dated; the others end theirs at the same ticks
(`FollowingCutter`). A rendition joins before the run's first segment.

`main`, the media as it was published, leads and is always there.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Protocol

from hlsd.base.faults import Faults
from hlsd.media.unit import TICKS
from hlsd.ports import MAIN
from hlsd.segmenter.cut import CutLimits
from hlsd.segmenter.cutter import Cutter
from hlsd.segmenter.live import LiveGroup
from hlsd.segmenter.sinks import Sinks

if TYPE_CHECKING:
    from hlsd.media.unit import AccessUnit, Tracks
    from hlsd.ports import MediaRun, SegmentSink
    from hlsd.segmenter.facts import LowLatency
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.settings import HlsSettings
    from hlsd.segmenter.window import Window

GRID: Final = 64
"""Ends of segments that are remembered: how far a rendition may be behind the leading one."""


class Rendition(Protocol):
    """What a run knows of one of its renditions (`hlsd.segmenter.segmenter.Segmenter`)."""

    name: str
    run: Run
    live: Live
    window: Window

    @property
    def counts(self) -> Counter[str]:
        """Listed so far, by kind."""
        ...

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames per second, as measured."""
        ...

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        ...

    def allow(self, bitrate: float) -> None:
        """Lets the window grow with what comes in."""
        ...


class Run:
    """The HLS of one run (`hlsd.ports.MediaRun`). `id` is a path part, never used again (MP19)."""

    def __init__(
        self,
        id: str,  # noqa: A002 - it is one
        settings: HlsSettings,
        *,
        first_msn: int,
        first_discontinuity: int = 0,
        faults: Faults | None = None,
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
        self.grid = KeyGrid()
        self.group = LiveGroup()
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

    def cutter(self, rendition: Rendition, tracks: Tracks) -> Cutter:
        """A cutter for one timeline of the rendition: the leading one decides, the others follow."""
        if rendition is self._leader:
            return Cutter(tracks, self.limits)
        return FollowingCutter(tracks, self.limits, self.grid)

    def ends(self, rendition: Rendition, at: int) -> None:
        """A segment of the rendition ends at that tick."""
        if rendition is self._leader:
            self.grid.mark(at)

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


class KeyGrid:
    """Where the segments of the leading rendition ended, newest last; ticks."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque(maxlen=GRID)

    def mark(self, at: int) -> None:
        """One more."""
        self._ends.append(at)

    def ends(self, at: int) -> bool:
        """Whether one ended there."""
        return at in self._ends

    def knows(self, at: int) -> bool:
        """Whether what is to be known of that tick is known: the leading rendition is past it."""
        return bool(self._ends) and at <= self._ends[-1]


class FollowingCutter(Cutter):
    """Ends segments where the leading rendition did, whatever its own pictures would allow; parts by the same limits.

    It is fed behind the leading one. Where that has told nothing yet, nothing ends but what may not go on.
    """

    follows = True

    def __init__(self, tracks: Tracks, limits: CutLimits, grid: KeyGrid) -> None:
        super().__init__(tracks, limits)
        self._grid = grid

    def _due(self, unit: AccessUnit, *, may_not: bool) -> bool:
        if self._grid.ends(unit.dts):
            return unit.dts > self._part_start
        return may_not and not self._grid.knows(unit.dts)
