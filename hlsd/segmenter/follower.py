"""Is a rendition that lists what the leading one has cut, with pictures of its own: transcoded, or none at all.

Law: a part of it has the ticks, the sound and the events of the leading rendition's part, and of pictures those that
were made for its places (`hlsd.ports.renditions`). It waits for them no longer than `PATIENCE`. What is not there from
the beginning of a segment, or ends in the middle, is a gap of the same length (MP23, EXT-X-GAP), so that numbers, dates
and discontinuities stay those of all (MV12); before its first segment it only counts. A rendition joins at a segment
that begins with a key picture of its own.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.segmenter.cut import Sample
from hlsd.segmenter.listing import Listing
from hlsd.stats import AppStats

if TYPE_CHECKING:
    from hlsd.media.date_range import DateRange
    from hlsd.media.unit import VideoTrack
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.rendition import RenditionRun
    from hlsd.segmenter.window import Window

PATIENCE: Final = 3 * TICKS
"""Media by which it may be behind the leading rendition; what has not been made then is left out."""
MOST: Final = 1024
"""Pictures that wait for their part."""
EARLY: Final = 2
"""Segments of the leading rendition after which viewers at the door wait no more for this one to begin."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The leading rendition begins a timeline; `mapped`: as fMP4; `discontinuity`: behind another one."""

    tracks: Tracks
    mapped: bool
    discontinuity: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """It has listed a part in segment `msn`, which begins at `date`; `places`: the source's ticks of its pictures."""

    cut: Cut
    places: tuple[int | None, ...]
    msn: int
    date: float


class Seam:
    """Its timeline has ended, and the open segment with it."""


class Discard:
    """Its timeline has ended before anything of it was shown."""


class End:
    """Nothing will follow."""


Told = Beginning | Followed | Seam | Discard | End


