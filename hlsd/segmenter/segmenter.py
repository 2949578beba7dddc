"""Runs one stream through the cutter, the muxer and the window: the HLS output of a stream.

It owns what happens at a seam: changed tracks, a jump of the clock or another publisher finish the open segment with
what it has (TL01) and open the next one with a discontinuity, a fresh muxer and, where it differs, a new
initialisation section (MP18, TL04). A hole in what is sent is left out, and is a seam at the next key picture. It fixes
the target duration and the low-latency promises once, when the first segment is whole (MP03, TL05, LL07).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

import structlog

from hlsd.base.errors import MediaError
from hlsd.media.aac import oddity
from hlsd.media.unit import TICKS, Kind, Tracks
from hlsd.ports import MAIN
from hlsd.segmenter.alignment import LATE, Alignment
from hlsd.segmenter.holes import Holes
from hlsd.segmenter.live import Live
from hlsd.segmenter.mux import muxer_for
from hlsd.segmenter.playlist import low_latency_for
from hlsd.segmenter.window import Window
from hlsd.stats import AppStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from hlsd.base.faults import Faults
    from hlsd.media.unit import AccessUnit, AudioTrack
    from hlsd.segmenter.cutter import Cut, Cutter
    from hlsd.segmenter.mux import Muxer
    from hlsd.segmenter.run import Run
    from hlsd.segmenter.window import Part, Segment

QUIET = 3
"""Finished segments after which a stream that nobody asked for is no longer muxed, only kept."""

FIRST = 1.0
"""Seconds after which the first segment may end where a viewer waits for it and has parts to go on with."""

AUTO_BYTES = 128 << 20
"""Bytes of media that every stream may hold where `max_stream_bytes` follows the bit rate."""

OVERSHOOT = 0.49
"""How far a segment may pass the target duration, seconds: "round(EXTINF) ≤ TD" (MP02)."""


MEND = TICKS // 2
"""How much must have been left out of a timeline for a discontinuity at the next key picture to set it right."""

_VIDEO = int(Kind.VIDEO)  # as an index: an enumeration's member is looked up slowly

SLOW = 1.0
"""Seconds between pictures, without sound, above which parts are of no use to anybody."""


class Segmenter:
    """One rendition of a run (`hlsd.ports.Output`): cutter, muxer, `window`, and `live`, which delivery serves.

    `finished(msn)` is called for each finished segment; `overflow()` when not even the shortest window fits into
    `max_stream_bytes`.
    """

    def __init__(  # noqa: PLR0913 - what a stream's output is told by the house
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
        self._settings = settings = run.settings
        self._faults = run.faults
        self._sinks = run.sinks
        self._window = Window(
            run.id,
            run.first_msn,
            ".ts",
            listed=settings.list,
            max_bytes=settings.max_stream_bytes or AUTO_BYTES,
            first_discontinuity=run.first_discontinuity,
        )
        self.live = Live(self._window, self._faults, name, run.group)
        self.live.wanted = self._catch_up
        run.join(self)
        self._quiet = QUIET  # finished segments since anybody asked for anything
        self._put_off: deque[tuple[_Writer, Segment, Part, Cut]] = deque()
        self._finished = finished
        self._overflow = overflow
        self._stats = stats or AppStats()
        self.counts: Counter[str] = Counter()
        """Listed so far, by kind: `ts`, `fmp4`, `part`."""
        self._limits = run.limits
        self._log: FilteringBoundLogger = (log or structlog.get_logger()).bind(run=run.id)
        self._tracks: Tracks | None = None
        self._muted: AudioTrack | None = None  # there is sound, and it is left out
        self._cutter: Cutter | None = None
        self._writer: _Writer | None = None
        self._init_uri: str | None = None
        self._inits = 0
        self._discontinuity = False
        self._needs_key = False
        self._holes = Holes()
        self._alignment: Alignment | None = None
        self._low_latency = settings.low_latency
        self._spans = self._span()
        self._kept = self._spans[1]
        self._coming = 0  # the longest part that has been cut already when the promises are made, ticks
        self._stubs = 0  # ticks of segments that were discarded before the first playlist
        self._longest_stub = 0
        self._epoch: float | None = None
        self._segment_start = 0
        self._dated = False
        self._frames = 0
        self._frames_span = 0
        self.forced_cuts = 0
        """Segments that began at an ordinary frame because no IDR came in time."""

    @property
    def window(self) -> Window:
        """The live window, for figures."""
        return self._window

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows; a change is a discontinuity (TL04).

        Not where the picture is the same but for its parameter sets, and these go in-band: an encoder may number them
        anew at each IDR picture.
        """
        tracks = self._playable(tracks)
        if self._cutter is not None and self._tracks is not None:
            if tracks == self._tracks:
                return
            alike, writer = tracks.decodes_as(self._tracks), self._writer
            if alike and writer is not None and writer.renew(tracks, self._cutter.newest_picture):
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
        if self._cutter is None or (self._muted is not None and unit.kind is Kind.AUDIO):
            return
        alignment = self._alignment
        if alignment is not None and (
            not alignment.steady or (unit.kind is Kind.AUDIO and self._holes.last[_VIDEO] - unit.dts > LATE)
        ):
            for one in alignment.take(unit, self._holes.last[_VIDEO]):
                self._take_unit(one)
        else:
            self._take_unit(unit)

    def _take_unit(self, unit: AccessUnit) -> None:  # noqa: C901 - see below
        """Takes a unit whose turn it is. As few calls as may be: every unit of every publisher comes here."""
        kind = unit.kind
        if self._needs_key and kind is Kind.VIDEO:
            if not unit.key:
                return
            self._needs_key = False
        holes = self._holes
        last = holes.last
        if holes.open or not 0 <= last[kind] >= unit.dts - self._kept:
            crossed = self._cross(unit)
            if crossed is None:
                return
            unit = crossed
        else:
            last[kind] = unit.dts
        cutter = self._cutter
        if cutter is None:
            return
        if not self._dated:
            epoch = unit.arrived - unit.dts / TICKS
            if self._epoch is None or epoch < self._epoch:
                self._epoch = epoch
        if not self._window.target_duration:
            self._aim()
        cuts = cutter.push(unit)
        if cuts:
            self._take(cuts)
            self._note_delay(cuts, unit.arrived)
            if self._writer is not None and self._writer.lost:
                # What follows must not pretend to continue what the muxer could not write (TS04, FM04).
                self._begin_anew()

    def _cross(self, unit: AccessUnit) -> AccessUnit | None:
        """The unit on the timeline without holes, a new one if need be; None if it is lost to a new one."""
        if self._holes.left_out >= MEND and unit.key and self._mends(unit):
            self._begin_anew()
        quiet = self._cutter.quiet(unit.arrived) if self._cutter is not None else 0.0
        crossed = self._holes.cross(unit, quiet, *self._spans)
        if crossed is None:
            self._begin_anew()
            self._needs_key = unit.kind is Kind.VIDEO and not unit.key
        return crossed

    def _mends(self, unit: AccessUnit) -> bool:
        """Whether the timeline may be set right before this key frame: it leads, and somebody knows of the timeline."""
        leads = self._tracks is None or self._tracks.video is None or unit.kind is Kind.VIDEO
        return leads and self._window.target_duration > 0

    def _span(self) -> tuple[int, int]:
        """The longest stretch without anything that may stay in the media, and what a longer one shrinks to; ticks."""
        limits = self._limits
        if self._low_latency and self._window.target_duration:
            return limits.part_target * 3 // 2, limits.part_target
        return limits.segment_limit, limits.segment_limit

    def _aim(self) -> None:
        """Before the first playlist: makes the first segment short for who waits for it, as one does who had it pulled.

        What follows comes in parts, so one group of pictures is enough to begin with.
        """
        time = self._settings.time
        hurry = self._low_latency and self.run.watched
        self._limits.segment_target = round((min(time, FIRST) if hurry else time) * TICKS)

    def _note_delay(self, cuts: list[Cut], arrived: float) -> None:
        """Counts how long after the end of its media it was listed: the frame that closed it came `arrived`."""
        delay, epoch = self._stats.segment_delay, self._epoch
        assert epoch is not None
        for cut in cuts:
            late = max(0.0, arrived - epoch - (cut.start + cut.duration + self._holes.left_out) / TICKS)
            if self._low_latency and cut.duration:
                delay["part"].observe(late)
            if cut.closes:
                delay[self._kind].observe(late)

    def allow(self, bitrate: float) -> None:
        """Lets the window grow with what comes in, bits per second by the clock, where no setting says how far.

        By the clock, not by the media's own time: a source whose time stands still must not fill the memory.
        """
        if not self._settings.max_stream_bytes:
            window = self._window
            span = 2 * max(window.duration(), self._settings.list * max(window.target_duration, self._settings.time))
            window.max_bytes = max(window.max_bytes, round(2 * span * bitrate / 8))

    @property
    def _kind(self) -> str:
        """What kind of segments these are, in the figures."""
        return "ts" if self._init_uri is None else "fmp4"

    def jump(self) -> None:
        """What follows is a discontinuity."""
        self._sinks.revive()
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
        if self._window.target_duration:
            self._seam()
        self.live.left()

    def end(self) -> None:
        """Nothing will follow: EXT-X-ENDLIST (EN01), the open segment first (EN02)."""
        self._let_go()
        self._seam()
        if self._window.segments and not self._window.target_duration:
            self._fix()
        self._window.ended = True
        self.live.changed()

    def reset(self) -> None:
        """Something here has raised (`Mendable`): what is listed stays, what is under way is let go.

        The open segment is finished with the parts it has, so that numbers go on behind a discontinuity.
        """
        self._cutter = self._writer = self._alignment = None
        window = self._window
        window.mend({id(part) for _, _, part, _ in self._put_off})
        if window.open is not None and window.target_duration:
            self._finish_segment()
        else:
            window.discard_open()  # before the first playlist, as at a jump
        self.live.changed()

    def halt(self) -> None:
        """It stays off (`Mendable`): no playlist until the next publication, which goes on with the run."""
        self.live.off = True
        self.live.changed()

    def _start(self) -> None:
        self.live.off = False
        if self._tracks is None:
            return
        try:
            # An EXT-X-MAP stays in force to the end of the playlist, so MPEG-TS cannot follow fMP4 (MP18).
            muxer = muxer_for(self._tracks, "fmp4" if self._inits else self._settings.container)
        except MediaError as error:
            self._log.warning("muxer refused the tracks", reason=str(error))
            return
        tracks, form = self._tracks, "fmp4" if muxer.init is not None else self._settings.container
        self._writer = _Writer(muxer, self._log, self._faults, lambda: muxer_for(tracks, form))
        self._cutter = self.run.cutter(self, self._tracks)
        self._window.extension = muxer.extension
        init = muxer.init
        if init is None:
            self._init_uri = None
        elif self._init_uri is None or self._window.inits.get(self._init_uri.rpartition("/")[2]) != init:
            self._init_uri = self._window.add_init(f"i{self._inits}.mp4", init)
            self._inits += 1
        self._epoch = None
        self._dated = self._needs_key = False
        self._holes = Holes()
        self._discontinuity = self._window.open is not None or bool(self._window.segments)
        self._frames = self._frames_span = 0
        version = 6 if init is None else 7
        self.live.describe(self._tracks, version, muxer.content_type, lambda: self.frame_rate)

    def _break(self) -> None:
        """Ends one timeline in the middle of a publication."""
        if self._window.target_duration or self._stubs >= self._settings.time * TICKS:
            self._seam()
        else:
            # Nothing has been shown yet: a stub of a segment would fix the target duration on chance (TL05). A source
            # that changes at each key picture has nothing else to show, so for a while only.
            stub = self._limits.part_target  # about as much as no part has been made of yet
            stub += self._window.open.duration if self._window.open is not None else 0
            self._stubs += stub
            self._longest_stub = max(self._longest_stub, stub)
            self._cutter = self._writer = None
            self._window.discard_open()

    def _let_go(self) -> None:
        """Pictures that wait for their sound wait no longer."""
        alignment, self._alignment = self._alignment, None
        if alignment is not None:
            for unit in alignment.rest():
                self._take_unit(unit)

    def _seam(self) -> None:
        """Finishes the open segment and lets go of cutter and muxer."""
        if self._cutter is not None:
            self._finish(self._cutter.flush())

    def _finish(self, cuts: list[Cut]) -> None:
        """Finishes the open segment with the parts in `cuts`, and lets go of cutter and muxer."""
        self._cutter = None
        self._take(cuts)
        if self._window.open is not None:
            self._finish_segment()
            self.live.changed()
        self._writer = None

    def _take(self, cuts: list[Cut]) -> None:
        writer = self._writer
        assert writer is not None
        for number, cut in enumerate(cuts):
            if not self._window.target_duration:
                self._coming = max((after.duration for after in cuts[number + 1 :]), default=0)
            if cut.closes:
                self.run.ends(self, cut.start + cut.duration)
            if not cut.duration:  # the segment ended with the part before
                if self._window.open is not None:
                    self._finish_segment()
            elif self._quiet >= QUIET and not self.live.watched and not self._sinks.wanted:
                self._add(cut, None)
            else:
                self._catch_up()  # somebody waits who has not been answered yet; a muxer takes its parts in order
                self._add(cut, writer.part(cut))
        if self._window.target_duration and (self._low_latency or any(cut.closes for cut in cuts)):
            self.live.changed()

    def _catch_up(self) -> None:
        """Somebody asks, or waits: writes what was put off, in order, before anything is shown to him."""
        if self._quiet >= QUIET:
            self._quiet = 0
        while self._put_off:
            writer, segment, part, cut = self._put_off[0]
            if self._window.holds(part):
                if writer.lost and cut.opens:
                    self._window.part_company(segment)
                    writer.begin_anew()  # what was lost is one segment, not all that nobody has watched
                self._window.fill(segment, part, writer.part(cut))
            else:
                writer.skip(cut)
            self._put_off.popleft()  # only now: a part without a body must never be one that nobody will write

    def _add(self, cut: Cut, body: bytes | None) -> None:
        """Puts a part into the window; without a body, one that is muxed when somebody asks for the stream."""
        window, writer = self._window, self._writer
        if window.open is None:
            self._begin_segment(cut)
        assert window.open is not None
        if body is not None:
            part = window.append(body, cut.duration, independent=cut.independent)
        else:
            assert writer is not None
            size = sum(len(sample.unit.payload) for sample in (*cut.video, *cut.audio))
            part = window.put_off(size, cut.duration, independent=cut.independent)
            self._put_off.append((writer, window.open, part, cut))
        self._sinks.part(self.run, self.name, window.open, part)
        assert self._tracks is not None
        if self._low_latency:
            self.counts["part"] += 1
            self._stats.segment_duration["part"].observe(cut.duration / TICKS)
        samples = cut.video if self._tracks.video is not None else cut.audio
        self._frames += len(samples)
        self._frames_span += sum(sample.duration for sample in samples)
        if cut.closes:
            self._finish_segment()

    def _begin_segment(self, cut: Cut) -> None:
        assert self._epoch is not None
        self._segment_start = cut.start
        self.live.away = False
        window = self._window
        segment = window.begin(
            date=self.run.date(self, window.last_msn + 1, self._epoch + cut.start / TICKS),
            discontinuity=self._discontinuity,
            init=self._init_uri,
            independent=cut.independent,
        )
        self._sinks.opened(self.run, self.name, segment, window.init_of(segment))
        self._discontinuity = False
        if self._window.target_duration:
            self._dated = True  # listed with its first part: the mapping of this run must not change (MP15)
        self.forced_cuts += cut.forced
        if not cut.independent:
            self.live.dependent()

    def _finish_segment(self) -> None:
        window = self._window
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
        while self._put_off and not window.holds(self._put_off[0][2]):
            writer, _, _, cut = self._put_off.popleft()
            writer.skip(cut)
        if not window.target_duration and len(window.segments) >= self._settings.first_segments:
            self._fix()
        self._sinks.closed(self.run, self.name, segment)
        try:
            self._finished(segment.msn)
        except Exception as error:  # noqa: BLE001 - who writes numbers down costs the stream nothing
            self._faults.output("journal", error)
        if window.over_budget():
            self._overflow()

    def _fix(self) -> None:
        """Fixes target duration and promises on the first segments (TL05), before anybody was told of them."""
        settings, window = self._settings, self._window
        gop = self._cutter.longest_gop if self._cutter is not None else 0
        gop = min(max(gop, self._longest_stub), self._limits.segment_limit)
        longest = max(gop, *(segment.duration for segment in window.segments)) / TICKS
        window.target_duration = self.run.aim(max(1, math.ceil(settings.time - 1e-3), math.ceil(longest - OVERSHOOT)))
        self._limits.segment_target = round(settings.time * TICKS)
        self._limits.segment_limit = round((window.target_duration + OVERSHOOT) * TICKS)
        if window.target_duration > 2 * settings.time:
            self._log.warning(
                "key frames are far apart",
                seconds=round(longest, 1),
                hint="set the encoder's key-frame interval to 2 s",
            )
        self._promise(window.target_duration)
        self._spans = self._span()
        self._kept = self._spans[1]
        for segment in window.segments:
            if any(part.duration > self._limits.part_target or part.gap for part in segment.parts):
                # Cut before the part target was known, and never shown: it is listed without parts (LL08).
                self._catch_up()
                window.forget_parts(segment)
        if self._epoch is None or not self._frames:
            return  # these segments end where the timeline does, before anything of the next one came: dates stand
        # TL08: the first segments get the tightest mapping of media time to wall clock that their frames allow.
        date = self._epoch + self._segment_start / TICKS
        for after, segment in zip((None, *reversed(window.segments)), reversed(window.segments), strict=False):
            if after is not None:
                if after.discontinuity:
                    break
                date -= segment.duration / TICKS
            segment.date = self.run.date(self, segment.msn, date)
        self._dated = True

    def _promise(self, target_duration: int) -> None:
        """Fixes what low latency promises, or that there is none (LL07)."""
        if self._tracks is not None and self._tracks.audio is None and 0 < self.frame_rate * SLOW < 1:
            self._low_latency = False
        if self._low_latency:
            part = self._settings.part
            promises = low_latency_for(part, self._frame_distance, target_duration)
            if promises.part_target * TICKS < self._coming:
                promises = low_latency_for(part, self._coming / TICKS, target_duration)
            promises = self.run.promise(promises)
            self.live.promise(promises)
            self._limits.part_target = round(promises.part_target * TICKS)

    @property
    def _frame_distance(self) -> float:
        """How far apart frames of the leading track are, seconds; 0.0: not known.

        Without sound a picture that comes late leaves a part empty, so it is somewhat more than the longest distance
        where a part holds few of them.
        """
        rate = self.frame_rate
        usual = 1 / rate if rate else 0.0
        longest = self._cutter.longest_frame / TICKS if self._cutter is not None else 0.0
        silent = self._tracks is not None and self._tracks.audio is None
        if not silent or 3 * longest < self._settings.part:
            return usual
        return min(SLOW, (1.1 if longest < 1.5 * usual else 1.25) * longest)

    @property
    def frame_rate(self) -> float:
        """Frames per second of the leading track since the last discontinuity, as measured (MV07)."""
        video = self._tracks.video if self._tracks is not None else None
        declared = float(video.frame_rate) if video is not None and video.frame_rate else 0.0
        if not self._frames_span:
            return declared
        measured = self._frames * TICKS / self._frames_span
        # The SPS knows 30000/1001 exactly where RTMP's milliseconds do not, and what an encoder that drops frames
        # means to send; it is not believed where it is far off, as with timing counted in fields.
        return declared if 0.7 * declared < measured < 1.02 * declared else measured


