"""Is the clock of what one page sends, recording after recording, and how late it comes. Pure.

Law: times of one recording keep their distances; one that begins later goes on behind the one before, as much later as
it was begun, if that is less than a second; otherwise at once, and that is a jump. Media times are µs, `now` is
monotonic seconds.
"""

from __future__ import annotations

from typing import Final

GAP: Final = 1_000_000
"""µs between two recordings that viewers sit through."""
PACE: Final = 20_000
"""µs at least between the last time of a recording and the first one of the next."""
SETTLED: Final = 2.0
"""Seconds after a pause in which what follows it may come: before it come pieces that were still under way."""
CREEP: Final = 0.0005
"""How much faster than ours a page's clock may be for what it sends not to seem ever later: quartz is off by 0.0001."""
LATEST: Final = 3600.0
"""Seconds of lag that are told at most."""


class RecordingClock:
    """One publication's."""

    __slots__ = ("_anew", "_base", "_base_at", "_last", "_offset", "_paused", "_resumed")

    def __init__(self) -> None:
        self._offset = 0
        """µs from the recording's times to those given out."""
        self._last: int | None = None
        """The time given out last."""
        self._base: float | None = None
        """When time 0 would have come, by what came soonest after its time."""
        self._base_at = 0.0
        self._anew: float | None = None
        """When a recording was begun of which nothing has come yet."""
        self._paused: float | None = None
        self._resumed = 0.0
        """Until when a leap of its times is the pause that it made."""

    def begin(self, now: float) -> None:
        """What follows is another recording."""
        if self._anew is None:
            self._anew = now

    def pause(self, now: float) -> None:
        """Nothing is recorded; whether its clock stands still or goes on meanwhile, the next time will tell."""
        if self._paused is None:
            self._paused = now

    def resume(self, now: float) -> None:
        """It goes again."""
        if self._paused is not None:
            self._resumed = now + SETTLED
        if self._paused is not None and self._base is not None:
            self._base += now - self._paused
            self._base_at += now - self._paused
        self._paused = None

    def stamp(self, time: int, now: float) -> tuple[int, bool]:
        """The milliseconds of a time, and whether they are a jump: viewers must be told before the next key picture."""
        jumped = False
        if self._anew is not None:
            jumped = self._go_over(time)
        elif now < self._resumed and self._last is not None and time + self._offset - self._last > GAP:
            # As of encoders whose pictures have the camera's own times: nobody shall sit through the pause again.
            self._offset = self._last + PACE - time
            self._base, self._resumed = None, 0.0
        self._anew = None
        last = self._last = time + self._offset
        base, since = self._base, now - last / 1e6
        if base is not None:
            base += max(0.0, now - self._base_at) * CREEP
        self._base = since if base is None or since < base else base
        self._base_at = now
        return (last + 500) // 1000, jumped

    def lag(self, now: float) -> float:
        """How long ago the newest time was, seconds."""
        if self._base is None or self._last is None:
            return 0.0
        at = self._paused if self._paused is not None else now
        return min(max(0.0, at - self._base - self._last / 1e6), LATEST)

    def _go_over(self, time: int) -> bool:
        """Puts a recording that begins at `time` behind the one before; whether that is a jump."""
        last = self._last
        if last is None or self._anew is None:
            return False
        behind = last + PACE
        began = behind if self._base is None else max(behind, int((self._anew - self._base) * 1e6))
        jumped = began - last > GAP
        if jumped:
            began = behind
            self._base = None
        self._offset = began - time
        return jumped
