"""Stands in for sound that has stopped while its pictures go on, frame by frame.

Where a track is missing players stand still, though the source only has nothing to say: a microphone that was pulled
out, a camera that sends no sound while none is heard. Times are ticks of 90 kHz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from hlsd.media.aac_silence import silent_frame
from hlsd.media.unit import TICKS, AccessUnit, AudioTrack, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


class Silence:
    """The silent frames of one track, from where its sound stopped."""

    __slots__ = ("_count", "_frame", "_from", "_payload", "_rate", "begun")

    def __init__(self, track: AudioTrack, payload: bytes) -> None:
        self._payload = payload
        self._frame = TICKS * track.frame_samples
        self._rate = track.sample_rate
        self._from = 0
        self._count = 0
        self.begun = False
        """Whether it stands in at this moment."""

    @classmethod
    def of(cls, track: AudioTrack) -> Self | None:
        """That of a track; None if no silent frame can be made for it."""
        payload = silent_frame(track)
        return cls(track, payload) if payload is not None else None

    def begin(self, last: int) -> int:
        """Begins behind the frame at `last`; returns how long that one lasts."""
        frame = self._frame // self._rate
        self._from = last + frame
        self._count = 0
        self.begun = True
        return frame

    def until(self, end: int, arrived: float) -> Iterator[tuple[AccessUnit, int]]:
        """The frames that begin before `end`, with their durations."""
        at = self._at(self._count)
        while at < end:
            self._count += 1
            after = self._at(self._count)
            yield AccessUnit(Kind.AUDIO, at, at, True, True, self._payload, arrived), after - at
            at = after

    def covers(self, dts: int) -> bool:
        """Whether silence has gone out for the time of a frame that comes now."""
        return self.begun and dts < self._at(self._count) - self._frame // self._rate // 2

    def end(self, dts: int, arrived: float) -> Iterator[tuple[AccessUnit, int]]:
        """Sound is back at `dts`: the frames that are missing up to there."""
        self.begun = False
        return self.until(dts - self._frame // self._rate // 2, arrived)

    def _at(self, count: int) -> int:
        return self._from + count * self._frame // self._rate