class _Writer:
    """The muxer between two discontinuities, until a part of it is lost: from then on there are only gaps.

    Counters and decode times would not fit behind what is missing (TS04, FM04). `another()` makes a muxer alike.
    """

    def __init__(self, muxer: Muxer, log: FilteringBoundLogger, faults: Faults, another: Callable[[], Muxer]) -> None:
        self._muxer = muxer
        self._another = another
        self._log = log
        self._faults = faults
        self.lost = False

    def part(self, cut: Cut) -> bytes:
        """The part's bytes; none for a gap."""
        if self.lost:
            return b""
        try:
            return self._muxer.part(cut)
        except MediaError as error:
            self._log.warning("part lost", reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours is a lost part all the same
            self._faults.output("muxer", error)
        self.lost = True
        return b""

    def begin_anew(self) -> None:
        """Behind a discontinuity it begins anew."""
        try:
            self._muxer = self._another()
        except Exception as error:  # noqa: BLE001 - then what follows is lost as well
            self._faults.output("muxer", error)
        else:
            self.lost = False

    def renew(self, tracks: Tracks, after: int) -> bool:
        """Whether pictures decoded after `after` ticks can have the parameter sets of `tracks` without a seam."""
        return self._muxer.renew(tracks, after)

    def skip(self, cut: Cut) -> None:
        """Passes over a part that nobody can ask for any more."""
        if self.lost:
            return
        try:
            self._muxer.skip(cut)
        except Exception as error:  # noqa: BLE001 - as above
            self._faults.output("muxer", error)
            self.lost = True
