"""Is the recorder of one stream (`hlsd.ports.Output`): cuts what comes into fragments, and these into files.

It has a cutter and a muxer of its own, a second a fragment: one for each part of HLS would cost three times as much.
Law: a file begins at a key picture, and the one that ends the file before begins the next: nothing is lost between
them, nothing is in both. It goes on through a publisher's grace if what comes then has the same tracks. Each stretch of
time without a seam has a muxer of its own whose clock begins where the file ends, so that no file has a hole; when it
really was stands in marks. What finds no room in the writer's queue is left out up to the next key picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from hlsd.base.errors import MediaError
from hlsd.media.codecs import codecs_attribute
from hlsd.media.date_range import DateRange
from hlsd.media.timed_event import TimedEvent
from hlsd.media.unit import TICKS, AccessUnit, Kind, Tracks
from hlsd.record.beginning import begun
from hlsd.record.muxers import FileMuxer, file_muxer
from hlsd.record.shape import About
from hlsd.record.take import EXTENSIONS, Reason, Take, new_take_id
from hlsd.record.template import FileTemplate
from hlsd.segmenter.alignment import LATE, Alignment
from hlsd.segmenter.cut import Cut, CutLimits
from hlsd.segmenter.cutter import Cutter
from hlsd.segmenter.pending_events import PendingEvents

FRAGMENT: Final = TICKS * 105 // 100
"""Ticks of a fragment at most, which is what a crash costs: a second, and room for a key frame each 30 of 29.97."""
HOLE: Final = 10 * TICKS
"""Ticks in which nothing came of any track, from which on it is left out: nobody wants to watch nothing."""
RANGES: Final = 64
"""Date ranges between two fragments."""
PAIR: Final = 60 * TICKS
"""Ticks after which the wall clock is noted again, where there is no seam."""


class RecordPlan(NamedTuple):
    """What of a rule or a task a recorder must know. `rotate` and `max_duration` in seconds, 0 for none."""

    rule: str
    template: FileTemplate
    format: str = "mp4"
    rotate: float = 3600.0
    max_bytes: int = 4 << 30
    max_duration: float = 0.0
    task: str = ""


class RecordingSink(Protocol):
    """Whoever takes the files of a recorder: the room, with its writer."""

    def may_begin(self, retry_at: float) -> bool:
        """Whether a file may be begun now; `retry_at`: monotonic seconds before which it may not."""
        ...

    def begin(self, take: Take, octets: bytes) -> bool:
        """A new file with its first bytes; False if there is no room."""
        ...

    def append(self, take: Take, pieces: Sequence[bytes], size: int) -> bool:
        """The next fragment, `size` bytes in all; False if there is no room."""
        ...

    def end(self, take: Take, reason: Reason) -> None:
        """The file is over."""
        ...

    def gap(self, take: Take | None) -> None:
        """Something was left out."""
        ...

    def retry_at(self) -> float:
        """When a recording that the disk has ended may begin again, monotonic seconds."""
        ...


class Recorder:
    """One stream's recorder. `over()` is called when the plan's `max_duration` is reached."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands between
        self,
        app: str,
        name: str,
        stream_id: str,
        plan: RecordPlan,
        store: RecordingSink,
        over: Callable[[], None] = lambda: None,
        recorded: float = 0.0,
    ) -> None:
        self.plan = plan
        self.take: Take | None = None
        """The file under way."""
        self.recorded = recorded
        """Seconds of media so far, over all files."""
        self.error = ""
        """Why the last file was lost."""
        self._app, self._name, self._stream_id = app, name, stream_id
        self._store = store
        self._reached = over
        self._tracks: Tracks | None = None
        self._cutter: Cutter | None = None
        self._alignment: Alignment | None = None
        self._muxer: FileMuxer | None = None
        self._events = PendingEvents()
        self._ranges: deque[DateRange] = deque(maxlen=RANGES)  # for the next fragment
        self._needs_key = True
        self._easy = False  # what comes in order can go to the cutter as it is
        self._seam = False  # the next fragment does not continue the one before
        self._done = False
        self._newest = [-1, -1]  # the last time of each track
        self._skew = 0.0  # wall clock of tick 0, by the frame that came soonest after its own time
        self._sequence = 0  # of the last fragment in the file
        self._at = 0  # where the file ends, ticks of its own time
        self._origin = 0  # what is taken off the stream's ticks
        self._paired = 0  # the stream's tick at which the wall clock was noted last
        self._retry_at = 0.0

    # -- as the stream sees it

    def tracks(self, tracks: Tracks) -> None:
        """The tracks of what follows: others than before are another file's."""
        if tracks == self._tracks:
            return
        self._finish_timeline()
        if self._tracks is not None:
            self._end("tracks")
        self._tracks = tracks

    def unit(self, unit: AccessUnit) -> None:
        """The next access unit."""
        kind, dts, _, key, _, _, _ = unit
        newest = self._newest
        if self._easy and newest[kind] <= dts <= newest[kind] + HOLE and (not kind or newest[0] - dts <= LATE):
            newest[kind] = dts  # as nearly always: nothing is in its way
            assert self._cutter is not None
            cuts = self._cutter.push(unit)
            if cuts:
                for cut in cuts:
                    self._put(cut)
            return
        if dts - max(newest) > HOLE and max(newest) >= 0:
            self._finish_timeline()
            newest = self._newest
            if kind is not Kind.VIDEO and self._tracks is not None and self._tracks.video is not None:
                return  # it goes on with the next key picture
        if self._needs_key:
            tracks = self._tracks
            if tracks is None or self._done or not (key and (kind is Kind.VIDEO or tracks.video is None)):
                return
            self._begin_timeline(tracks)
        newest[kind] = dts
        alignment = self._alignment
        if alignment is not None:
            for one in alignment.take(unit, newest[0]):
                self._push(one)
        else:
            self._push(unit)
        self._easy = self._cutter is not None and (alignment is None or alignment.steady)

    def event(self, event: TimedEvent) -> None:
        """Something is to be said at an instant (`hlsd.ports.EventTaker`)."""
        if self._cutter is not None:
            self._events.put(event)

    def date_range(self, told: DateRange) -> None:
        """Another date range (`hlsd.ports.RangeTaker`): it goes into the file before the next fragment."""
        if self.take is not None:
            self._ranges.append(told)

    def jump(self) -> None:
        """What follows is not what came before."""
        self._finish_timeline()

    def pause(self) -> None:
        """The publisher has left: what there is of its last fragment is written, the file stays open."""
        self._finish_timeline()

    def end(self) -> None:
        """The stream is over."""
        self.stop("stream_end")

    def stop(self, reason: Reason) -> None:
        """Nothing more is recorded."""
        self._finish_timeline()
        self._end(reason)
        self._done = True

    def suspend(self, words: str) -> Take | None:
        """Ends the file under way for what is wrong with the disk; that file. Another begins when that may be."""
        take = self.take
        if take is None:
            return None
        self.error = words
        self._finish_timeline()
        if self.take is not None:
            self._end("disk")
        return take

    @property
    def over(self) -> bool:
        """Whether nothing more will be recorded."""
        return self._done

    # -- as an output that may raise

    def reset(self) -> None:
        """Something here has raised (`hlsd.streams.outlet.Mendable`): what is under way is let go, the file goes on."""
        self._cutter = self._alignment = None
        self._needs_key, self._easy = True, False
        self._seam = self.take is not None
        self._newest = [-1, -1]

    def halt(self) -> None:
        """It stays off."""
        self._end("fault")

    @property
    def held(self) -> int:
        """Bytes of media that are in no fragment yet."""
        waiting = self._alignment.held if self._alignment is not None else 0
        waiting += self._events.bytes
        return waiting + (self._cutter.open_bytes if self._cutter is not None else 0)

    # -- timelines

    def _begin_timeline(self, tracks: Tracks) -> None:
        self._needs_key = False
        self._skew = float("inf")
        limits = CutLimits(segment_target=TICKS, segment_limit=HOLE, part_target=FRAGMENT, segment_bytes=32 << 20)
        self._cutter = Cutter(tracks, limits)
        both = tracks.video is not None and tracks.audio is not None
        self._alignment = Alignment() if both else None
        self._muxer = None

    def _finish_timeline(self) -> None:
        """Writes what there is, and goes on at the next key picture, behind a seam."""
        self._easy = False
        alignment, self._alignment = self._alignment, None
        for unit in alignment.rest() if alignment is not None else ():
            self._push(unit)
        cutter, self._cutter = self._cutter, None
        if cutter is not None:
            for cut in cutter.flush():
                self._put(cut)
        self._needs_key = True
        self._seam = self.take is not None
        self._newest = [-1, -1]

    def _push(self, unit: AccessUnit) -> None:
        if self._cutter is not None:
            for cut in self._cutter.push(unit):
                self._put(cut)

    # -- fragments

    def _put(self, cut: Cut) -> None:
        """Writes a fragment, into a new file if it is time for one."""
        samples = cut.video or cut.audio
        if not samples or self._tracks is None:
            return
        if self._events:
            (cut,) = self._events.onto((cut,))
        for sample in samples:
            self._skew = min(self._skew, sample.unit.arrived - sample.unit.dts / TICKS)
        fresh = cut.opens and samples[0].unit.key  # a CRA too: there are streams without an IDR but the first
        take = self.take
        if take is not None and take.error:
            self._lost(take)
            take = None
        if take is not None and fresh and self._is_full(take):
            self._end("rotate")
            take = None
        if self._muxer is None and self.plan.format == "mp4":
            cut = begun(cut)
        if self._done or (take is None and not (fresh and self._open(cut))):
            return
        take = self.take
        assert take is not None
        if self._muxer is None and not fresh:
            self._store.gap(take)
            return  # something was left out: it goes on with a key picture
        self._write(take, cut)

    def _write(self, take: Take, cut: Cut) -> None:
        assert self._tracks is not None
        if self._muxer is None:
            self._origin = _first(cut) - self._at
            self._muxer = file_muxer(take.format, self._tracks, origin=self._origin, sequence=self._sequence)
        muxer = self._muxer
        wall = self._skew + cut.start / TICKS
        seam, noted = self._seam, self._seam or self._paired < 0 or cut.start - self._paired >= PAIR
        try:
            pieces = muxer.fragment(cut, wall if noted else None, seam=seam, ranges=self._ranges)
        except MediaError:
            pieces = ()
        size = sum(map(len, pieces))
        if not size or not self._store.append(take, pieces, size):
            self._store.gap(take)
            self._muxer, self._seam = None, True
            return
        self._ranges.clear()
        self._sequence = muxer.sequence
        if noted:
            self._paired = cut.start
        take.seams += seam
        self._seam = False
        self._at = max(self._at, _last(cut) - self._origin)
        take.sent += size
        seconds = self._at / TICKS
        self.recorded += seconds - take.seconds
        take.seconds = seconds
        longest = self.plan.max_duration
        if longest and self.recorded >= longest:
            self._end("max_duration")
            self._done = True
            self._reached()

    # -- files

    def _is_full(self, take: Take) -> bool:
        plan = self.plan
        return (plan.rotate > 0 and self._at >= plan.rotate * TICKS) or take.sent >= plan.max_bytes

    def _open(self, cut: Cut) -> bool:
        """Begins a file with this cut; False if that may not be now."""
        if not self._store.may_begin(self._retry_at) or self._tracks is None:
            return False
        plan, wall = self.plan, self._skew + cut.start / TICKS
        ident = new_take_id(wall)
        take = Take(
            id=ident,
            app=self._app,
            name=self._name,
            stream_id=self._stream_id,
            rule=plan.rule,
            file=plan.template.fill(self._app, self._name, wall, ident) + EXTENSIONS[plan.format],
            format=plan.format,
            started=wall,
            codecs=codecs_attribute(self._tracks),
            task=plan.task,
        )
        self._at, self._origin = 0, _first(cut)
        try:
            muxer = file_muxer(plan.format, self._tracks, origin=self._origin, sequence=0)
            first = muxer.opening(About(take.id, take.app, take.name, take.stream_id, wall))
        except MediaError as error:
            self.error = str(error)
            return False
        if not self._store.begin(take, first):
            self._store.gap(None)
            return False
        take.sent = len(first)
        self._muxer, self.take, self._seam = muxer, take, False
        self._paired = -1
        return True

    def _end(self, reason: Reason) -> None:
        take, self.take, self._muxer = self.take, None, None
        self._seam = False
        if take is not None:
            self._store.end(take, reason)

    def _lost(self, take: Take) -> None:
        """The disk has ended the file: another try at a key picture, when it is time."""
        self.error = take.error
        self._retry_at = self._store.retry_at()
        self._end("disk")


def _first(cut: Cut) -> int:
    """The earliest decode time in a cut: sound may begin a frame before the picture."""
    return min([track[0].unit.dts for track in (cut.video, cut.audio) if track])


def _last(cut: Cut) -> int:
    """Where the last frame of a cut ends."""
    return max([track[-1].unit.dts + track[-1].duration for track in (cut.video, cut.audio) if track])
