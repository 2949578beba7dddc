"""Turns the timestamps of a publisher into a timeline: 64-bit ticks of 90 kHz that never step back within a track.

Law (TL02, TS12): wraps are unrolled; small steps back are smoothed without moving the long-run clock; a real jump of
the source's clock is reported once for both tracks, and the output goes on behind all that was given before. The skew
between the tracks is kept. Video keeps its wire times; audio, whose wire times are rounded to milliseconds, counts its
samples and follows the wire only when it is off by more than 50 ms.

Wire times are milliseconds modulo 2^32 (some peers: 2^31), what comes out is ticks. PTS >= DTS always, since no
container can say otherwise; with negative composition offsets the DTS is brought forward. Pure: knows no clock, says
what it did through two callbacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TICKS_PER_MS: Final = 90

BACKWARD_MS: Final = 100
"""A step back no longer than this is jitter: the DTS is clamped and the clock stays."""
BACKLOG_MS: Final = 500
"""Small steps back that add up to more than this behind the output are a jump."""
FORWARD_MS: Final = 1_000
"""A step forward beyond this is a jump (TL02), unless the other track shows that the clock went on."""
SKEW_MS: Final = 10_000
"""Tracks whose first timestamps are further apart do not share a clock; each then starts on its own."""
COMPOSITION_LIMIT_MS: Final = 5_000
"""Composition offsets beyond this are damage and taken for 0."""
LAG_LIMIT_MS: Final = 1_000
"""How far a DTS is brought forward at most for the sake of negative composition offsets."""
AUDIO_DEVIATION: Final = 50 * TICKS_PER_MS
"""How far sample count and wire may be apart before the audio is anchored anew (TS12)."""
AUDIO_PATIENCE: Final = 48
"""Audio frames in a row that must be early before some are dropped: senders that bundle frames are early for a few."""

DOUBT_MS: Final = 500
"""How far the other track must go on, through the time that one leapt over, to show that there was no jump."""

_HALF: Final = 1 << 31
_FULL: Final = 1 << 32
_SAME_EVENT_MS: Final = 3_000
"""How much later than expected a track may follow the other one's jump."""


class _Clock:
    """What is remembered of one track: its last wire time, and what must be added to come to output ticks."""

    __slots__ = ("doubt", "last", "moved", "offset", "raw", "started", "step", "wire")

    def __init__(self) -> None:
        self.started = False
        self.wire = 0  # the last timestamp as sent
        self.raw = 0  # the same, unwrapped: ms
        self.offset = 0  # ticks from raw * 90 to the output
        self.moved = 0  # by how much jumps have changed the offset that the other track has not followed yet
        self.doubt = 0  # raw time of the other track at which a leap forward turns out to have been a gap; 0: none
        self.last = 0  # the last DTS given: ticks
        self.step = 33  # the last plausible distance between frames: ms


