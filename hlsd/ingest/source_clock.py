"""Is the clock of one track of a publisher: its wire times, how they go on, and what of them is a stray.

Law: a step is believed when it is small, when the source's own frame distance explains it, or when it is of some
seconds and as much time passed until it arrived. Any other step is put on trial: its frame, and those that go on from
it, are stamped as if the clock had gone on evenly, until `CONFIRM` of them in a row say that the clock is another one
now; a frame that goes on from before the trial ends it. So one frame stamped hours away costs nothing, and a jump no
picture.

Wire times are milliseconds modulo 2^32 (some peers: 2^31), `now` is monotonic seconds, ticks are of 90 kHz.
"""

from __future__ import annotations

from typing import Final

TICKS_PER_MS: Final = 90

BACKWARD_MS: Final = 100
"""A step back no longer than this is jitter: the DTS is clamped and the clock stays."""
BACKLOG_MS: Final = 500
"""Small steps back that add up to more than this behind the output are a jump."""
FORWARD_MS: Final = 1_000
"""A step forward of no more than this is believed whatever else is known (TL02)."""
PACES: Final = 3
"""So is one of so many usual frame distances: a camera at one picture in two seconds leaves one out now and then."""
EARLY_MS: Final = 1_000
"""How much longer than the time until its arrival a step may be: what came before it may have been late."""
PAUSE_MS: Final = 5_000
"""A longer step, which its arrival bears out, is a pause: nobody shall watch a still picture for as long again."""
CONFIRM: Final = 3
"""Frames that go on from one another, from which on another clock is believed."""

_NEVER: Final = -(1 << 40)
"""A wire time that none comes after by a small step."""
_HALF: Final = 1 << 31
_FULL: Final = 1 << 32


class Trial:
    """A clock that may be the track's new one: where its frames are, and how many there have been."""

    __slots__ = ("arrived", "count", "offset", "raw", "wire")

    def __init__(self, wire: int, raw: int, offset: int, now: float) -> None:
        self.wire = wire
        self.raw = raw
        self.offset = offset
        self.arrived = now
        self.count = 1

    @property
    def ticks(self) -> int:
        """Where its last frame stands on the output."""
        return self.raw * TICKS_PER_MS + self.offset


class SourceClock:
    """What is remembered of one track: its last wire time, and what must be added to come to output ticks."""

    __slots__ = (
        "arrived",
        "doubt",
        "doubt_by",
        "last",
        "moved",
        "offset",
        "pace",
        "raw",
        "started",
        "steps",
        "trial",
        "wire",
    )

    def __init__(self) -> None:
        self.started = False
        self.wire = _NEVER  # the last believed timestamp as sent
        self.raw = 0  # the same, unwrapped: ms
        self.arrived = 0.0  # when it came
        self.offset = 0  # ticks from raw * 90 to the output
        self.moved = 0  # by how much jumps have changed the offset that the other track has not followed yet
        self.doubt = 0  # raw time of the other track at which a leap forward turns out to have been a gap; 0: none
        self.doubt_by = 0.0  # when it must have come there
        self.last = 0  # the last DTS given: ticks
        self.pace = 33  # the usual distance between frames: ms
        self.steps = 0  # 1 once that is known
        self.trial: Trial | None = None

    @property
    def ticks(self) -> int:
        """Where the last believed frame stands on the output."""
        return self.raw * TICKS_PER_MS + self.offset

    def begin(self, timestamp: int, now: float) -> None:
        """Takes the first frame."""
        self.started = True
        self.wire = self.raw = timestamp
        self.arrived = now

    def go_on(self, timestamp: int, step: int, now: float) -> None:
        """Takes a believed frame, `step` ms behind the one before."""
        self.keep_pace(step)
        self.wire = timestamp
        self.raw += step
        self.arrived = now
        self.trial = None

    def keep_pace(self, step: int) -> None:
        """Learns a distance between frames: the first one counts at once, later ones an eighth."""
        if step > 0:
            self.pace = (self.pace * 7 + step) >> 3 if self.steps else step
            self.steps = 1

    def believes(self, step: int, arrived: float, now: float) -> bool:
        """Whether a frame may stand `step` ms behind one that came at `arrived`."""
        if step <= FORWARD_MS:
            return step >= -BACKWARD_MS
        return step <= PACES * self.pace or step <= min(PAUSE_MS, (now - arrived) * 1000 + EARLY_MS)

    def paused(self, step: int, now: float) -> bool:
        """Whether a long step forward is one of the source's time, by when its frame came."""
        return 0 < step <= (now - self.arrived) * 1000 + EARLY_MS

    def falls_behind(self, step: int) -> bool:
        """Whether small steps back have added up to more than jitter."""
        return self.ticks + step * TICKS_PER_MS < self.last - BACKLOG_MS * TICKS_PER_MS

    def try_on(self, timestamp: int, step: int, now: float) -> Trial:
        """Puts a frame on trial that lies `step` ms from the last believed one, or lets it confirm the one there is."""
        trial = self.trial
        if trial is not None:
            after = signed(timestamp - trial.wire)
            if self.believes(after, trial.arrived, now) and not self._trial_falls_behind(trial, after):
                trial.wire = timestamp
                trial.raw += after
                trial.arrived = now
                trial.count += 1
                return trial
        came = self.arrived if trial is None else trial.arrived
        # As much later as it came, but at least the usual distance.
        passed = max(self.pace, min(int((now - came) * 1000), abs(step)))
        raw = self.raw + step
        offset = self.last + passed * TICKS_PER_MS - raw * TICKS_PER_MS
        self.trial = Trial(timestamp, raw, offset, now)
        return self.trial

    def adopt(self, timestamp: int, raw: int, offset: int, now: float) -> None:
        """Believes another clock from this frame on."""
        self.wire = timestamp
        self.raw = raw
        self.offset = offset
        self.arrived = now
        self.trial = None

    def _trial_falls_behind(self, trial: Trial, after: int) -> bool:
        return trial.ticks + after * TICKS_PER_MS < self.last - BACKLOG_MS * TICKS_PER_MS


def signed(difference: int) -> int:
    """A difference of times modulo 2^32 as a step forward or back."""
    return (difference + _HALF) % _FULL - _HALF


def unwrapped(difference: int) -> int:
    """The step in ms behind a difference of two wire times, by a clock of 32 bits or, where it fits, of 31."""
    step = signed(difference)
    short = (difference + (1 << 30)) % _HALF - (1 << 30)
    return short if -BACKWARD_MS <= short <= FORWARD_MS else step  # FLV and SRS keep 31 bits
