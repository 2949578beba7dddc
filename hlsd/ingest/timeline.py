"""Turns the timestamps of a publisher into a timeline: 64-bit ticks of 90 kHz that never step back within a track.

Law (TL02, TS12): wraps are unrolled; small steps back are smoothed without moving the long-run clock; a single frame
stamped far away is put where it belongs; a real jump of the source's clock is reported once for both tracks, and the
output goes on behind all that was given before, as much later as it came: no frame is lost for it. The skew between the
tracks is kept. Video keeps its wire times; audio, whose wire times are rounded to milliseconds, counts its samples and
follows the wire only when it is off by more than 50 ms. What a source's clock may do and what becomes of it is a table
in docs/streams.md; which steps are believed stands in `source_clock`.

Wire times are milliseconds modulo 2^32 (some peers: 2^31), `now` is monotonic seconds at arrival, what comes out is
ticks. PTS >= DTS always, since no container can say otherwise; with negative composition offsets the DTS is brought
forward. Pure: reads no clock, says what it did through two callbacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hlsd.ingest.source_clock import BACKWARD_MS, CONFIRM, FORWARD_MS, TICKS_PER_MS, SourceClock, signed, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SKEW_MS: Final = 10_000
"""Tracks whose first timestamps are further apart do not share a clock; each then starts on its own. Nor can one track
have a gap that is longer where the other has none."""
COMPOSITION_LIMIT_MS: Final = 5_000
"""Composition offsets beyond this are damage and taken for 0, unless pictures are as far apart."""
COMPOSITION_PACES: Final = 20
"""Picture distances that a composition offset may be long: 16 reordered pictures and some."""
COMPOSITION_AT_START_MS: Final = 30_000
"""The bound before two pictures have shown how far apart they are."""
LAG_LIMIT_MS: Final = 1_000
"""How far a DTS is brought forward at most for the sake of negative composition offsets."""
AUDIO_DEVIATION: Final = 50 * TICKS_PER_MS
"""How far sample count and wire may be apart before the audio is anchored anew (TS12)."""
AUDIO_PATIENCE: Final = 48
"""Audio frames in a row that must be early before some are dropped: senders that bundle frames are early for a few."""

_SAME_EVENT_MS: Final = 3_000
"""How much later than expected a track may follow the other one's jump."""


