"""Runs one stream through the cutter, the muxer and the window: the HLS output of a stream.

It owns what happens at a seam: changed tracks, a jump of the clock or another publisher finish the open segment with
what it has (TL01) and open the next one with a discontinuity, a fresh muxer and, where it differs, a new
initialisation section (MP18, TL04). A hole in what is sent is left out, and is a seam at the next key picture. It fixes
the target duration and the low-latency promises once, when the first segment is whole (MP03, TL05, LL07).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from hlsd.base.errors import MediaError
from hlsd.media.aac import oddity
from hlsd.media.unit import TICKS, Kind, Tracks
from hlsd.ports import MAIN
from hlsd.segmenter.alignment import LATE, Alignment
from hlsd.segmenter.cutter import Cutter
from hlsd.segmenter.holes import Holes
from hlsd.segmenter.listing import Listing
from hlsd.segmenter.pending_events import PendingEvents
from hlsd.stats import AppStats

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from hlsd.media.date_range import DateRange
    from hlsd.media.timed_event import TimedEvent
    from hlsd.media.unit import AccessUnit, AudioTrack
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.live import Live
    from hlsd.segmenter.run import Run
    from hlsd.segmenter.window import Window

MEND = TICKS // 2
"""How much must have been left out of a timeline for a discontinuity at the next key picture to set it right."""

_VIDEO = Kind.VIDEO
_PICTURES = 0  # as an index: an enumeration's member is a slow one


class Segmenter:
    """The leading rendition of a run (`hlsd.ports.Output`): alignment, cutter, listing; `live` is what delivery serves.

    `finished(msn)` is called for each finished segment; `overflow()` when not even the shortest window fits into
    `max_stream_bytes`.
    """

    def __init__(  # noqa: PLR0913 - what a stream's output is told
        self,
        run: Run,
        name: str = MAIN,
        *,
        finished: Callable[[int], None] = lambda _: None,
        overflow: Callable[[], None] = lambda: None,
        stats: AppStats | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self.name = name
        """Of the rendition, in URLs."""
        self.run = run
        self._settings = run.settings
        self._log: FilteringBoundLogger = (log or structlog.get_logger()).bind(run=run.id)
        self.listing = Listing(
            self, finished=finished, overflow=overflow, stats=stats or AppStats(), log=self._log, ladder=run.ladder
        )
        self.live: Live = self.listing.live
        self.window: Window = self.listing.window
        """The live window, for figures."""
        run.join(self)
        self._tracks: Tracks | None = None
        self._muted: AudioTrack | None = None  # there is sound, and it is left out
        self._cutter: Cutter | None = None
        self._needs_key = False
        self._holes = Holes()
        self._events = PendingEvents()
        self._untold = False  # whether the log has said that there are events which HLS does not tell
        self._alignment: Alignment | None = None
        # Whether the next unit has nothing in its way if it follows the one before: known from the last that was looked
        # at in full. Whoever ends or begins a timeline takes it back.
        self._easy = False
        self._kept = 0  # how far behind the one before it then may lie, ticks

    @property
    def counts(self) -> Counter[str]:
        """Listed so far, by kind: `ts`, `fmp4`, `part`."""
        return self.listing.counts

    @property
    def forced_cuts(self) -> int:
        """Segments that began at an ordinary frame because no IDR came in time."""
        return self.listing.forced_cuts

    @property
    def frame_rate(self) -> float:
        """Frames per second of the leading track since the last discontinuity, as measured (MV07)."""
        return self.listing.frame_rate

    @property
    def held(self) -> int:
        """Bytes of media that are in no part yet."""
        waiting = self._alignment.held if self._alignment is not None else 0
        waiting += self._events.bytes
        return waiting + (self._cutter.open_bytes if self._cutter is not None else 0)

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows; a change is a discontinuity (TL04).

        Not where the picture is the same but for its parameter sets, and these go in-band: an encoder may number them
        anew at each IDR picture.
        """
        tracks = self._playable(tracks)
        self._easy = False
        if self._cutter is not None and self._tracks is not None:
            if tracks == self._tracks:
                return
            alike = tracks.decodes_as(self._tracks)
            if alike and self.listing.renew(tracks, self._cutter.newest_picture):
                self._tracks = tracks
                return
        self._let_go()
        self._break()
        self._tracks = tracks
        self._start()
        self._align()

    def _playable(self, tracks: Tracks) -> Tracks:
        """Without sound that would cost a browser the picture: Chromium ends at what ADTS cannot name.

        A stream of sound alone keeps it: others do play it, and there is nothing else to be saved.
        """
        audio = tracks.audio
        if audio is None or audio.ordinary or tracks.video is None or self._settings.any_sound:
            self._muted = None
            return tracks
        if audio != self._muted:
            self._muted = audio
            self._log.warning(
                "sound left out of HLS",
                reason=f"Chromium cannot play AAC with {oddity(audio)}",
                hint="have the encoder send stereo or 5.1 at a standard rate, or set hls.any_sound",
            )
        return Tracks(tracks.video)

    @property
    def muted(self) -> bool:
        """Whether there is sound that is left out."""
        return self._muted is not None

    def unit(self, unit: AccessUnit) -> None:
        """Takes the next access unit; parts that it closes are served when this returns."""
        if self._easy:  # every unit of every publisher comes here: as few calls as may be
            kind, dts, _, _, _, _, arrived = unit
            last = self._holes.last
            if last[kind] >= dts - self._kept and (kind is _VIDEO or last[_PICTURES] - dts <= LATE):
                last[kind] = dts
                assert self._cutter is not None
                cuts = self._cutter.push(unit)
                if cuts:
                    self._list(cuts, arrived)
                return
        if self._cutter is None or (self._muted is not None and unit.kind is Kind.AUDIO):
            return
        if self._alignment is not None:
            for one in self._alignment.take(unit, self._holes.last[_PICTURES]):
                self._take(one)
        else:
            self._take(unit)

    def _take(self, unit: AccessUnit) -> None:
        """Takes a unit whose turn it is."""
        kind, holes, listing = unit.kind, self._holes, self.listing
        if self._needs_key and kind is _VIDEO:
            if not unit.key:
                return
            self._needs_key = False
        self._easy = False
        if holes.open or holes.last[kind] < unit.dts - listing.spans[1]:
            crossed = self._cross(unit)
            if crossed is None:
                return
            unit = crossed
        else:
            holes.last[kind] = unit.dts
        cutter = self._cutter
        if cutter is None:
            return
        if not listing.dated:
            listing.note_arrival(unit.arrived - unit.dts / TICKS)
        if not self.window.target_duration:
            listing.aim()
        cuts = cutter.push(unit)
        if cuts:
            self._list(cuts, unit.arrived)
        self._see()

    def event(self, event: TimedEvent) -> None:
        """Something is to be said at an instant (`hlsd.ports.EventTaker`)."""
        if self._cutter is None:
            return
        if self.listing.takes_events:
            self._events.put(event)
        elif not self._untold:
            self._untold = True
            self._log.warning(
                "timed metadata left out of MPEG-TS", hint="set hls.timed_metadata, or hls.container = fmp4"
            )

    def date_range(self, told: DateRange) -> None:
        """Another date range for the playlists (`hlsd.ports.RangeTaker`)."""
        window, segment = self.window, self.window.open
        if segment is not None:
            window.ranges.add(told, segment.msn, len(segment.parts))
        else:
            window.ranges.add(told, window.last_msn + 1)
        self.live.changed()
        self.run.ladder.date_range(told)

    def _list(self, cuts: list[Cut], arrived: float) -> None:
        """Lists what was cut at a unit that came `arrived`."""
        listing = self.listing
        if self._events:
            cuts = self._events.onto(cuts, self._holes.left_out)
        listing.take(cuts)
        listing.note_delay(cuts, arrived, self._holes.left_out)
        if listing.lost:
            self._begin_anew()

    def _see(self) -> None:
        """Looks whether anything is in the way of the units that follow."""
        alignment = self._alignment
        self._kept = self.listing.spans[1]
        self._easy = (
            self._cutter is not None
            and self._muted is None
            and not self._needs_key
            and not self._holes.open
            and (alignment is None or alignment.steady)
            and self.listing.dated
            and self.window.target_duration > 0
        )

    def _cross(self, unit: AccessUnit) -> AccessUnit | None:
        """The unit on the timeline without holes, a new one if need be; None if it is lost to a new one."""
        if self._holes.left_out >= MEND and unit.key and self._mends(unit):
            self._begin_anew()
        quiet = self._cutter.quiet(unit.arrived) if self._cutter is not None else 0.0
        crossed = self._holes.cross(unit, quiet, *self.listing.spans)
        if crossed is None:
            self._begin_anew()
            self._needs_key = unit.kind is Kind.VIDEO and not unit.key
        return crossed

    def _mends(self, unit: AccessUnit) -> bool:
        """Whether the timeline may be set right before this key frame: it leads, and somebody knows of the timeline."""
        leads = self._tracks is None or self._tracks.video is None or unit.kind is Kind.VIDEO
        return leads and self.window.target_duration > 0

    def allow(self, bitrate: float) -> None:
        """Lets the window grow with what comes in, bits per second by the clock, where no setting says how far.

        By the clock, not by the media's own time: a source whose time stands still must not fill the memory.
        """
        self.listing.allow(bitrate)

    def jump(self) -> None:
        """What follows is a discontinuity."""
        self.run.sinks.revive()
        self._let_go()
        self._begin_anew()
        self._align()

    def _begin_anew(self) -> None:
        """What comes next is another timeline."""
        self._break()
        self._start()

    def _align(self) -> None:
        tracks = self._tracks
        if tracks is not None and tracks.video is not None and tracks.audio is not None:
            self._alignment = Alignment()

    def pause(self) -> None:
        """The publisher left: the open segment is finished with the parts it has (TL01).

        Before the first playlist it stays open: a publisher who comes back shall not find the target duration fixed by
        the stub of its first try (TL05).
        """
        self._let_go()
        if self.window.target_duration:
            self._seam()
        self.live.left()
        self.run.ladder.left()

    def end(self) -> None:
        """Nothing will follow: EXT-X-ENDLIST (EN01), the open segment first (EN02)."""
        self._let_go()
        self._seam()
        self.listing.end()

    def reset(self) -> None:
        """Something here has raised (`Mendable`): what is listed stays, what is under way is let go.

        The open segment is finished with the parts it has, so that numbers go on behind a discontinuity.
        """
        self._easy = False
        self._cutter = self._alignment = None
        self.listing.mend()

    def halt(self) -> None:
        """It stays off (`Mendable`): no playlist until the next publication, which goes on with the run."""
        self.live.halted(True)
        self.run.ladder.halt(off=True)
        self.live.changed()

    def _start(self) -> None:
        self._easy = False
        self.live.halted(False)
        self.run.ladder.halt(off=False)
        if self._tracks is None:
            return
        cutter = Cutter(self._tracks, self.run.limits)
        try:
            self.listing.begin(self._tracks, cutter)
        except MediaError as error:
            self._log.warning("muxer refused the tracks", reason=str(error))
            return
        self._cutter = cutter
        self._needs_key = False
        self._holes = Holes()

    def _break(self) -> None:
        """Ends one timeline in the middle of a publication."""
        if self.listing.shows:
            self._seam()
        else:
            self._easy = False
            self._cutter = None
            self.listing.discard()

    def _let_go(self) -> None:
        """Pictures that wait for their sound wait no longer."""
        alignment, self._alignment = self._alignment, None
        if alignment is not None:
            for unit in alignment.rest():
                self._take(unit)

    def _seam(self) -> None:
        """Finishes the open segment and lets go of cutter and muxer."""
        cutter, self._cutter = self._cutter, None
        self._easy = False
        if cutter is not None:
            cuts = cutter.flush()
            self.listing.close(self._events.onto(cuts, self._holes.left_out) if self._events else cuts)
