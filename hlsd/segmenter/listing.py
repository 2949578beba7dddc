"""Lists what was cut: the parts and segments of one rendition of a run, from their cuts to the window and its promises.

It muxes, or puts that off while nobody asks; it dates segments by the frame that came soonest after its own time; it
fixes the target duration and the low-latency promises once, when the first segment is whole (MP03, TL05, LL07), as the
run has them for all renditions. Where timelines begin and end it is told by the segmenter.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from hlsd.media.unit import TICKS
from hlsd.segmenter.frame_meter import FrameMeter
from hlsd.segmenter.live import Live
from hlsd.segmenter.mux import muxer_for
from hlsd.segmenter.playlist import low_latency_for
from hlsd.segmenter.put_off import PutOff, ordinary
from hlsd.segmenter.window import Window
from hlsd.segmenter.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from hlsd.media.unit import Tracks
    from hlsd.segmenter.cut import Cut
    from hlsd.segmenter.cutter import Cutter
    from hlsd.segmenter.ladder import RenditionLadder
    from hlsd.segmenter.rendition import Rendition
    from hlsd.stats import AppStats

QUIET = 3
"""Finished segments after which a stream that nobody asked for is no longer muxed, only kept."""

FIRST = 1.0
"""Seconds after which the first segment may end where a viewer waits for it and has parts to go on with."""

AUTO_BYTES = 128 << 20
"""Bytes of media that every stream may hold where `max_stream_bytes` follows the bit rate."""

OVERSHOOT = 0.49
"""How far a segment may pass the target duration, seconds: "round(EXTINF) ≤ TD" (MP02)."""


class Listing:
    """A rendition's parts and segments; the leading one tells its `ladder`. `finished`, `overflow`: as `Segmenter`."""

    def __init__(  # noqa: PLR0913 - whom it knows
        self,
        rendition: Rendition,
        *,
        finished: Callable[[int], None],
        overflow: Callable[[], None],
        stats: AppStats,
        log: FilteringBoundLogger,
        ladder: RenditionLadder | None = None,
    ) -> None:
        self._rendition = rendition
        self._run = run = rendition.run
        self._ladder = ladder
        self._sinks = run.sinks
        self._settings = settings = run.settings
        self.faults = run.faults
        self._log = log
        self.window = Window(
            run.id,
            run.first_msn,
            ".ts",
            listed=settings.list,
            max_bytes=settings.max_stream_bytes or AUTO_BYTES,
            first_discontinuity=run.first_discontinuity,
        )
        self.live = Live(self.window, self.faults, rendition.name, run.group, wanted=self._catch_up)
        self._quiet = QUIET  # finished segments since anybody asked for anything
        self.put_off = PutOff(self.window)
        self._finished = finished
        self._overflow = overflow
        self._stats = stats
        self.counts: Counter[str] = Counter()
        """Listed so far, by kind: `ts`, `fmp4`, `part`."""
        self.limits = run.limits
        """Those of the cutters of all renditions."""
        self.tracks: Tracks | None = None
        """Of the timeline under way, or of the last one."""
        self._cutter: Cutter | None = None
        self._writer: Writer | None = None
        self._init_uri: str | None = None
        self._inits = 0
        self._discontinuity = False
        self.takes_events = False  # timed metadata
        self._low_latency = settings.low_latency and run.group.keys is None
        self.spans = self._span()
        """The longest stretch without anything that may stay in the media, and what a longer one shrinks to; ticks."""
        self._coming = 0  # the longest part that has been cut already when the promises are made, ticks
        self._stubs = 0  # ticks of segments that were discarded before the first playlist
        self._longest_stub = 0
        self._epoch: float | None = None
        self._segment_start = 0
        self.dated = False
        """Whether the mapping of media time to wall clock stands (MP15)."""
        self._meter = FrameMeter()
        self.forced_cuts = 0
        """Segments that began at an ordinary frame because no IDR came in time."""

    # the life of a timeline

    def begin(self, tracks: Tracks, cutter: Cutter | None, *, mapped: bool = False, continues: bool = False) -> None:
        """A timeline begins. Raises MediaError if there is no muxer for its tracks.

        Of one that follows another rendition: `mapped`: that is fMP4; `continues`: since the last beginning there has
        been nothing but gaps, and it stands.
        """
        self.tracks = tracks
        metadata = self._settings.timed_metadata
        # An EXT-X-MAP stays in force to the end of the playlist, so MPEG-TS cannot follow fMP4 (MP18).
        muxer = muxer_for(tracks, "fmp4" if self._inits or mapped else self._settings.container, metadata=metadata)
        form = "fmp4" if muxer.init is not None else self._settings.container
        self._writer = Writer(muxer, self._log, self.faults, lambda: muxer_for(tracks, form, metadata=metadata))
        self._cutter = cutter
        window = self.window
        window.extension = muxer.extension
        init = muxer.init
        self.takes_events = metadata or init is not None
        if init is None:
            self._init_uri = None
        elif self._init_uri is None or window.inits.get(self._init_uri.rpartition("/")[2]) != init:
            self._init_uri = window.add_init(f"i{self._inits}.mp4", init)
            self._inits += 1
        self._epoch = None
        self.dated = False
        self._discontinuity = not continues and (window.open is not None or bool(window.segments))
        self._meter = FrameMeter(tracks)
        self.live.describe(tracks, 6 if init is None else 7, muxer.content_type, lambda: self.frame_rate)
        if self._ladder is not None:
            self._ladder.begins(tracks, mapped=init is not None, discontinuity=self._discontinuity)

    def renew(self, tracks: Tracks, after: int) -> bool:
        """Whether pictures decoded after `after` ticks can have the parameter sets of `tracks` without a seam."""
        if self._writer is None or not self._writer.renew(tracks, after):
            return False
        self.tracks = tracks
        return True

    def close(self, cuts: list[Cut]) -> None:
        """The timeline ends with the parts in `cuts`, and its open segment with them."""
        self._cutter = None
        self.take(cuts)
        if self.window.open is not None:
            self._finish_segment()
            self.live.changed()
        self._writer = None
        if self._ladder is not None:
            self._ladder.closes()

    def discard(self) -> None:
        """The timeline ends before anything of it was shown."""
        stub = self.limits.part_target  # about as much as no part has been made of yet
        stub += self.window.open.duration if self.window.open is not None else 0
        self._stubs += stub
        self._longest_stub = max(self._longest_stub, stub)
        self._cutter = self._writer = None
        self.window.discard_open()
        if self._ladder is not None:
            self._ladder.discards()

    @property
    def shows(self) -> bool:
        """Whether a timeline that ends ends what was shown, and is not merely discarded.

        Before the first playlist a stub of a segment would fix the target duration on chance (TL05). A source that
        changes at each key picture has nothing else to show, so for a while only.
        """
        return bool(self.window.target_duration) or self._stubs >= self._settings.time * TICKS

    @property
    def lost(self) -> bool:
        """Whether a part could not be written: what follows must not pretend to continue it (TS04, FM04)."""
        return self._writer is not None and self._writer.lost

    def end(self) -> None:
        """Nothing will follow: EXT-X-ENDLIST (EN01)."""
        if self.window.segments and not self.window.target_duration:
            self._fix()
        self.window.ended = True
        self.live.changed()
        if self._ladder is not None:
            self._ladder.ends()

    def mend(self) -> None:
        """Something has raised in the middle of a change: what is listed stays, what is under way is let go."""
        self._cutter = self._writer = None
        window = self.window
        window.mend(self.put_off.waiting())
        if window.open is not None and window.target_duration:
            self._finish_segment()
        else:
            window.discard_open()  # before the first playlist, as at a jump
        self.live.changed()
        if self._ladder is not None:
            (self._ladder.closes if window.target_duration else self._ladder.discards)()

    # cuts

    def note_arrival(self, epoch: float) -> None:
        """A frame came whose time 0 was at `epoch` on the wall clock: the earliest of these is believed."""
        if self._epoch is None or epoch < self._epoch:
            self._epoch = epoch

    def note_span(self, ticks: int) -> None:
        """So much of what was listed has no picture: it counts in the frame rate."""
        self._meter.span += ticks

    def aim(self) -> None:
        """Before the first playlist: makes the first segment short for who waits for it, as one does who had it pulled.

        What follows comes in parts, so one group of pictures is enough to begin with.
        """
        time = self._settings.time
        hurry = self._low_latency and self._run.watched
        self.limits.segment_target = round((min(time, FIRST) if hurry else time) * TICKS)

    def take(self, cuts: list[Cut]) -> None:
        """Lists the parts in `cuts`."""
        for number, cut in enumerate(cuts):
            if not self.window.target_duration:
                self._coming = max((after.duration for after in cuts[number + 1 :]), default=0)
            if not cut.duration:  # the segment ended with the part before
                if self.window.open is not None:
                    self._finish_segment()
            elif self._quiet >= QUIET and not (self.live.watched or self._sinks.wanted) and ordinary(cut):
                self._add(cut, None)
            else:
                self._catch_up()  # somebody waits who has not been answered yet; a muxer takes its parts in order
                assert self._writer is not None
                self._add(cut, self._writer.part(cut))
            if self._ladder is not None and self._ladder.followers:
                self._ladder.cut(cut, self.window)
        if self.window.target_duration and (self._low_latency or any(cut.closes for cut in cuts)):
            self.live.changed()

    def note_delay(self, cuts: list[Cut], arrived: float, left_out: int) -> None:
        """Counts how long after the end of its media it was listed: the frame that closed it came `arrived`.

        `left_out` ticks of the source's time are not in the media.
        """
        delay, epoch = self._stats.segment_delay, self._epoch
        assert epoch is not None
        for cut in cuts:
            late = max(0.0, arrived - epoch - (cut.start + cut.duration + left_out) / TICKS)
            if self._low_latency and cut.duration:
                delay["part"].observe(late)
            if cut.closes:
                delay[self._kind].observe(late)

    def allow(self, bitrate: float) -> None:
        """As `Segmenter.allow`."""
        if not self._settings.max_stream_bytes:
            window = self.window
            span = 2 * max(window.duration(), self._settings.list * max(window.target_duration, self._settings.time))
            twice = 2 if self._run.group.keys is None else 4  # in the clear, and encrypted
            window.max_bytes = max(window.max_bytes, round(twice * span * bitrate / 8))

    @property
    def _kind(self) -> str:
        """What kind of segments these are, in the figures."""
        return "ts" if self._init_uri is None else "fmp4"

    def _catch_up(self) -> None:
        """Somebody asks, or waits: writes what was put off, in order, before anything is shown to him."""
        if self._quiet >= QUIET:
            self._quiet = 0
        self.put_off.write()

    def _add(self, cut: Cut, body: bytes | None) -> None:
        """Puts a part into the window; without a body, one that is muxed when somebody asks for the stream."""
        window, writer = self.window, self._writer
        if window.open is None:
            self._begin_segment(cut)
        assert window.open is not None
        if body is not None:
            part = window.append(body, cut.duration, independent=cut.independent)
        else:
            assert writer is not None
            part = self.put_off.add(cut, writer)
        self._sinks.part(self._run, self._rendition.name, window.open, part)
        assert self.tracks is not None
        if self._low_latency:
            self.counts["part"] += 1
            self._stats.segment_duration["part"].observe(cut.duration / TICKS)
        samples = cut.video if self.tracks.video is not None else cut.audio
        self._meter.frames += len(samples)
        self._meter.span += sum([sample.duration for sample in samples])
        if cut.closes:
            self._finish_segment()

    def _begin_segment(self, cut: Cut) -> None:
        assert self._epoch is not None
        self._segment_start = cut.start
        self.live.back()
        window, run, rendition = self.window, self._run, self._rendition
        segment = window.begin(
            date=run.date(rendition, window.last_msn + 1, self._epoch + cut.start / TICKS),
            discontinuity=self._discontinuity,
            init=self._init_uri,
            independent=cut.independent,
        )
        self._sinks.opened(run, rendition.name, segment, window.init_of(segment))
        self._discontinuity = False
        if window.target_duration:
            self.dated = True  # listed with its first part: the mapping of this run must not change (MP15)
        self.forced_cuts += cut.forced
        if not cut.independent:
            self.live.dependent()

    def _finish_segment(self) -> None:
        window = self.window
        segment = window.open
        assert segment is not None
        window.finish()
        self.counts[self._kind] += 1
        self._stats.segment_duration[self._kind].observe(segment.duration / TICKS)
        if self.live.asked or self.live.watched:
            self._quiet = 0
            self.live.asked = False
        else:
            self._quiet += 1
        self.put_off.let_go()
        if not window.target_duration and len(window.segments) >= self._settings.first_segments:
            self._fix()
        self._sinks.closed(self._run, self._rendition.name, segment)
        try:
            self._finished(segment.msn)
        except Exception as error:  # noqa: BLE001 - who writes numbers down costs the stream nothing
            self.faults.output("journal", error)
        if window.over_budget():
            self._overflow()

    def _fix(self) -> None:
        """Fixes target duration and promises on the first segments (TL05), before anybody was told of them."""
        settings, window = self._settings, self.window
        gop = self._cutter.longest_gop if self._cutter is not None else 0
        gop = min(max(gop, self._longest_stub), self.limits.segment_limit)
        longest = max(gop, *(segment.duration for segment in window.segments)) / TICKS
        window.target_duration = self._run.aim(max(1, math.ceil(settings.time - 1e-3), math.ceil(longest - OVERSHOOT)))
        self.limits.segment_target = round(settings.time * TICKS)
        self.limits.segment_limit = round((window.target_duration + OVERSHOOT) * TICKS)
        if window.target_duration > 2 * settings.time:
            self._log.warning(
                "key frames are far apart",
                seconds=round(longest, 1),
                hint="set the encoder's key-frame interval to 2 s",
            )
        self._promise(window.target_duration)
        self.spans = self._span()
        for segment in window.segments:
            if any(part.duration > self.limits.part_target or part.gap for part in segment.parts):
                # Cut before the part target was known, and never shown: it is listed without parts (LL08).
                self._catch_up()
                window.forget_parts(segment)
        if self._epoch is None or not self._meter.frames:
            return  # these segments end where the timeline does, before anything of the next one came: dates stand
        # TL08: the first segments get the tightest mapping of media time to wall clock that their frames allow.
        date = self._epoch + self._segment_start / TICKS
        for after, segment in zip((None, *reversed(window.segments)), reversed(window.segments), strict=False):
            if after is not None:
                if after.discontinuity:
                    break
                date -= segment.duration / TICKS
            segment.date = self._run.date(self._rendition, segment.msn, date)
        self.dated = True

    def _promise(self, target_duration: int) -> None:
        """Fixes what low latency promises, or that there is none (LL07)."""
        if self._ladder is None:  # MV12
            self._low_latency = self._low_latency and self._run.promises is not None
        elif self._meter.slow:
            self._low_latency = False
        if self._low_latency:
            part = self._settings.part
            longest = self._cutter.longest_frame / TICKS if self._cutter is not None else 0.0
            promises = low_latency_for(part, self._meter.distance(longest, part), target_duration)
            if promises.part_target * TICKS < self._coming:
                promises = low_latency_for(part, self._coming / TICKS, target_duration)
            promises = self._run.promise(promises)
            self.live.promise(promises)
            self.limits.part_target = round(promises.part_target * TICKS)

    def _span(self) -> tuple[int, int]:
        limits = self.limits
        if self._low_latency and self.window.target_duration:
            return limits.part_target * 3 // 2, limits.part_target
        return limits.segment_limit, limits.segment_limit

    @property
    def frame_rate(self) -> float:
        """Frames per second of the leading track since the last discontinuity, as measured (MV07)."""
        return self._meter.rate