class Timeline:
    """The timeline of one publication, beginning at `origin` ticks.

    `jump()` is called when the source's clock jumped, before the unit behind the jump is stamped; `repaired(kind)`
    counts "backward", "wrap", "jump" and "audio". Feed units in order of arrival.
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
        self._video = _Clock()
        self._audio = _Clock()
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
        if timestamps:
            first = timestamps[0]
            near = [step for time in timestamps if abs(step := _signed(time - first)) <= SKEW_MS]
            self._behind = -min(near)

    def sound(self, sample_rate: int, frame_samples: int) -> None:
        """Sets the clock of the audio frames that follow: hertz and samples in a frame."""
        self._sample_rate = sample_rate
        self._frame_samples = frame_samples
        self._anchor = None

    def video(self, timestamp: int, cts: int) -> tuple[int, int]:
        """DTS and PTS in ticks of a picture sent at `timestamp` ms with composition offset `cts` ms."""
        clock = self._video
        wire = self._follow(clock, self._audio, timestamp)
        if cts < 0:
            if cts < -COMPOSITION_LIMIT_MS:
                cts = 0
            # A picture cannot be shown before it is decoded: from now on all pictures are decoded earlier.
            self._lag = max(self._lag, min(-cts, LAG_LIMIT_MS) * TICKS_PER_MS)
        elif cts > COMPOSITION_LIMIT_MS:
            cts = 0
        dts = wire - self._lag
        if dts <= clock.last:
            dts = clock.last + 1
        clock.last = dts
        pts = wire + cts * TICKS_PER_MS
        return dts, max(pts, dts)

    def audio(self, timestamp: int) -> int | None:
        """DTS in ticks of an audio frame sent at `timestamp` ms; None if the frame is surplus and must be left out."""
        clock = self._audio
        wire = self._follow(clock, self._video, timestamp)
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

    def _follow(self, clock: _Clock, other: _Clock, timestamp: int) -> int:
        """The output ticks of a wire time, jumps and wraps resolved; not yet clamped to what was given before."""
        if not clock.started:
            return self._start(clock, other, timestamp)
        step = timestamp - clock.wire
        if step < 0 or step > FORWARD_MS:
            step = self._unwrap(step)
            behind = (clock.raw + step) * TICKS_PER_MS + clock.offset < clock.last - BACKLOG_MS * TICKS_PER_MS
            if behind or not -BACKWARD_MS <= step <= FORWARD_MS:
                return self._leap(clock, other, timestamp, step)
            if step < 0:
                self._repaired("backward")
        if step > 0:
            clock.step = step
        clock.wire = timestamp
        clock.raw += step
        if other.doubt and clock.raw > other.doubt:
            self._mend(other, clock)
        return clock.raw * TICKS_PER_MS + clock.offset

    def _mend(self, leapt: _Clock, steady: _Clock) -> None:
        """Takes a jump back: the other track went on through the time that was leapt over, so there was only a gap.

        Without this the two would stay as far apart as the gap was long.
        """
        leapt.doubt = leapt.moved = 0
        leapt.offset = steady.offset
        if leapt is self._audio:
            self._anchor = None
        self._repaired("jump")
        self._jump()

    def _unwrap(self, difference: int) -> int:
        """The step in ms behind a difference of two wire times."""
        step = _signed(difference)
        short = (difference + (1 << 30)) % _HALF - (1 << 30)
        if -BACKWARD_MS <= short <= FORWARD_MS and short != step:
            step = short  # FLV and SRS keep 31 bits
        if step > 0 > difference and step <= FORWARD_MS:
            self._repaired("wrap")
        return step

    def _start(self, clock: _Clock, other: _Clock, timestamp: int) -> int:
        clock.started = True
        clock.wire = clock.raw = timestamp
        clock.last = self._origin - 1
        if not other.started:
            clock.offset = self._origin + (self._behind - timestamp) * TICKS_PER_MS
            return clock.raw * TICKS_PER_MS + clock.offset
        skew = _signed(timestamp - other.wire)
        clock.raw = other.raw + skew
        clock.offset = other.offset
        ticks = clock.raw * TICKS_PER_MS + clock.offset
        if abs(skew) > SKEW_MS or ticks < self._origin:
            # No common clock, or a track from before the timeline: what arrives together belongs together.
            self._repaired("jump")
            ticks = other.last + 1
            clock.offset = ticks - clock.raw * TICKS_PER_MS
        return ticks

    def _leap(self, clock: _Clock, other: _Clock, timestamp: int, step: int) -> int:
        """Judges a step that is no jitter: a gap in one track, the other track's jump, or a jump."""
        clock.wire = timestamp
        clock.raw += step
        if clock is self._audio:
            self._anchor = None
        newest = clock.last
        if other.started:
            newest = max(newest, other.last)
            if step > 0 and other.offset == clock.offset and clock.raw <= other.raw + FORWARD_MS:
                # One clock, and the other track has been there already: only this track had a gap (TL06).
                return clock.raw * TICKS_PER_MS + clock.offset
            # The other track jumped before and, moved as far as that one, this one just goes on: the same event. Or it
            # comes back to the clock of the other one.
            for offset in (clock.offset + other.moved, other.offset):
                ticks = clock.raw * TICKS_PER_MS + offset
                if (
                    offset != clock.offset
                    and -BACKWARD_MS * TICKS_PER_MS <= ticks - clock.last <= _SAME_EVENT_MS * TICKS_PER_MS
                ):
                    clock.offset = offset
                    clock.moved = other.moved = clock.doubt = other.doubt = 0
                    return ticks
        self._repaired("jump")
        self._jump()
        ticks = newest + clock.step * TICKS_PER_MS
        offset = ticks - clock.raw * TICKS_PER_MS
        if step > 0 and other.started and other.offset == clock.offset:
            clock.doubt = max(clock.raw - step, other.raw) + DOUBT_MS
        clock.moved += offset - clock.offset
        clock.offset = offset
        return ticks


def _signed(difference: int) -> int:
    """A difference of times modulo 2^32 as a step forward or back."""
    return (difference + _HALF) % _FULL - _HALF