class Follower:
    """One such rendition (`hlsd.ports.RenditionFeed`, `hlsd.segmenter.rendition.Rendition`)."""

    muted = False

    def __init__(self, run: RenditionRun, name: str, bitrate: int, *, pictures: bool = True) -> None:
        self.name = name
        """Of the rendition, in URLs."""
        self.run = run
        self.dropped = False
        """As `hlsd.ports.RenditionFeed`."""
        self.broken = False
        """Something of ours has raised: it is told nothing more."""
        self._log = structlog.get_logger().bind(run=run.id, rendition=name)
        self.listing = Listing(
            self,
            finished=lambda _: None,
            overflow=lambda: None,
            stats=AppStats(),  # what an app's segments are like is said of the media as it came
            log=self._log,
        )
        self.live: Live = self.listing.live
        self.window: Window = self.listing.window
        self.live.bitrate = bitrate
        self.live.awaited = pictures
        run.join(self)
        self._with_pictures = pictures
        self._told: deque[Told] = deque()
        self._newest = 0  # where the leading rendition has come to, ticks
        self._made: dict[int, tuple[AccessUnit, VideoTrack]] = {}
        self._settled = -1
        self._coming = pictures  # whether somebody makes pictures
        self._on = False  # whether the segment under way has media, and goes on to have
        self._begun: Beginning | None = None  # the timeline under way
        self._fresh = False  # nothing of it has been listed yet
        self._bare = True  # nothing but gaps
        self._muxed = False  # whether there is a muxer for it
        self._track: VideoTrack | None = None
        self._owed = 0  # discontinuities before the first segment
        self._counting = False  # in the middle of a segment that is only counted
        self._passed = 0  # segments that were

    # As the run and delivery see it.

    @property
    def counts(self) -> Counter[str]:
        """Listed so far, by kind."""
        return self.listing.counts

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame: those of the leading rendition are counted there."""
        return 0

    @property
    def frame_rate(self) -> float:
        """Frames per second, as measured."""
        return self.listing.frame_rate

    def allow(self, bitrate: float) -> None:
        """Lets the window grow with what comes in."""
        self.listing.allow(bitrate)

    # As its encoder sees it.

    def picture(self, unit: AccessUnit, track: VideoTrack) -> None:
        """As `hlsd.ports.RenditionFeed`."""
        if self.dropped or self.broken:
            return
        self._coming = True
        if len(self._made) >= MOST:
            del self._made[next(iter(self._made))]
        self._made[unit.dts] = unit, track

    def settled(self, dts: int) -> None:
        """As `hlsd.ports.RenditionFeed`."""
        if dts > self._settled:
            self._settled = dts
            self._advance()

    def away(self) -> None:
        """As `hlsd.ports.RenditionFeed`."""
        self._coming = False
        self._advance()  # with what there is
        self._made.clear()
        self._on = self._on and not self._with_pictures

    def drop(self) -> None:
        """As `hlsd.ports.RenditionFeed`: who plays it is told of gaps, and goes elsewhere."""
        self.dropped = self.live.withdrawn = True
        self.live.awaited = False
        self.away()
        self._news()

    # As the ladder sees it.

    def tell(self, what: Told) -> None:
        """The leading rendition has done something."""
        self._told.append(what)
        if isinstance(what, Followed):
            self._newest = what.cut.start + what.cut.duration
        self._advance()

    def date_range(self, told: DateRange) -> None:
        """Another date range for the playlist."""
        segment = self.window.open
        if segment is not None:
            self.window.ranges.add(told, segment.msn, len(segment.parts))
        else:
            self.window.ranges.add(told, self.window.last_msn + 1)
        self.live.changed()

    def fail(self, error: Exception) -> None:
        """A fault of ours: it stays as it is, and nobody is led to it any more."""
        self.broken = self.dropped = self.live.withdrawn = True
        self.live.awaited = False
        self._told.clear()
        self._made.clear()
        self.run.faults.output("rendition", error, run=self.run.id, rendition=self.name)
        self.live.halted(True)
        self.live.changed()

    def _advance(self) -> None:
        if self.broken:
            return
        try:
            told = self._told
            while told and self._is_due(told[0]):
                self._do(told.popleft())
        except Exception as error:  # noqa: BLE001 - an encoder's answer must not end who reads it
            self.fail(error)

    def _is_due(self, what: Told) -> bool:
        if not isinstance(what, Followed) or not self._coming:
            return True
        last = next((place for place in reversed(what.places) if place is not None), None)
        if last is None or self._settled >= last:
            return True
        return self._newest - (what.cut.start + what.cut.duration) > PATIENCE

    def _do(self, what: Told) -> None:
        match what:
            case Followed():
                self._follow(what)
            case Beginning():
                self._begun, self._fresh, self._bare, self._on, self._muxed = what, True, True, False, False
                self._owed = int(what.discontinuity)
            case Seam():
                self._on = False
                if self._counting:
                    self._pass_segment()
                if self.window.open is not None:
                    self.listing.close([])
            case Discard():
                self._on = self._counting = False
                if self.window.open is not None:
                    self.listing.discard()
            case End():
                self.listing.end()
                self._seen()

    def _follow(self, told: Followed) -> None:
        cut = told.cut
        samples, track, skipped = self._own(told)
        if cut.opens:
            self._open(told, samples, track)
        if not self._on and self._empty:
            self._counting = not cut.closes
            if cut.closes:
                self._pass_segment()
            return
        if cut.opens and self.window.last_msn + 1 != told.msn:
            raise AssertionError(f"segment {self.window.last_msn + 1} stands for {told.msn}")
        if self._on:
            cut = replace(cut, video=samples, independent=self._independent(cut, samples))
            self._bare = self._bare and not (samples or cut.audio)
        else:
            cut = replace(cut, video=(), audio=(), events=())
        self.listing.note_arrival(told.date - cut.start / TICKS)
        self.listing.take([cut])
        if self._on:
            self.listing.note_span(skipped)
        if self.listing.lost:
            self._on = False
        self._seen()

    def _open(self, told: Followed, samples: tuple[Sample, ...], track: VideoTrack | None) -> None:
        """A segment begins: whether it has media."""
        begun, cut = self._begun, told.cut
        if begun is None or self.dropped:
            self._on = False
        elif not self._with_pictures:
            self._on = begun.tracks.audio is not None
        elif self._on and not cut.independent:
            pass  # the source had no key picture either: what goes on goes on
        else:
            self._on = bool(samples) and samples[0].unit.key and (self._bare or track == self._track)
        if self._empty and (self._on or self._fresh):
            self.window.discontinuity_sequence += self._owed
            self._owed = 0
        if self._on and (self._fresh or self._bare):
            self._begin(track, again=not self._fresh)
        elif self._fresh and not self._empty:
            self._begin(self._track, again=False)
        self._fresh = False

    def _begin(self, track: VideoTrack | None, *, again: bool) -> None:
        """A timeline of this rendition; `again`: there were only gaps since the one that was begun before."""
        begun = self._begun
        assert begun is not None
        tracks = Tracks(track if self._with_pictures else None, begun.tracks.audio)
        if tracks.video is None and tracks.audio is None:
            self._on = False
            return
        if again and self._muxed and self.listing.tracks == tracks:
            return
        self._track = track
        self._muxed = True
        self.listing.begin(tracks, None, mapped=begun.mapped, continues=again)

    def _own(self, told: Followed) -> tuple[tuple[Sample, ...], VideoTrack | None, int]:
        """The part's pictures, what they belong to, and the ticks before the first of them."""
        samples: list[Sample] = []
        track: VideoTrack | None = None
        before = 0
        made = self._made
        for sample, place in zip(told.cut.video, told.places, strict=True):
            found = made.get(place) if place is not None else None
            if found is None:  # left out: the one before it stands for as much longer
                if samples:
                    samples[-1] = Sample(samples[-1].unit, samples[-1].duration + sample.duration)
                else:
                    before += sample.duration
                continue
            unit, its = found
            if track is not None and its != track:
                break  # it belongs to what comes
            track, moved = its, sample.unit.dts - unit.dts
            own = AccessUnit(
                Kind.VIDEO, sample.unit.dts, unit.pts + moved, unit.key, unit.clean, unit.payload, sample.unit.arrived
            )
            samples.append(Sample(own, sample.duration))
        last = max((place for place in told.places if place is not None), default=None)
        if last is not None:
            for place in [place for place in made if place <= last]:
                del made[place]
        return tuple(samples), track, before

    def _independent(self, cut: Cut, samples: tuple[Sample, ...]) -> bool:
        if not self._with_pictures:
            return bool(cut.audio)
        return bool(samples) and samples[0].unit.key

    @property
    def _empty(self) -> bool:
        """Whether nothing has been listed yet, so that numbers are only counted."""
        return not self.window.segments and self.window.open is None and not self.window.removed

    def _pass_segment(self) -> None:
        self._counting = False
        self._passed += 1
        self.window.pass_over()
        self._seen()

    def _seen(self) -> None:
        """Viewers at the door wait for its first playlist, for a while."""
        if self.live.awaited and (self.window.target_duration or self._passed >= EARLY or self.window.ended):
            self.live.awaited = False
            self._news()

    def _news(self) -> None:
        if self.run.target_duration:
            self.run.main.live.changed()