class Timeline:
    """The timeline of one publication, beginning at `origin` ticks.

    `jump()` is called once it is known that the source's clock jumped, a few frames after it did; `repaired(kind)`
    counts "backward", "wrap", "stray", "jump" and "audio". Feed units in order of arrival.
    """

    __slots__ = (
        "_anchor",
        "_audio",
        "_behind",
        "_early",
        "_frame_samples",
        "_jump",
        "_lag",
        "_origin",
        "_repaired",
        "_sample_rate",
        "_samples",
        "_surplus",
        "_video",
    )

    def __init__(self, origin: int, *, jump: Callable[[], None], repaired: Callable[[str], None]) -> None:
        self._origin = origin
        self._jump = jump
        self._repaired = repaired
        self._video = SourceClock()
        self._audio = SourceClock()
        self._behind = 0  # ms by which the first unit stamped is later than the earliest one
        self._lag = 0  # ticks by which video DTS run ahead of the wire
        self._sample_rate = 48_000
        self._frame_samples = 1024
        self._anchor: int | None = None  # ticks at which _samples were counted from 0
        self._samples = 0
        self._early = 0
        self._surplus = 0

    def begin(self, timestamps: Sequence[int]) -> None:
        """Says which wire times will be stamped first, so that the earliest of them is at the origin, not the first."""
        if not timestamps:
            return
        first = timestamps[0]
        steps = sorted(signed(time - first) for time in timestamps)
        middle = steps[len(steps) // 2]  # the first may be the stray
        near = [step for step in steps if abs(step - middle) <= SKEW_MS]
        self._behind = max(0, -near[0]) if abs(middle) <= SKEW_MS else 0

    def sound(self, sample_rate: int, frame_samples: int) -> None:
        """Sets the clock of the audio frames that follow: hertz and samples in a frame."""
        self._sample_rate = sample_rate
        self._frame_samples = frame_samples
        self._anchor = None

    def video(self, timestamp: int, cts: int, now: float) -> tuple[int, int]:
        """DTS and PTS in ticks of a picture sent at `timestamp` ms with composition offset `cts` ms, here at `now`."""
        clock = self._video
        step = timestamp - clock.wire
        if 0 < step <= FORWARD_MS and clock.trial is None and not self._audio.doubt:
            # As nearly always: what `_follow` does, without the call.
            clock.pace = (clock.pace * 7 + step) >> 3 if clock.steps else step
            clock.steps = 1
            clock.wire = timestamp
            clock.raw = raw = clock.raw + step
            clock.arrived = now
            wire = raw * TICKS_PER_MS + clock.offset
        else:
            wire = self._follow(clock, self._audio, timestamp, now)
        if not 0 <= cts <= COMPOSITION_LIMIT_MS:
            cts = self._composition(clock, cts)
        dts = wire - self._lag
        if dts <= clock.last:
            dts = clock.last + 1
        clock.last = dts
        pts = wire + cts * TICKS_PER_MS
        return dts, (pts if pts > dts else dts)  # noqa: FURB136 - max() is a call

    def audio(self, timestamp: int, now: float) -> int | None:
        """DTS in ticks of an audio frame sent at `timestamp` ms; None if the frame is surplus and must be left out."""
        clock = self._audio
        step = timestamp - clock.wire
        if 0 < step <= FORWARD_MS and clock.trial is None and not self._video.doubt:
            clock.pace = (clock.pace * 7 + step) >> 3 if clock.steps else step  # as for video
            clock.steps = 1
            clock.wire = timestamp
            clock.raw = raw = clock.raw + step
            clock.arrived = now
            wire = raw * TICKS_PER_MS + clock.offset
        else:
            wire = self._follow(clock, self._video, timestamp, now)
        anchor = self._anchor
        if anchor is None:
            anchor = self._anchor = wire if wire > clock.last else clock.last + 1
            self._samples = 0
            self._early = self._surplus = 0
        samples = self._samples
        dts = anchor + samples * 90_000 // self._sample_rate
        deviation = wire - dts
        if deviation > AUDIO_DEVIATION:
            # Samples are missing: the wire is right.
            self._repaired("audio")
            self._anchor = dts = wire
            samples = self._early = self._surplus = 0
        elif deviation < -AUDIO_DEVIATION or self._surplus:
            if self._drop(deviation):
                return None
        elif self._early:
            self._early = 0
        self._samples = samples + self._frame_samples
        clock.last = dts
        return dts

    def at(self, timestamp: int) -> int | None:
        """Where that is what the source says at `timestamp` ms, and is no frame; None before the first frame.

        It moves no clock. Who stamps such messages by another clock than its frames (nought, the time of day) means
        now: the newest frame.
        """
        clock = self._video if self._video.started else self._audio
        if not clock.started:
            return None
        known = [(clock.wire, clock.ticks)]
        if clock.trial is not None:
            known.append((clock.trial.wire, clock.trial.ticks))
        steps = [(unwrapped(timestamp - wire), ticks) for wire, ticks in known]
        step, ticks = min(steps, key=lambda one: abs(one[0]))
        if abs(step) > SKEW_MS:
            return max([one.last for one in (self._video, self._audio) if one.started])
        return max(self._origin, ticks + step * TICKS_PER_MS)

    def _composition(self, clock: SourceClock, cts: int) -> int:
        """A composition offset that is negative or long: as it is, or 0 if it is damage."""
        if not -COMPOSITION_LIMIT_MS <= cts <= COMPOSITION_LIMIT_MS:
            pace = COMPOSITION_PACES * clock.pace if clock.steps else COMPOSITION_AT_START_MS
            if abs(cts) > pace:
                return 0
        if cts < 0:
            # A picture cannot be shown before it is decoded: from now on all pictures are decoded earlier.
            self._lag = max(self._lag, min(-cts, max(LAG_LIMIT_MS, 2 * clock.pace)) * TICKS_PER_MS)
        return cts

    def _drop(self, deviation: int) -> bool:
        """Whether a frame goes, because for long there have been more samples than the wire has time for."""
        if not self._surplus:
            self._early += 1
            if self._early < AUDIO_PATIENCE:
                return False
            self._early = 0
            frame = self._frame_samples * 90_000 // self._sample_rate
            self._surplus = max(1, min(-deviation // frame, AUDIO_PATIENCE))
            self._repaired("audio")
        self._surplus -= 1
        return True

    def _follow(self, clock: SourceClock, other: SourceClock, timestamp: int, now: float) -> int:
        """The output ticks of a wire time, jumps and wraps resolved; not yet clamped to what was given before."""
        if not clock.started:
            return self._start(clock, other, timestamp, now)
        step = timestamp - clock.wire
        if 0 <= step <= FORWARD_MS and clock.trial is None:
            clock.go_on(timestamp, step, now)
        elif (leapt := self._judge(clock, other, timestamp, step, now)) is not None:
            return leapt
        if other.doubt and clock.raw > other.doubt:
            if now <= other.doubt_by:
                self._mend(other, clock)
            other.doubt = 0
        return clock.raw * TICKS_PER_MS + clock.offset

    def _judge(self, clock: SourceClock, other: SourceClock, timestamp: int, difference: int, now: float) -> int | None:
        """Takes a step that is not a small one forward; the ticks of its frame if it is a leap."""
        step = unwrapped(difference)
        if not self._is_plausible(clock, other, step, now):
            return self._leap(clock, other, timestamp, step, now)
        if step > 0 > difference:
            self._repaired("wrap")
        if step < 0:
            self._repaired("backward")
        if clock.trial is not None:
            self._repaired("stray")
            self._unanchor(clock)
        clock.go_on(timestamp, step, now)
        return None

    def _is_plausible(self, clock: SourceClock, other: SourceClock, step: int, now: float) -> bool:
        if clock.falls_behind(step):
            return False
        if clock.believes(step, clock.arrived, now):
            return True
        # One clock, and the other track has been there already: only this track had a gap (TL06).
        together = other.started and other.offset == clock.offset
        return together and step > 0 and clock.raw + step <= other.raw + FORWARD_MS

    def _unanchor(self, clock: SourceClock) -> None:
        """What was counted in samples does not go on."""
        if clock is self._audio:
            self._anchor = None

    def _mend(self, leapt: SourceClock, steady: SourceClock) -> None:
        """Takes a jump back: the other track went on through the time that was leapt over, so there was only a gap.

        Without this the two would stay as far apart as the gap was long.
        """
        leapt.doubt = leapt.moved = 0
        leapt.offset = steady.offset
        self._unanchor(leapt)
        self._repaired("jump")
        self._jump()

    def _start(self, clock: SourceClock, other: SourceClock, timestamp: int, now: float) -> int:
        clock.begin(timestamp, now)
        clock.last = self._origin - 1
        if not other.started:
            clock.offset = self._origin + (self._behind - timestamp) * TICKS_PER_MS
            return clock.ticks
        skew = signed(timestamp - other.wire)
        clock.raw = other.raw + skew
        clock.offset = other.offset
        ticks = clock.ticks
        if abs(skew) > SKEW_MS or ticks < self._origin:
            # No common clock, or a track from before the timeline: what arrives together belongs together.
            self._repaired("jump")
            ticks = other.last + 1
            clock.offset = ticks - clock.raw * TICKS_PER_MS
        return ticks

    def _leap(self, clock: SourceClock, other: SourceClock, timestamp: int, step: int, now: float) -> int:
        """Stamps a frame whose step is not believed: a stray, the other track's jump, or a jump."""
        if clock.trial is None:
            self._unanchor(clock)
        raw = clock.raw + step
        if clock.moved or other.moved:
            # The other track jumped before and, moved as far as that one, this one just goes on: the same event. Or it
            # comes back to the clock of the other one.
            for offset in (clock.offset + other.moved, other.offset):
                ticks = raw * TICKS_PER_MS + offset
                if (
                    offset != clock.offset
                    and -BACKWARD_MS * TICKS_PER_MS <= ticks - clock.last <= _SAME_EVENT_MS * TICKS_PER_MS
                ):
                    clock.adopt(timestamp, raw, offset, now)
                    clock.moved = other.moved = clock.doubt = other.doubt = 0
                    self._unanchor(clock)
                    return ticks
        if clock.paused(step, now):
            # Nothing came from either track for seconds. The time is left out: nobody shall sit through it again.
            ticks = self._jump_to(clock, timestamp, raw, clock.last + clock.pace * TICKS_PER_MS, now)
            clock.keep_pace(step)  # unless it is its pace
            return ticks
        trial = clock.try_on(timestamp, step, now)
        ticks = trial.ticks
        if trial.count < CONFIRM:
            return ticks
        leapt = trial.raw - clock.raw
        doubtful = 0 < leapt <= SKEW_MS and other.started and other.offset == clock.offset
        self._jump_to(clock, timestamp, trial.raw, ticks, now)
        if doubtful:
            # If the other track comes there faster than time goes by, there was a gap, and no jump.
            clock.doubt, clock.doubt_by = trial.raw - FORWARD_MS, now + leapt / 2000
        return ticks

    def _jump_to(self, clock: SourceClock, timestamp: int, raw: int, ticks: int, now: float) -> int:
        """Believes that the source's clock has jumped, and goes on at `ticks`."""
        self._repaired("jump")
        self._jump()
        offset = ticks - raw * TICKS_PER_MS
        clock.moved += offset - clock.offset
        clock.doubt = 0
        clock.adopt(timestamp, raw, offset, now)
        self._unanchor(clock)
        return ticks
